"""GCMI: the similarity with all words, added up."""

from __future__ import annotations

from torch import Tensor

from .engine import Picks, relative_slack, top_picks
from .kernels import DEFAULT_TEMPERATURE, coarseness, word_weights


def gcmi(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int,
    kernel: str = "shifted",
    temperature: float = DEFAULT_TEMPERATURE,
    zero_norm: str = "error",
) -> Picks:
    """The tokens of largest 2 Σ_q s_qa: modular, so that one sort is exact.

    Its factor λ changes no choice and is 1 here.

    Source: iyer2021.

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    kernel, temperature : as in `facility_location`

    Examples
    --------
    >>> import torch
    >>> v = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]])
    >>> gcmi(v, torch.tensor([[[0.0, 1.0]]]), budget=2).indices
    tensor([[1, 0]])
    """
    scores = 2 * word_weights(visual, text, kernel, temperature, zero_norm).sum(1)
    slack = relative_slack(scores) * coarseness(kernel, temperature)
    return top_picks(scores, budget, slack=slack)
