"""What a claim may know beside the samples: options, facts, seeds, fitted parts, a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from mitheory.models.fruitfly import FruitFlyAdapter
from mitheory.models.fruitfly.checkpoint import NAMES, revision

from .source import Facts

TEMPERATURE = 0.1  # Sec. 4.1
RELEVANCE_WEIGHT = 0.5
RATIOS = (0.5, 0.25, 1 / 9, 1 / 18)  # tokens kept: a half and a quarter, 64 and 32 of 576


@dataclass(frozen=True)
class Context:
    """Options of an audit; small and picklable, for it travels to every worker.

    Attributes
    ----------
    facts : Facts
    seed : int
    temperature, relevance_weight : float
        τ and λ of the pruner that is audited.
    ratios : tuple of float
        Shares of visual tokens kept.
    model : str or None
        Checkpoint that made the embeddings, where it can be run here.
    prepared : mapping
        What each claim's `prepare` returned, by the claim's name.
    """

    facts: Facts
    seed: int = 0
    temperature: float = TEMPERATURE
    relevance_weight: float = RELEVANCE_WEIGHT
    ratios: tuple[float, ...] = RATIOS
    model: str | None = None
    prepared: Mapping[str, Any] = field(default_factory=dict)

    def seed_of(self, *key: str | int) -> int:
        """A seed that depends on the audit's seed and on `key`, not on order or workers."""
        return crc32(":".join(map(str, (self.seed, *key))).encode())

    def rng(self, *key: str | int) -> np.random.Generator:
        """A generator seeded so, such as ``context.rng("heap_is_exact", sample.sample_id)``."""
        return np.random.default_rng(self.seed_of(*key))

    def adapter(self) -> FruitFlyAdapter:
        """The model itself, loaded once per process."""
        if self.model is None:
            raise RuntimeError("a claim that needs the model must list it in `needs`")
        return _adapter(self.model)


def fold(image_id: str) -> int:
    """0 or 1: the half of the images that an image belongs to, for cross-fitting."""
    return crc32(b"fold:" + image_id.encode()) & 1


def runnable_model(facts: Facts) -> str | None:
    """The model named by a bundle, if it can be loaded here and has the same weights."""
    if facts.model is None:
        return None
    if facts.model in NAMES or Path(facts.model).is_file():
        return facts.model if revision(facts.model) == facts.revision else None
    return None


@lru_cache(maxsize=1)
def _adapter(model: str) -> FruitFlyAdapter:
    return FruitFlyAdapter(model)
