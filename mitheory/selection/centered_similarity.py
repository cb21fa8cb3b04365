"""Centered similarity: the warm limit of MI-Pruner's relevance."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..distributions import NO_NORMS, unit_cosines
from ..pmi import centered_similarity as double_center
from .engine import Picks, rounding_slack, top_picks


def centered_similarity(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int,
    zero_norm: str = "error",
    norms: Mapping[str, Tensor] = NO_NORMS,
) -> Picks:
    """The tokens of largest double-centered cosine with any word.

    It isolates what the nonlinearity of PMI adds over removing the means of rows and columns. (Its
    mean over words is zero throughout, so the maximum is the only aggregation.)

    Source: the limit of Eq. (18) as τ grows.

    Examples
    --------
    >>> import torch
    >>> v = torch.tensor([[[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]]])
    >>> centered_similarity(v, torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), budget=1).indices
    tensor([[0]])
    """
    cosine = unit_cosines(visual, text, zero_norm=zero_norm, norms=norms)
    scores = double_center(cosine).amax(-1)
    return top_picks(scores, budget, slack=rounding_slack(scores))
