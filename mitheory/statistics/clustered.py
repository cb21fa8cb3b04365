"""Means and ratios with the standard error over clusters, in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..errors import NonFiniteError, ParameterError, ShapeError
from .inputs import cluster_codes, vector

FLOOR = 2.25  # of a bounded quantity that never varied: exceeds the exact binomial bound to 99.8%


def clustered_mean(
    values: ArrayLike,
    clusters: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    span: float | None = None,
) -> tuple[float, float, int]:
    """Mean of rows, its standard error over clusters, and the degrees of freedom.

    Source: liang1986, the linearized (cluster-robust) variance with G/(G-1). With `weights` the
    estimand is the ratio Σ w x / Σ w.

    Parameters
    ----------
    values : (n,) numbers or booleans
    clusters : (n,) labels; rows of one label may depend on each other
    weights : (n,) nonnegative, optional
    span : float, optional
        Largest minus smallest value possible. Where the rows hold at most two values (a rate), the
        error is then at least 2.25 span / G, so that 0 out of G is not taken for certain.

    Returns
    -------
    mean, standard error, number of clusters less one

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError
        If the values, weights or labels are not as said.
    ParameterError
        If there are fewer than two clusters, a weight is negative, or all are 0.

    Examples
    --------
    >>> clustered_mean([1.0, 3.0, 2.0, 2.0, 5.0, 5.0], ["a", "a", "b", "b", "c", "c"])
    (3.0, 1.0, 2)
    >>> clustered_mean([0, 0, 0], [1, 2, 3], span=1.0)
    (0.0, 0.75, 2)
    """
    x = vector("values", values)
    w = np.ones_like(x) if weights is None else vector("weights", weights)
    if len(w) != len(x):
        raise ShapeError(f"weights must have n = {len(x)}; got {len(w)}")
    if (w < 0).any() or not w.sum() > 0:
        raise ParameterError(f"weights must be nonnegative and not all 0; got {w.min()}..{w.max()}")
    codes, n_clusters = cluster_codes(clusters, len(x))
    total = w.sum()
    mean = float((w * x).sum() / total)
    parts = np.bincount(codes, weights=w * (x - mean), minlength=n_clusters) / total
    se = float(np.sqrt(n_clusters / (n_clusters - 1) * (parts**2).sum()))
    if span is not None and len(np.unique(x)) <= 2:
        se = max(se, FLOOR * span / n_clusters)
    if not np.isfinite(se):
        raise NonFiniteError(f"standard error is not finite: {se}")
    return mean, se, n_clusters - 1
