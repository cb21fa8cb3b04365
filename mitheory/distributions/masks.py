"""Padding of ragged batches: what is hidden has log-probability -inf."""

from __future__ import annotations

import torch
from torch import Tensor


def outside(like: Tensor, row_mask: Tensor | None, column_mask: Tensor | None) -> Tensor:
    """True at the padding of a (..., n_v, n_x) tensor.

    Parameters
    ----------
    like : (..., n_v, n_x)
    row_mask, column_mask : (..., n_v), (..., n_x) bool or None
        True where a row or column is real.

    Returns
    -------
    (..., n_v, n_x) bool

    Examples
    --------
    >>> outside(torch.zeros(2, 2), torch.tensor([True, False]), None)
    tensor([[False, False],
            [ True,  True]])
    """
    hidden = torch.zeros_like(like, dtype=torch.bool)
    if row_mask is not None:
        hidden = hidden | ~row_mask.unsqueeze(-1)
    if column_mask is not None:
        hidden = hidden | ~column_mask.unsqueeze(-2)
    return hidden


def hide(x: Tensor, row_mask: Tensor | None, column_mask: Tensor | None) -> Tensor:
    """`x` with -inf in its padding.

    Parameters
    ----------
    x : (..., n_v, n_x)
    row_mask, column_mask : (..., n_v), (..., n_x) bool or None

    Returns
    -------
    (..., n_v, n_x)

    Examples
    --------
    >>> hide(torch.zeros(2, 2), None, torch.tensor([True, False]))
    tensor([[0., -inf],
            [0., -inf]])
    """
    if row_mask is None and column_mask is None:
        return x
    return x.masked_fill(outside(x, row_mask, column_mask), -torch.inf)
