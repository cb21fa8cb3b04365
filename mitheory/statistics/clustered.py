"""Means and ratios with the standard error over clusters, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..errors import NonFiniteError, ParameterError, ShapeError
from .inputs import cluster_codes, vector

FLOOR = 2.25  # of a rate that never varied: exceeds the exact binomial bound to 99.8%

_ROUNDING = 1e-28  # of the square of the mean


class ClusteredMean(NamedTuple):
    """A mean with what an interval needs.

    `se` : standard error; `df` : clusters that count, less one; `skew` : skewness of the mean,
    which `mitheory.verdict.Effect` corrects its interval for.
    """

    value: float
    se: float
    df: float
    skew: float


def clustered_mean(
    values: ArrayLike,
    clusters: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    span: float | None = None,
) -> ClusteredMean:
    """Mean of rows, its standard error over clusters, degrees of freedom and skewness.

    The jackknife over clusters: p_g = (share of g) (mean of g - mean) / (1 - share of g). Source:
    bell2002 for 1/(1 - share); the clusters that count are (Σ h²)²/Σ h⁴ of the shares h; hall1992
    for the skewness Σ p³ / (Σ p²)^1.5. With `weights` the estimand is Σ w x / Σ w.

    Parameters
    ----------
    values : (n,) numbers or booleans
    clusters : (n,) labels; rows of one label may depend on each other
    weights : (n,) nonnegative, optional
    span : float, optional
        Largest minus smallest value possible. Where no cluster differs from another the error is
        then 2.25 span / G, so that 0 out of G is not taken for certain.

    Returns
    -------
    ClusteredMean

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError
        If the values, weights or labels are not as said.
    ParameterError
        If there are fewer than two clusters, a weight is negative, or all are 0.

    Examples
    --------
    >>> mean = clustered_mean([1.0, 3.0, 2.0, 2.0, 5.0, 5.0], ["a", "a", "b", "b", "c", "c"])
    >>> mean.value, mean.se, mean.df
    (3.0, 1.0, 2.0)
    >>> clustered_mean([0, 0, 0], [1, 2, 3], span=1.0).se
    0.75
    """
    x = vector("values", values)
    w = np.ones_like(x) if weights is None else vector("weights", weights)
    if len(w) != len(x):
        raise ShapeError(f"weights must have n = {len(x)}; got {len(w)}")
    if (w < 0).any() or not w.sum() > 0:
        raise ParameterError(f"weights must be nonnegative and not all 0; got {w.min()}..{w.max()}")
    codes, n_clusters = cluster_codes(clusters, len(x))
    share = np.bincount(codes, weights=w, minlength=n_clusters) / w.sum()
    if share.max() >= 1:
        raise ParameterError("clusters with weight must be two or more; got one")
    mean = float((w * x).sum() / w.sum())
    parts = np.bincount(codes, weights=w * (x - mean), minlength=n_clusters) / w.sum()
    parts = parts / (1 - share)
    squares = float((parts**2).sum())
    df = float((share**2).sum() ** 2 / (share**4).sum()) - 1
    if not np.isfinite(squares):
        raise NonFiniteError(f"the variance over clusters is not finite: {squares}")
    if squares <= _ROUNDING * mean**2:  # nothing varies but rounding
        se = 0.0 if span is None else FLOOR * span / n_clusters
        return ClusteredMean(mean, se, max(df, 1.0), 0.0)
    se = float(np.sqrt(squares * (n_clusters - 1) / n_clusters))
    return ClusteredMean(mean, se, max(df, 1.0), float((parts**3).sum() / squares**1.5))
