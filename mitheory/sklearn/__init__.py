"""Every method as an estimator of scikit-learn: `MIPruner(budget=64).fit(text=T).transform(V)`.

A row is a visual token, and `transform` keeps some of the rows. There is a class per method, made
from its signature, so that `get_params`, `set_params`, `clone` and grid search see its options.

scikit-learn is loaded when a class is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .names import CLASSES

__all__ = ["CLASSES", "EXPECTED_FAILED_CHECKS", "TokenPruner"]


def __getattr__(name: str) -> Any:
    if name in ("TokenPruner", "EXPECTED_FAILED_CHECKS"):
        return getattr(import_module(f"{__name__}.base"), name)
    if name in CLASSES:
        return getattr(import_module(f"{__name__}.pruners"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *CLASSES})
