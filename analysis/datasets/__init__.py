"""Datasets as streams of examples, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mitheory.models.base import Example
from mitheory.models.fruitfly import examples as fruitfly_examples

DATASETS: dict[str, Callable[..., Iterator[Example]]] = {"fruitfly": fruitfly_examples}
"""name -> stream(split, limit=..., seed=...)."""

__all__ = ["DATASETS"]
