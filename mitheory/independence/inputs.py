"""Checked arguments of a test: three tables of rows, and the image of each row."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DTypeError, ParameterError, ShapeError
from ..statistics.inputs import cluster_codes, floats

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
LEAST_CLUSTERS = 20  # five folds of four: with fewer no regression is cross-fitted to any purpose


@dataclass(frozen=True, eq=False)
class Rows:
    """x (n, d_x), y (n, d_y), z (n, d_z) and the cluster of each row."""

    x: Floats
    y: Floats
    z: Floats
    codes: Integers
    n_clusters: int

    @property
    def n(self) -> int:
        """How many rows."""
        return len(self.codes)

    @property
    def dims(self) -> tuple[int, int, int]:
        """Columns of x, y, z."""
        return self.x.shape[1], self.y.shape[1], self.z.shape[1]


def check_rows(
    x: ArrayLike, y: ArrayLike, z: ArrayLike, clusters: ArrayLike | None, rng: np.random.Generator
) -> Rows:
    """The arguments as `Rows`; a typed error otherwise."""
    rows = check_tables(x, y, z, clusters, rng)
    x, y, z = (standardized(name, getattr(rows, name)) for name in "xyz")
    return replace(rows, x=x, y=y, z=z)


def check_tables(
    x: ArrayLike, y: ArrayLike, z: ArrayLike, clusters: ArrayLike | None, rng: np.random.Generator
) -> Rows:
    """The same with columns as they came."""
    check_rng(rng)
    sides = {name: table(name, a) for name, a in (("x", x), ("y", y), ("z", z))}
    n = len(sides["x"])
    for name, side in sides.items():
        if len(side) != n:
            raise ShapeError(f"{name} must have n = {n} rows as x has; got {len(side)}")
    codes, n_clusters = groups(clusters, n)
    return Rows(**sides, codes=codes, n_clusters=n_clusters)


def groups(clusters: ArrayLike | None, n: int) -> tuple[Integers, int]:
    """Cluster of each row as a number from 0 (each its own if None), and how many there are."""
    codes, n_clusters = cluster_codes(np.arange(n) if clusters is None else clusters, n)
    if n_clusters < LEAST_CLUSTERS:
        raise ParameterError(
            f"a test needs {LEAST_CLUSTERS} independent clusters (images); got {n_clusters}"
        )
    return codes, n_clusters


def table(name: str, values: ArrayLike) -> Floats:
    """Finite (n, d); a vector is one column."""
    array = floats(name, values)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise ShapeError(f"{name} must be (n,) or (n, d); got {array.shape}")
    return array


def standardized(name: str, array: Floats) -> Floats:
    """Columns with mean 0 and variance 1."""
    scale = array.std(0)
    flat = np.flatnonzero(scale <= 1e-12 * np.abs(array).max(0).clip(1e-300))
    if len(flat):
        raise ParameterError(f"{name}: column {flat[0]} is constant; leave it out")
    return (array - array.mean(0)) / scale


def one_row_per_cluster(codes: Integers, rng: np.random.Generator) -> Integers:
    """A random row of each cluster, in the order of the codes."""
    order = rng.permutation(len(codes))
    return order[np.unique(codes[order], return_index=True)[1]]


def check_rng(rng: np.random.Generator) -> None:
    """Refuse anything but a generator."""
    if not isinstance(rng, np.random.Generator):
        raise DTypeError(f"rng must be a np.random.Generator; got {type(rng).__name__}")


def check_count(name: str, value: int, least: int = 1) -> int:
    """`value` if it is an int of at least `least`; ParameterError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ParameterError(f"{name} must be an int of at least {least}; got {value!r}")
    return int(value)
