"""Estimators with their options, as they are tried: the rows of the calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mitheory import estimators
from mitheory.estimators import Estimate

from .plan import LETTERS, Cell

CALL_LIMIT = 0.6  # seconds a call may be expected to take; beyond, the row says so and is not run
CELL_SECONDS = 0.15  # spent on one variant in one cell, if that is enough for the fewest repeats
FEWEST, MOST = 4, 12
PCA_COMPONENTS = 8
# Training takes seconds: neural bounds only where they tell something about d and n.
NEURAL_CELLS = frozenset(
    (truth, planted, d, n)
    for truth in ("gaussian_lowdim", "gaussian_spread")
    for planted in (0.0, 1.0)
    for d in (1, 16, 64)
    for n in (300, 1000)
)

Work = Callable[[int, int], float]


@dataclass(frozen=True)
class Variant:
    """An estimator with options and what a call is expected to take.

    Attributes
    ----------
    name : str
        Key in `VARIANTS`.
    quantity : {"mi", "cmi"}
    estimator : str
        Name in `mitheory.estimators.MI` or `CMI`.
    options : mapping
    work : (d, n) -> seconds of a call, as measured on one core, roughly
    reduce : int or None
        Components of the principal subspace that x and y are cut to first.
    letters : bool
        For discrete tables; otherwise for numbers.
    random : bool
        Takes `rng`.
    neural : bool
        Only in `NEURAL_CELLS`, two repeats.
    """

    name: str
    quantity: str
    estimator: str
    work: Work
    options: Mapping[str, Any] = field(default_factory=dict)
    reduce: int | None = None
    letters: bool = False
    random: bool = False
    neural: bool = False

    @property
    def label(self) -> str:
        """The options in words."""
        words = [f"{k}={v}" for k, v in self.options.items()]
        return "; ".join(words + ([f"PCA {self.reduce}"] if self.reduce else []))

    def why_not(self, d: int, n: int) -> str | None:
        """Why this size is not tried; None if it is."""
        seconds = self.work(d, n)
        if self.neural or seconds <= CALL_LIMIT:
            return None
        return f"not run: a call takes about {seconds:.2g} s, the limit is {CALL_LIMIT} s"

    def repeats(self, d: int, n: int) -> int:
        """How often a cell is repeated: fewer where a call is slow. Fixed, not timed."""
        if self.neural:
            return 2
        return int(np.clip(CELL_SECONDS / self.work(d, n), FEWEST, MOST))

    def estimate(self, sample: Sequence[Any], rng: np.random.Generator) -> Estimate:
        """One call."""
        options = dict(self.options)
        if self.random or self.reduce:
            options["rng"] = rng
        if self.quantity == "cmi":
            x, y, z = sample
            return estimators.cmi(self.estimator, x, y, z, **options)
        x, y = sample
        if self.reduce:
            components = min(self.reduce, np.shape(x)[1], np.shape(y)[1])
            return estimators.mi_reduced(self.estimator, x, y, components=components, **options)
        return estimators.mi(self.estimator, x, y, **options)


def applicable(cell: Cell, variants: Iterable[Variant]) -> list[Variant]:
    """The variants for this cell's kind of data."""
    letters = cell.truth in LETTERS
    conditional = cell.truth.startswith(("common_cause", "collider")) or (
        letters and cell.truth not in ("independent_letters", "noisy_copy")
    )
    quantity = "cmi" if conditional else "mi"
    size = (cell.truth, cell.total, cell.d, cell.n)
    return [
        v
        for v in variants
        if v.quantity == quantity
        and v.letters == letters
        and (not v.neural or size in NEURAL_CELLS)
    ]


def _neighbors(d: int, n: int) -> float:
    """Trees in few dimensions, all distances in blocks else."""
    return 1.2e-5 * n if d <= 2 else n**2 * (2.5e-8 + 1.4e-9 * d)


def _covariance(d: int, n: int) -> float:
    return 1e-3 + 2.5e-10 * n * (2 * d) ** 2 + 1e-10 * (2 * d) ** 3


def _counts(d: int, n: int) -> float:
    return 5e-6 * n


def _kernels(d: int, n: int) -> float:
    return n**2 * (6e-8 + 8e-10 * d)


def _reduced(d: int, n: int) -> float:
    return 5e-3 + 4 * _covariance(d, n)


def _reduced_neighbors(d: int, n: int) -> float:
    return _reduced(d, n) + 4 * _neighbors(min(d, PCA_COMPONENTS), n // 2)


def _training(d: int, n: int) -> float:
    return 3e-4 * n


CONTINUOUS = (
    Variant("ksg_1", "mi", "ksg", _neighbors, {"k": 3, "algorithm": 1}),
    Variant("ksg_2", "mi", "ksg", _neighbors, {"k": 3, "algorithm": 2}),
    Variant("gaussian", "mi", "gaussian", _covariance),
    Variant("gaussian_shrunk", "mi", "gaussian", _covariance, {"shrinkage": "ledoit_wolf"}),
    Variant("gaussian_pca", "mi", "gaussian", _reduced, reduce=PCA_COMPONENTS),
    Variant("ksg_pca", "mi", "ksg", _reduced_neighbors, {"k": 3}, reduce=PCA_COMPONENTS),
    Variant("histogram", "mi", "histogram", _counts),
    Variant("kernel_density", "mi", "kernel_density", _kernels),
    Variant("infonce", "mi", "infonce", _training, random=True, neural=True),
    Variant("nwj", "mi", "nwj", _training, random=True, neural=True),
)
CONDITIONAL = (
    Variant("frenzel_pompe", "cmi", "frenzel_pompe", lambda d, n: 2 * _neighbors(d, n), {"k": 3}),
    Variant("gaussian_cmi", "cmi", "gaussian", lambda d, n: 2 * _covariance(d, n)),
    Variant(
        "gaussian_cmi_shrunk",
        "cmi",
        "gaussian",
        lambda d, n: 2 * _covariance(d, n),
        {"shrinkage": "ledoit_wolf"},
    ),
    Variant("kernel_density_cmi", "cmi", "kernel_density", lambda d, n: 2 * _kernels(d, n)),
)
DISCRETE = tuple(
    Variant(
        f"plug_in{suffix}_{correction}",
        quantity,
        "plug_in",
        _counts,
        {"correction": correction},
        letters=True,
    )
    for quantity, suffix in (("mi", ""), ("cmi", "_cmi"))
    for correction in ("none", "miller_madow", "grassberger")
)
VARIANTS: Mapping[str, Variant] = {v.name: v for v in (*CONTINUOUS, *CONDITIONAL, *DISCRETE)}
