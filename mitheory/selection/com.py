"""COM: concave over modular; a word that has much already gains little from more."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..checks import lookup
from ..setfunctions import CONCAVE
from .engine import Picks
from .kernels import DEFAULT_TEMPERATURE, check_at_least_zero, coarseness, word_weights
from .saturation import saturating_greedy


def com(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int,
    query_weight: float = 1.0,
    concave: str = "sqrt",
    kernel: str = "shifted",
    temperature: float = DEFAULT_TEMPERATURE,
    zero_norm: str = "error",
) -> Picks:
    """Greedy f(S) = η Σ_{a∈S} ψ(Σ_q s_qa) + Σ_q ψ(Σ_{a∈S} s_qa) over words q.

    Source: iyer2021.

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    query_weight : η ≥ 0
    concave : "sqrt" or "log1p", ψ
    kernel, temperature : as in `facility_location`

    Examples
    --------
    >>> v = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]])
    >>> com(v, torch.tensor([[[0.0, 1.0]]]), budget=2).indices
    tensor([[1, 0]])
    """
    check_at_least_zero("query_weight", query_weight)
    psi = lookup(concave, CONCAVE, "concave function")
    rise = RISES[concave]
    words = word_weights(visual, text, kernel, temperature, zero_norm)  # (b, n_t, n_v)
    alone = query_weight * psi(words.sum(1))

    def gains(mass: Tensor) -> Tensor:
        return rise(mass[..., None], words).sum(1) + alone

    start = words.new_zeros(words.shape[:2])
    scale = coarseness(kernel, temperature)
    return saturating_greedy(words, start, gains, torch.add, budget, scale=scale)


def _sqrt(mass: Tensor, added: Tensor) -> Tensor:
    whole = (mass + added).sqrt() + mass.sqrt()
    return torch.where(whole > 0, added / whole, 0.0)


def _log1p(mass: Tensor, added: Tensor) -> Tensor:
    return torch.log1p(added / (1 + mass))


RISES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"sqrt": _sqrt, "log1p": _log1p}
"""ψ(mass + added) − ψ(mass) without cancellation, by name of ψ."""
