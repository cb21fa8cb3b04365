"""Attention: rank patches by the attention that other patches pay to them."""

from __future__ import annotations

from torch import Tensor

from .engine import Picks, relative_slack, top_picks


def attention(patch_attention: Tensor, *, budget: int, include_diagonal: bool = False) -> Picks:
    """The tokens that receive most attention: column sums of the head mean.

    Eq. (5) leaves out what a patch pays to itself; the public ports keep it (`include_diagonal`).

    Source: Eq. (5), right; yang2025visionzip.

    Parameters
    ----------
    patch_attention : (b, heads, n_v, n_v), row attends to column
    """
    scores = received_attention(patch_attention, include_diagonal=include_diagonal)
    return top_picks(scores, budget, slack=relative_slack(scores))


def received_attention(patch_attention: Tensor, *, include_diagonal: bool = False) -> Tensor:
    """Attention (b, n_v) that every token receives from the others, mean over heads.

    Source: Eq. (5), right.

    Examples
    --------
    >>> import torch
    >>> received_attention(torch.tensor([[[[0.9, 0.1], [0.3, 0.7]]]]))
    tensor([[0.3000, 0.1000]])
    """
    mean = patch_attention.mean(1)  # (b, n_v, n_v)
    received = mean.sum(1)
    return received if include_diagonal else received - mean.diagonal(dim1=1, dim2=2)
