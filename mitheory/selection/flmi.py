"""FLMI: facility location in which a token counts no more than the prompt wants it."""

from __future__ import annotations

from torch import Tensor

from .engine import Picks
from .facility import facility_greedy
from .facility_location import token_weights
from .kernels import DEFAULT_TEMPERATURE, check_at_least_zero, coarseness, word_weights


def flmi(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int,
    query_weight: float = 1.0,
    kernel: str = "shifted",
    temperature: float = DEFAULT_TEMPERATURE,
    zero_norm: str = "error",
) -> Picks:
    """Greedy f(S) = Σ_i min(max_{a∈S} s_ia, η max_q s_iq) over tokens i and words q.

    Once every token is served up to its cap nothing gains anything, and the rest of the budget
    goes to the lowest indices.

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
    >>> flmi(v, torch.tensor([[[0.0, 1.0]]]), budget=1).indices
    tensor([[1]])
    """
    check_at_least_zero("query_weight", query_weight)
    words = word_weights(visual, text, kernel, temperature, zero_norm)  # (b, n_t, n_v)
    cap = query_weight * words.amax(1)
    weights = token_weights(visual, kernel, temperature, zero_norm).minimum(cap[..., None])
    return facility_greedy(weights, budget, scale=coarseness(kernel, temperature))
