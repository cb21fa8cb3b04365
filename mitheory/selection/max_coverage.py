"""Maximum coverage: words that at least one kept token stands for."""

from __future__ import annotations

import torch
from torch import Tensor

from .engine import Picks
from .kernels import DEFAULT_TEMPERATURE, coarseness, word_weights
from .saturation import saturating_greedy


def max_coverage(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int,
    kernel: str = "shifted",
    temperature: float = DEFAULT_TEMPERATURE,
    zero_norm: str = "error",
) -> Picks:
    """Greedy f(S) = (1 / n_t) Σ_j (1 − Π_{i∈S} (1 − p_ji)) over words j.

    p_ji, the nonnegative similarity, is taken as the chance that token i shows word j,
    independently of the others; f is the expected share of the words that are shown. With the
    softmax of Eq. (16) in its place every token would cover 1 / n_t at first, and all would tie.

    Source: nemhauser1978.

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    kernel, temperature : as in `facility_location`

    Examples
    --------
    >>> v = torch.tensor([[[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]])
    >>> max_coverage(v, torch.eye(2)[None], budget=2).indices
    tensor([[1, 2]])
    """
    shown = word_weights(visual, text, kernel, temperature, zero_norm).clamp_(max=1)
    n_t = shown.shape[1]

    def gains(missed: Tensor) -> Tensor:
        return (missed[:, None] @ shown)[:, 0]

    start = shown.new_full(shown.shape[:2], 1 / n_t)
    scale = coarseness(kernel, temperature)
    return saturating_greedy(1 - shown, start, gains, torch.mul, budget, scale=scale)
