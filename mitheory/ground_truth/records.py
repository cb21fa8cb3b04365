"""What a ground truth is: a law one can draw from whose information is known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DTypeError, ParameterError

Array = NDArray[np.float64] | NDArray[np.int64]
Draw = Callable[[int, np.random.Generator], tuple[Array, ...]]
LogRatio = Callable[..., NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """A law of (x, y) or (x, y, z) with known information.

    Attributes
    ----------
    name : str
        Its key in `GROUND_TRUTHS`.
    dims : tuple of int
        Columns of x, y (and z).
    mi : float, nats
        I(X;Y).
    cmi : float, nats, or None
        I(X;Y|Z); None where there is no z.
    discrete : bool
        Letters (int64) or numbers (float64).
    structure : str
        Where the dependence lies: "leading", "trailing", "spread", "letters" or "labels".
    draw : (n, rng) -> arrays (n, d)
    log_ratio : (x, y[, z]) -> (n,), nats, or None
        log p(x,y)/p(x)p(y), or log p(x,y|z)/p(x|z)p(y|z): its mean is the information.

    Examples
    --------
    >>> from mitheory.ground_truth import ground_truth
    >>> truth = ground_truth("gaussian_lowdim", 1, total=0.5)
    >>> x, y = truth.sample(5, np.random.default_rng(0))
    >>> x.shape, truth.mi
    ((5, 1), 0.5)
    """

    name: str
    dims: tuple[int, ...]
    mi: float
    cmi: float | None
    discrete: bool
    structure: str
    draw: Draw
    log_ratio: LogRatio | None = None

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, ...]:
        """`n` independent rows.

        Raises
        ------
        DTypeError, ParameterError
            If `rng` is no generator or `n` is not positive.
        """
        if not isinstance(rng, np.random.Generator):
            raise DTypeError(f"rng must be a np.random.Generator; got {type(rng).__name__}")
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise ParameterError(f"n must be a positive int; got {n!r}")
        return self.draw(int(n), rng)

    @property
    def quantity(self) -> str:
        """ "cmi" where there is a condition, else "mi"."""
        return "mi" if self.cmi is None else "cmi"

    @property
    def value(self) -> float:
        """The information that an estimator given all arrays estimates, in nats."""
        return self.mi if self.cmi is None else self.cmi


def check_dimension(d: int, *, least: int = 1) -> int:
    """`d` if it is an int of at least `least`; ParameterError otherwise."""
    if isinstance(d, bool) or not isinstance(d, int | np.integer) or d < least:
        raise ParameterError(f"d must be an int of at least {least}; got {d!r}")
    return int(d)


def check_total(total: float) -> float:
    """`total` if it is finite and not negative; ParameterError otherwise."""
    if isinstance(total, bool) or not (np.isfinite(total) and total >= 0):
        raise ParameterError(f"total must be a finite number of nats, at least 0; got {total!r}")
    return float(total)
