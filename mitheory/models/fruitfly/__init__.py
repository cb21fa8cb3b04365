"""The fruit-fly MLLM: a small real vision-language model that ships with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...faces import on_use

if TYPE_CHECKING:
    from .adapter import FruitFlyAdapter
    from .checkpoint import load
    from .dataset import about, examples

__all__ = ["FruitFlyAdapter", "about", "examples", "load"]

__getattr__, __dir__ = on_use(
    __name__,
    {
        "FruitFlyAdapter": "adapter",
        "about": "dataset",
        "examples": "dataset",
        "load": "checkpoint",
    },
)
