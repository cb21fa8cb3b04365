"""FLQMI: each word is served by its best token, and each token counts by its best word."""

from __future__ import annotations

from torch import Tensor

from .engine import Picks
from .facility import facility_greedy
from .kernels import DEFAULT_TEMPERATURE, check_at_least_zero, coarseness, word_weights


def flqmi(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int,
    query_weight: float = 1.0,
    kernel: str = "shifted",
    temperature: float = DEFAULT_TEMPERATURE,
    zero_norm: str = "error",
) -> Picks:
    """Greedy f(S) = Σ_q max_{a∈S} s_qa + η Σ_{a∈S} max_q s_qa over words q.

    Source: iyer2021.

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    query_weight : η ≥ 0
    kernel, temperature : as in `facility_location`

    Examples
    --------
    >>> import torch
    >>> v = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]])
    >>> flqmi(v, torch.tensor([[[0.0, 1.0]]]), budget=2).indices
    tensor([[1, 0]])
    """
    check_at_least_zero("query_weight", query_weight)
    words = word_weights(visual, text, kernel, temperature, zero_norm)  # (b, n_t, n_v)
    bonus = query_weight * words.amax(1)
    return facility_greedy(words, budget, bonus=bonus, scale=coarseness(kernel, temperature))
