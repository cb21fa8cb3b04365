"""Statistics of resampled clusters, and the intervals they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from ..errors import NonFiniteError
from .inputs import Floats, Integers, check_options, cluster_codes
from .records import Interval

# From values (n, m), the cluster of each row (n,), and how often each resample holds each cluster
# (r, n_clusters), to the statistic of each resample and column (r, m).
Statistic = Callable[[Floats, Integers, Integers], Floats]

BLOCK = 4_000_000  # entries of the largest temporary array: 32 MB of float64


def intervals(
    compute: Statistic,
    table: Floats,
    clusters: ArrayLike,
    estimand: str,
    level: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[Interval, ...]:
    """Estimates and percentile intervals of the statistic's columns."""
    codes, n_clusters = cluster_codes(clusters, len(table))
    check_options(level, n_resamples, rng)
    estimates = compute(table, codes, np.ones((1, n_clusters), dtype=np.int64))[0]  # (m,)
    counts = _resampled_counts(n_clusters, n_resamples, rows=max(len(table), n_clusters), rng=rng)
    draws = np.concatenate([compute(table, codes, block) for block in counts])  # (r, m)
    if bad := int((~np.isfinite(draws)).sum() + (~np.isfinite(estimates)).sum()):
        raise NonFiniteError(f"{estimand} must exist; its denominator is 0 in {bad} resamples")
    tail = (1 - level) / 2
    lows, highs = np.quantile(draws, [tail, 1 - tail], axis=0)
    method = f"cluster bootstrap, percentile, {n_resamples} resamples"
    return tuple(
        Interval(float(e), float(low), float(high), level, len(table), n_clusters, estimand, method)
        for e, low, high in zip(estimates, lows, highs, strict=True)
    )


def _resampled_counts(
    n_clusters: int, n_resamples: int, *, rows: int, rng: np.random.Generator
) -> Iterator[Integers]:
    """How often each resample holds each cluster: multinomial counts, block by block."""
    size = max(1, BLOCK // rows)
    for start in range(0, n_resamples, size):
        r = min(size, n_resamples - start)
        drawn = rng.integers(n_clusters, size=(r, n_clusters))
        cells = drawn + n_clusters * np.arange(r)[:, None]
        yield np.bincount(cells.ravel(), minlength=r * n_clusters).reshape(r, n_clusters)


def _sums(table: Floats, codes: Integers, counts: Integers) -> Floats:
    """Column sums of each resample, from the column sums of each cluster: (n, m) -> (r, m)."""
    n_clusters = counts.shape[1]
    columns = [np.bincount(codes, weights=c, minlength=n_clusters) for c in table.T]
    return counts.astype(np.float64) @ np.stack(columns, axis=1)


def mean(table: Floats, codes: Integers, counts: Integers) -> Floats:
    """Mean of the rows; its denominator is resampled too, as clusters differ in size."""
    sizes = np.bincount(codes, minlength=counts.shape[1])
    return _sums(table, codes, counts) / (counts @ sizes)[:, None]


def ratio(table: Floats, codes: Integers, counts: Integers) -> Floats:
    """Sum of the first column over that of the second; not finite where that is 0."""
    sums = _sums(table, codes, counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums[:, :1] / sums[:, 1:]


def median(table: Floats, codes: Integers, counts: Integers) -> Floats:
    """Median of the rows; between the two middle ones if their number is even."""
    columns = []
    for column in table.T:
        order = np.argsort(column, kind="stable")
        below = np.cumsum(counts[:, codes[order]], axis=1)  # rows up to each value, (r, n)
        total = below[:, -1:]
        lower = (below >= (total + 1) // 2).argmax(axis=1)
        upper = (below >= total // 2 + 1).argmax(axis=1)
        columns.append((column[order[lower]] + column[order[upper]]) / 2)
    return np.stack(columns, axis=1)


STATISTICS: dict[str, Statistic] = {"mean": mean, "median": median}
