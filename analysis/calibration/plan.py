"""Which ground truths, dimensions and sizes are tried: a cell is one of each."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from mitheory.ground_truth import PLANTED, GroundTruth, ground_truth

DIMENSIONS = (1, 2, 4, 8, 16, 64, 256, 1024)
DISCRETE_DIMENSIONS = (1, 2, 4, 8)
SIZES = (100, 300, 1000, 3000)
LEVELS = (0.0, 0.03, 0.1, 0.3, 1.0)  # nats planted; the detection limit is read between them
FAMILIES = {  # whose levels give the detection limit; 0 nats is the null
    "gaussian_lowdim": (*LEVELS, 2.0),
    "gaussian_spread": LEVELS,
    "common_cause_lowdim": LEVELS,
    "common_cause_spread": LEVELS,
}
SINGLES = (
    "gaussian_trailing",
    "cubic",
    "asinh",
    "spiral",
    "student_t",
    "collider_lowdim",
    "collider_spread",
)
LETTERS = (
    "independent_letters",
    "noisy_copy",
    "copy",
    "xor",
    "and",
    "naive_bayes",
    "discrete_markov_chain",
)
REAL, REAL_DIMENSION, REAL_SIZES = "fruitfly_digits", 96, (100, 300, 1000)
REAL_LEVELS = (0.0, 0.1, 0.3, 1.0, 2.0)


@dataclass(frozen=True)
class Cell:
    """A ground truth at a size; `total` is what is planted, None for fixed tables."""

    truth: str
    total: float | None
    d: int
    n: int

    @property
    def key(self) -> str:
        """A name for files and seeds."""
        return f"{self.truth}-{self.total}-{self.d}-{self.n}"

    def make(self) -> GroundTruth:
        """The law itself."""
        if self.truth == REAL:
            from .real import fruitfly_digits

            return fruitfly_digits(float(self.total or 0.0))
        return ground_truth(self.truth, self.d, total=self.total)

    def rng(self, seed: int, repeat: int, name: str = "sample") -> np.random.Generator:
        """A generator of this cell's own, so that no worker and no order decides."""
        return np.random.default_rng(crc32(f"{seed}:{self.key}:{repeat}:{name}".encode()))


def cells(quick: bool = False) -> list[Cell]:
    """Every cell of the calibration; with `quick` a thin slice at d = 1, 8 and n = 100, 300."""
    dimensions, sizes = ((1, 8), (100, 300)) if quick else (DIMENSIONS, SIZES)
    planted = [(name, total) for name, totals in FAMILIES.items() for total in totals]
    planted += [(name, 1.0) for name in SINGLES if name in PLANTED]
    found = [
        Cell(name, total, d, n)
        for (name, total), d, n in itertools.product(planted, dimensions, sizes)
        if not (name == "spiral" and d == 1)  # a spiral needs a plane
    ]
    found += [
        Cell(name, None, d, n)
        for name, d, n in itertools.product(LETTERS, DISCRETE_DIMENSIONS, sizes)
        if d in dimensions or not quick
    ]
    real_sizes = REAL_SIZES[:1] if quick else REAL_SIZES
    found += [
        Cell(REAL, total, REAL_DIMENSION, n)
        for total, n in itertools.product(REAL_LEVELS, real_sizes)
    ]
    return found
