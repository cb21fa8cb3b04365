"""Multimodal models of `transformers`: encode once, prune before the decoder, generate.

`prune` is the front door. `base` holds what all classes share, `registry` finds the family of a
model by the name of its class, and a file per family says what is its own. `transformers` is
imported on use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...faces import on_use

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

__getattr__, __dir__ = on_use(
    __name__,
    {
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
    },
)
