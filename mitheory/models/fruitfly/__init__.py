"""The fruit-fly MLLM: a small real vision-language model that ships with the package."""

from .adapter import FruitFlyAdapter
from .checkpoint import load
from .dataset import examples

__all__ = ["FruitFlyAdapter", "examples", "load"]
