"""Inputs on which a public code fails, refused in its faithful mode."""

from __future__ import annotations

from torch import Tensor

from ..errors import BudgetError, ZeroNormError


def refuse_zero_rows(method: str, name: str, x: Tensor) -> None:
    """Zero rows, which the public code divides by their norm.

    Raises
    ------
    ZeroNormError

    Examples
    --------
    >>> import torch
    >>> refuse_zero_rows("divprune", "visual", torch.zeros(1, 2, 3))
    Traceback (most recent call last):
    ...
    mitheory.errors.ZeroNormError: divprune: the public code turns a zero row into NaN, visual has \
one at (0, 0); use mode="exact"
    """
    zero = (x == 0).all(-1)
    if bool(zero.any()):
        place = tuple(int(i) for i in zero.nonzero()[0])
        raise ZeroNormError(
            f"{method}: the public code turns a zero row into NaN, {name} has one at {place}; "
            'use mode="exact"'
        )


def refuse_single_token(method: str, n: int) -> None:
    """One token, of which there is no nearest neighbor.

    Raises
    ------
    BudgetError
    """
    if n < 2:
        raise BudgetError(
            f"{method}: the public code asks for the second-smallest of {n} distances; "
            'use mode="exact"'
        )
