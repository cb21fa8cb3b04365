"""The fruit-fly MLLM: a small real vision-language model that ships with the package."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapter import FruitFlyAdapter
    from .checkpoint import load
    from .dataset import about, examples

__all__ = ["FruitFlyAdapter", "about", "examples", "load"]

_HOME = {
    "FruitFlyAdapter": "adapter",
    "about": "dataset",
    "examples": "dataset",
    "load": "checkpoint",
}


def __getattr__(name: str) -> Any:
    """What needs torch, imported when it is asked for: the kinds of questions need none."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
