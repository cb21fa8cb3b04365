"""Claims, ablations and datasets on top of `mitheory`; `audit` runs every claim on a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .auditing import audit

__all__ = ["audit"]


def __getattr__(name: str) -> Any:
    """`audit`, imported when it is asked for: `mitheory --help` need not wait for it."""
    if name != "audit":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .auditing import audit

    return audit


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
