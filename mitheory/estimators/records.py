"""What every estimator returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Estimate:
    """An estimate of mutual information, unclipped: negative if that is what came out.

    Attributes
    ----------
    value : float, nats
    estimator : str
        Its name in the table it was looked up in.
    n : int
        Rows it was estimated from (of the evaluation half, where rows were split).
    dims : tuple of int
        Columns of x, y (and z).
    pointwise : (n,) float64, nats, or None
        Contribution of each row; their mean is `value`. Summed by image they give the standard
        error over images (`mitheory.statistics.clustered_mean`). None where there is none.
    rows : (n,) int, or None
        Which rows of the input `pointwise` belongs to; None for all of them, in order.
    diagnostics : mapping
        The estimator's own, as JSON values: its parameters, what it fitted, ceilings, what was
        lost in a reduction.
    """

    value: float
    estimator: str
    n: int
    dims: tuple[int, ...]
    pointwise: NDArray[np.float64] | None = None
    rows: NDArray[np.int64] | None = None
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
