"""Multimodal models of `transformers`: encode once, prune before the decoder, generate.

`prune` is the front door. `base` holds what all classes share, `registry` finds the family of a
model by the name of its class, and a file per family says what is its own. `transformers` is
imported on use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapter import MllmAdapter
    from .base import Family
    from .loading import Loaded, Loading, load_model, load_processor
    from .options import Options
    from .pruning import Pruner, prune
    from .registry import FAMILIES, family_of

__all__ = [
    "FAMILIES",
    "Family",
    "Loaded",
    "Loading",
    "MllmAdapter",
    "Options",
    "Pruner",
    "family_of",
    "load_model",
    "load_processor",
    "prune",
]

_HOME = {
    "FAMILIES": "registry",
    "Family": "base",
    "Loaded": "loading",
    "Loading": "loading",
    "MllmAdapter": "adapter",
    "Options": "options",
    "Pruner": "pruning",
    "family_of": "registry",
    "load_model": "loading",
    "load_processor": "loading",
    "prune": "pruning",
}


def __getattr__(name: str) -> Any:
    """What needs torch, imported when it is asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
