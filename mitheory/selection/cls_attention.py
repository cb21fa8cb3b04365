"""[CLS] attention: rank patches by the attention that the class token pays to them."""

from __future__ import annotations

from torch import Tensor

from .engine import Picks, relative_slack, top_picks


def cls_attention(cls_attention: Tensor, *, budget: int) -> Picks:
    """The tokens of largest [CLS] attention, mean over heads: FasterVLM.

    Source: Eq. (5), left; zhang2025vispruner (its first version).

    Parameters
    ----------
    cls_attention : (b, heads, n_v)

    Examples
    --------
    >>> import torch
    >>> two_heads = torch.tensor([[[0.1, 0.9, 0.0], [0.5, 0.1, 0.4]]])
    >>> cls_attention(two_heads, budget=2).indices
    tensor([[1, 0]])
    """
    scores = cls_attention.mean(1)  # (b, heads, n_v) -> (b, n_v)
    return top_picks(scores, budget, slack=relative_slack(scores))
