"""Checks of the matrices that set functions are built from."""

from __future__ import annotations

import torch
from torch import Tensor

from ..checks import check_finite, check_matrix
from ..errors import DistributionError, ParameterError, ShapeError


def check_array(name: str, x: Tensor, *, rank: int) -> None:
    """A finite, nonempty floating tensor of this rank."""
    check_finite(name, check_matrix(name, x, ndim=rank))


def check_symmetric(name: str, x: Tensor, *, size: int | None = None) -> None:
    """A finite symmetric matrix, of this size if one is given."""
    check_array(name, x, rank=2)
    wanted = len(x) if size is None else size
    if x.shape != (wanted, wanted):
        raise ShapeError(f"{name}: expected ({wanted}, {wanted}), got {tuple(x.shape)}")
    if not torch.allclose(x, x.T, rtol=1e-6, atol=1e-6):
        raise ParameterError(f"{name}: expected a symmetric matrix, got one that is not")


def check_range(name: str, x: Tensor, *, low: float, high: float = float("inf")) -> None:
    """Every entry in [low, high]."""
    if bool((x < low).any()) or bool((x > high).any()):
        extent = f"[{float(x.min())}, {float(x.max())}]"
        raise ParameterError(f"{name}: expected entries in [{low}, {high}], got {extent}")


def check_table(name: str, table: Tensor) -> None:
    """A joint probability table over at least two variables."""
    if not isinstance(table, Tensor) or table.ndim < 2:
        came = tuple(table.shape) if isinstance(table, Tensor) else type(table).__name__
        raise ShapeError(f"{name}: expected a table over V_1..V_n and T, got {came}")
    check_array(name, table, rank=table.ndim)
    total = float(table.sum())
    if bool((table < 0).any()) or abs(total - 1) > 1e-6:
        raise DistributionError(
            f"{name}: expected probabilities summing to 1, got sum {total:g} and smallest "
            f"{float(table.min()):g}"
        )
