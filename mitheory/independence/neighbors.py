r"""kNN estimate of I(X;Y|Z) with local permutation: x is dealt out anew among neighbors in z.

Rows of one image are near one another in x and in y whether or not x and y depend, which nearest
neighbors take for dependence, and permuting single rows would not reproduce. So the test sees one
random row per image; the statistic is its mean over several such draws, and the null is that of
single draws. A mean of draws varies no more than one of them, so this errs toward the null.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import digamma

from ..errors import ParameterError
from .inputs import Floats, Integers, Rows, check_count, one_row_per_cluster
from .records import TestResult

MOST_CLUSTERS = 3000  # n x n distances of each side are held: 72 MB apiece at this size
N_DRAWS = 8
PERMUTATION_NEIGHBORS = 5


def knn_permutation(
    rows: Rows,
    *,
    rng: np.random.Generator,
    n_permutations: int = 199,
    k: int | None = None,
    k_permutation: int = PERMUTATION_NEIGHBORS,
    n_draws: int = N_DRAWS,
    stop_after: int | None = None,
) -> TestResult:
    """Frenzel-Pompe CMI against permutations of x among nearest neighbors in z.

    Source: runge2018, algorithm 1; frenzel2007 for the estimator; besag1991 for stopping early.

    Parameters
    ----------
    rows : Rows
    rng : np.random.Generator
    n_permutations : int
    k : int, optional
        Neighbors of the estimator; a tenth of the clusters if not given: what is wanted is a
        statistic of small variance, and its bias is in the permutations too.
    k_permutation : int
        Neighbors in z, itself among them, with which x may change places.
    n_draws : int
        Draws of one row per cluster; one where no cluster has two rows.
    stop_after : int, optional
        Stop at this many permutations that reach the statistic; the p-value is then this number
        over the permutations made.

    Returns
    -------
    TestResult
        `effect` is the estimate less its mean over the permutations, biased to 0.

    Raises
    ------
    ParameterError
        If an option is out of range, or there are more than 3,000 clusters.
    """
    g = rows.n_clusters
    k = max(3, g // 10) if k is None else check_count("k", k)
    for name, value in (("k", k), ("k_permutation", check_count("k_permutation", k_permutation))):
        if value >= g:
            raise ParameterError(f"{name} must be less than the clusters, {g}; got {value}")
    if g > MOST_CLUSTERS:
        raise ParameterError(f"at most {MOST_CLUSTERS} clusters; got {g}. Draw some of them")
    n_permutations = check_count("n_permutations", n_permutations)
    limit = n_permutations + 1 if stop_after is None else check_count("stop_after", stop_after)
    draws = 1 if g == rows.n else min(check_count("n_draws", n_draws), n_permutations)
    picked = [one_row_per_cluster(rows.codes, rng) for _ in range(draws)]
    spaces = [Distances(rows.x[p], rows.y[p], rows.z[p]) for p in picked]
    own = np.mean([space.contributions(k) for space in spaces], axis=0)  # (G,)
    statistic = float(own.mean())

    null: list[float] = []
    reached = 0
    orders = [
        iter(local_permutations(s.z, k_permutation, -(-n_permutations // draws), rng))
        for s in spaces
    ]
    while len(null) < n_permutations and reached < limit:
        turn = len(null) % draws
        null.append(float(spaces[turn].contributions(k, next(orders[turn])).mean()))
        reached += null[-1] >= statistic
    stopped = reached >= limit
    p_value = reached / len(null) if stopped else (1 + reached) / (1 + len(null))
    error = np.hypot(own.std(ddof=1) / np.sqrt(g), np.std(null) / np.sqrt(len(null)))
    return TestResult(
        method="knn_permutation",
        statistic=statistic,
        p_value=p_value,
        effect=statistic - float(np.mean(null)),
        se=float(error),
        n=rows.n,
        n_clusters=g,
        dims=rows.dims,
        diagnostics={
            "k": k,
            "k_permutation": k_permutation,
            "n_draws": draws,
            "n_permutations": len(null),
            "null_mean": float(np.mean(null)),
            "null_sd": float(np.std(null)),
            "effect_by": "Frenzel-Pompe CMI less its mean over permutations",
        },
    )


class Distances:
    """Maximum-norm distances within each side of one sample, from which CMI follows at once.

    Permuting x permutes rows and columns of its distances: nothing is searched again.
    """

    def __init__(self, x: Floats, y: Floats, z: Floats) -> None:
        self.x, of_y, self.z = (cdist(side, side, "chebyshev") for side in (x, y, z))
        self.yz = np.maximum(of_y, self.z)
        for matrix in (self.yz, self.z):  # no point is its own neighbor; x stays 0 there, for two
            np.fill_diagonal(matrix, np.inf)  # rows may take the same x

    def contributions(self, k: int, order: Integers | None = None) -> Floats:
        """(n,) nats: ψ(k) − ψ(n_xz + 1) − ψ(n_yz + 1) + ψ(n_z + 1). Source: frenzel2007."""
        x = self.x if order is None else self.x[order[:, None], order]
        joint = np.maximum(x, self.yz)
        radius = np.partition(joint, k - 1, axis=1)[:, k - 1, None]
        n_xz = ((x < radius) & (self.z < radius)).sum(1)
        n_yz, n_z = (self.yz < radius).sum(1), (self.z < radius).sum(1)
        psi = digamma(k) - digamma(n_xz + 1) - digamma(n_yz + 1) + digamma(n_z + 1)
        return np.asarray(psi)


def local_permutations(distances: Floats, k: int, count: int, rng: np.random.Generator) -> Integers:
    """(count, n) orders that send each row to one of its `k` nearest in z, itself among them.

    Rows in random order take a random neighbor that no row has yet taken, or any where all are
    gone, so that an order is nearly, not always, a permutation. Source: runge2018.
    """
    n = len(distances)
    own = distances.copy()
    np.fill_diagonal(own, -1.0)
    neighbors = np.argpartition(own, k - 1, axis=1)[:, :k]  # (n, k)
    orders = np.empty((count, n), dtype=np.int64)
    used = np.zeros((count, n), dtype=bool)
    each = np.arange(count)
    turns = rng.permuted(np.tile(np.arange(n), (count, 1)), axis=1)
    keys = rng.random((n, count, k))
    for turn in range(n):  # rows must wait for one another; all orders advance together
        row = turns[:, turn]
        options = neighbors[row]  # (count, k)
        free = keys[turn] - used[each[:, None], options]  # in [0, 1) where free, else below 0
        taken = options[each, free.argmax(1)]
        orders[each, row] = taken
        used[each, taken] = True
    return orders
