"""Checked arguments: values as float64, labels as numbers from 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DTypeError, EmptyInputError, NonFiniteError, ParameterError, ShapeError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def floats(name: str, values: ArrayLike) -> Floats:
    """Finite float64 of numbers or booleans."""
    array = np.asarray(values)
    if array.dtype == object and all(
        isinstance(v, bool | int | float | np.number | np.bool) for v in array.ravel()
    ):
        array = array.astype(np.float64)  # a pandas column of nullable type
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{name} must hold numbers or booleans; got dtype {array.dtype}")
    if array.size == 0:
        raise EmptyInputError(f"{name} must not be empty; got shape {array.shape}")
    array = array.astype(np.float64)
    if bad := int((~np.isfinite(array)).sum()):
        raise NonFiniteError(f"{name} must be finite; {bad} of {array.size} are not")
    return array


def vector(name: str, values: ArrayLike) -> Floats:
    """A finite float64 vector."""
    array = floats(name, values)
    if array.ndim != 1:
        raise ShapeError(f"{name} must be (n,); got {array.shape}")
    return array


def paired_differences(first: ArrayLike, second: ArrayLike) -> Floats:
    """Row by row."""
    one, other = vector("first", first), vector("second", second)
    if len(one) != len(other):
        raise ShapeError(f"second must have n = {len(one)} rows as first has; got {len(other)}")
    return one - other


def cluster_codes(clusters: ArrayLike, n: int) -> tuple[Integers, int]:
    """The cluster of each row as a number from 0, and how many clusters there are."""
    labels = np.asarray(clusters)
    if labels.shape != (n,):
        raise ShapeError(f"clusters must have one label for each of n = {n}; got {labels.shape}")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise NonFiniteError("clusters must be labels; got NaN or infinities")
    try:
        names, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise DTypeError(f"clusters must be labels of one type: {error}") from error
    if len(names) < 2:
        raise ParameterError(f"clusters must be two or more; got only {names[0]!r}")
    return codes.astype(np.int64), len(names)


def check_options(level: float, n_resamples: int, rng: np.random.Generator) -> None:
    """Refuse options out of range, and anything but a generator for `rng`."""
    if not isinstance(rng, np.random.Generator):
        raise DTypeError(f"rng must be a np.random.Generator; got {type(rng).__name__}")
    if not 0 < level < 1:
        raise ParameterError(f"level must lie in (0, 1); got {level}")
    if isinstance(n_resamples, bool) or not isinstance(n_resamples, int | np.integer):
        raise DTypeError(f"resamples must be an int; got {type(n_resamples).__name__}")
    if n_resamples < 1:
        raise ParameterError(f"resamples must be positive; got {n_resamples}")
