"""Checked arguments: tables of numbers, or of labels, with as many rows each."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..errors import DTypeError, EmptyInputError, NonFiniteError, ParameterError, ShapeError
from ..statistics.inputs import floats

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def table(name: str, values: ArrayLike) -> Floats:
    """Finite (n, d) float64, a vector being one column."""
    array = floats(name, _untorched(values))
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise ShapeError(f"{name} must be (n,) or (n, d); got {array.shape}")
    return np.ascontiguousarray(array)


def tables(**sides: ArrayLike) -> tuple[Floats, ...]:
    """Finite (n, d) float64 of every side, a vector being one column; typed errors otherwise."""
    found = [table(name, values) for name, values in sides.items()]
    _same_length(tuple(sides), [len(a) for a in found])
    return tuple(found)


def labels(**sides: ArrayLike) -> tuple[Integers, ...]:
    """Every side as numbers from 0 for its distinct labels, or distinct rows of labels."""
    found = []
    for name, values in sides.items():
        array = np.asarray(_untorched(values))
        if array.ndim not in (1, 2):
            raise ShapeError(f"{name} must be (n,) or (n, d) labels; got {array.shape}")
        if array.size == 0:
            raise EmptyInputError(f"{name} must not be empty; got shape {array.shape}")
        if array.dtype.kind == "f":
            if not np.isfinite(array).all():
                raise NonFiniteError(f"{name} must hold labels; got NaN or infinities")
            if (array != np.round(array)).any():
                raise DTypeError(f"{name} must hold labels, not real numbers; bin them first")
        elif array.dtype.kind not in "biuUSO":
            raise DTypeError(f"{name} must hold labels; got dtype {array.dtype}")
        axis = 0 if array.ndim == 2 else None
        if array.dtype == object:
            array = array.astype(str)
        found.append(np.unique(array, axis=axis, return_inverse=True)[1].astype(np.int64).ravel())
    _same_length(tuple(sides), [len(a) for a in found])
    return tuple(found)


def jointly(*sides: Integers) -> Integers:
    """One label for each combination of labels."""
    return np.unique(np.stack(sides, 1), axis=0, return_inverse=True)[1].astype(np.int64).ravel()


def check_varies(**sides: Floats) -> None:
    """Refuse constant columns."""
    for name, array in sides.items():
        spread = np.ptp(array, axis=0)
        if len(flat := np.flatnonzero(spread == 0)):
            raise ParameterError(f"{name}: column {flat[0]} is constant; leave it out")


def check_neighbors(k: int, n: int) -> int:
    """`k` if it is a number of neighbors that n points can have."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise DTypeError(f"k must be an int; got {k!r}")
    if not 1 <= k < n:
        raise ParameterError(f"k must be in 1 .. n - 1 = {n - 1}; got {k}")
    return int(k)


def check_count(name: str, value: int) -> int:
    """`value` if it is a positive int."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise DTypeError(f"{name} must be an int; got {value!r}")
    if value < 1:
        raise ParameterError(f"{name} must be positive; got {value}")
    return int(value)


def check_rng(rng: np.random.Generator) -> np.random.Generator:
    """`rng` if it is a generator."""
    if not isinstance(rng, np.random.Generator):
        raise DTypeError(f"rng must be a np.random.Generator; got {type(rng).__name__}")
    return rng


def _untorched(values: ArrayLike) -> ArrayLike:
    """A tensor as an array: NumPy refuses gradients and devices, and knows no bfloat16."""
    if not isinstance(values, torch.Tensor):
        return values
    plain = values.detach().cpu()
    return np.asarray(plain.double() if plain.is_floating_point() else plain)


def _same_length(names: tuple[str, ...], lengths: list[int]) -> None:
    for name, length in zip(names, lengths, strict=True):
        if length != lengths[0]:
            raise ShapeError(f"{name} must have n = {lengths[0]} rows as {names[0]}; got {length}")
    if lengths[0] < 2:
        raise EmptyInputError(f"an estimate needs at least 2 rows; got {lengths[0]}")
