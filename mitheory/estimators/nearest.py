"""Mutual information from distances to nearest neighbors, in the maximum norm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.special import digamma

from ..errors import ParameterError
from .inputs import Floats, Integers, check_neighbors, check_varies, tables
from .records import Estimate

TREE_DIMENSIONS = 8  # jointly; above, a tree visits every point and blocks of distances are faster
BLOCK_ENTRIES = 4_000_000  # distances held at a time, per side


def ksg_mi(
    x: ArrayLike, y: ArrayLike, *, k: int = 3, algorithm: int = 1, standardize: bool = False
) -> Estimate:
    """Kraskov, Stögbauer and Grassberger's estimate of I(X;Y).

    Source: kraskov2004, Eq. 8 (algorithm 1) and Eq. 9 (algorithm 2).

    Parameters
    ----------
    x : (n, d_x) or (n,)
    y : (n, d_y) or (n,)
    k : neighbors
    algorithm : {1, 2}
        1: all sides share the radius of the k-th joint neighbor. 2: each side its own, the largest
        distance on that side to the k neighbors.
    standardize : scale every column to variance 1 first

    Returns
    -------
    Estimate
        Biased toward 0, the more the higher the dimension.

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError
        If an array is not as said.
    ParameterError
        If k is not in 1 .. n−1, a column is constant, or the algorithm unknown.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal(500)
    >>> ksg_mi(x, x + rng.standard_normal(500)).value  # the truth is log(2)/2 = 0.347
    0.45
    """
    sides = _sides(standardize, x=x, y=y)
    n = len(sides[0])
    k = check_neighbors(k, n)
    if algorithm not in (1, 2):
        raise ParameterError(f"algorithm must be 1 or 2; got {algorithm!r}")
    radius, reach = joint_radii(sides, k)
    if algorithm == 1:
        counts = [neighbors_within([side], radius, closed=False) for side in sides]
        rows = digamma(k) + digamma(n) - sum(digamma(c + 1) for c in counts)
    else:
        counts = [neighbors_within([side], reach[i], closed=True) for i, side in enumerate(sides)]
        rows = digamma(k) - 1 / k + digamma(n) - sum(digamma(c) for c in counts)
    return _estimate("ksg", rows, sides, radius, k, algorithm=algorithm, standardize=standardize)


def frenzel_pompe_cmi(
    x: ArrayLike, y: ArrayLike, z: ArrayLike, *, k: int = 3, standardize: bool = False
) -> Estimate:
    """Frenzel and Pompe's estimate of I(X;Y|Z).

    Source: frenzel2007.

    Parameters
    ----------
    x, y, z : (n, d) or (n,)
    k : neighbors
    standardize : scale every column to variance 1 first

    Returns
    -------
    Estimate
        Biased toward 0, the more the higher the dimension.

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError, ParameterError
        As `ksg_mi`.
    """
    sides = _sides(standardize, x=x, y=y, z=z)
    k = check_neighbors(k, len(sides[0]))
    radius, _ = joint_radii(sides, k)
    one, other, given = sides
    n_xz, n_yz, n_z = (
        neighbors_within(block, radius, closed=False)
        for block in ([one, given], [other, given], [given])
    )
    rows = digamma(k) - digamma(n_xz + 1) - digamma(n_yz + 1) + digamma(n_z + 1)
    return _estimate("frenzel_pompe", rows, sides, radius, k, standardize=standardize)


def _sides(standardize: bool, **arrays: ArrayLike) -> tuple[Floats, ...]:
    sides = tables(**arrays)
    check_varies(**dict(zip(arrays, sides, strict=True)))
    return tuple((s - s.mean(0)) / s.std(0) for s in sides) if standardize else sides


def _estimate(
    name: str, rows: Floats, sides: Sequence[Floats], radius: Floats, k: int, **options: object
) -> Estimate:
    return Estimate(
        value=float(rows.mean()),
        estimator=name,
        n=len(rows),
        dims=tuple(side.shape[1] for side in sides),
        pointwise=rows,
        diagnostics={"k": k, **options, "rows_with_k_duplicates": int((radius == 0).sum())},
    )


def joint_radii(sides: Sequence[Floats], k: int) -> tuple[Floats, Floats]:
    """Distance of each row to its k-th neighbor, and (sides, n) the largest on each side.

    The second is over the k nearest rows jointly.
    """
    if sum(side.shape[1] for side in sides) <= TREE_DIMENSIONS:
        joint = np.concatenate(sides, axis=1)
        distance, index = cKDTree(joint).query(joint, k + 1, p=np.inf)
        nearest = _without_self(index)
        return distance[:, k], _reach(sides, np.arange(len(joint)), nearest)
    radii, reaches = [], []
    for rows in _blocks(len(sides[0])):
        joint = np.zeros((len(rows), len(sides[0])))
        for side in sides:
            np.maximum(joint, cdist(side[rows], side, "chebyshev"), out=joint)
        joint[np.arange(len(rows)), rows] = np.inf
        nearest = np.argpartition(joint, k - 1, axis=1)[:, :k]
        radii.append(np.take_along_axis(joint, nearest, 1).max(1))
        reaches.append(_reach(sides, rows, nearest))
    return np.concatenate(radii), np.concatenate(reaches, axis=1)


def neighbors_within(parts: Sequence[Floats], radius: Floats, *, closed: bool) -> Integers:
    """Other rows within each row's radius of it, in the maximum norm over `parts`.

    `closed` counts those at exactly the radius too.
    """
    data = np.concatenate(parts, axis=1)
    bound = radius if closed else np.nextafter(radius, -np.inf)
    if data.shape[1] <= TREE_DIMENSIONS:
        # a radius of 0 leaves a negative bound: nobody is nearer than a duplicate, not even itself
        found = cKDTree(data).query_ball_point(
            data, np.maximum(bound, 0), p=np.inf, return_length=True
        )
        found = np.where(bound < 0, 1, found)
        return np.asarray(found, dtype=np.int64) - 1
    counts = []
    for rows in _blocks(len(data)):
        near = cdist(data[rows], data, "chebyshev") <= bound[rows, None]
        near[np.arange(len(rows)), rows] = False
        counts.append(near.sum(1))
    return np.concatenate(counts)


def _without_self(index: Integers) -> Integers:
    """Neighbors (n, k) of a query (n, k+1) that found each row too, in any place among ties."""
    own = index == np.arange(len(index))[:, None]
    own[~own.any(1), -1] = True  # more duplicates than neighbors asked for: drop the last
    return index[~own].reshape(len(index), -1)


def _reach(sides: Sequence[Floats], rows: Integers, nearest: Integers) -> Floats:
    """(sides, n) largest distance on each side to the rows `nearest` (n, k)."""
    return np.stack([np.abs(side[rows, None] - side[nearest]).max(axis=(1, 2)) for side in sides])


def _blocks(n: int) -> list[Integers]:
    size = max(1, BLOCK_ENTRIES // n)
    return [np.arange(i, min(i + size, n)) for i in range(0, n, size)]
