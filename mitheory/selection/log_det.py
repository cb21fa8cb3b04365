"""Log-determinant: Gaussian mutual information of the kept tokens with the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from ..distributions import NO_NORMS, unit_rows
from .cholesky import quality_diversity
from .engine import CosineRows, Picks
from .kernels import DEFAULT_TEMPERATURE, check_at_least_zero, word_relevance

RIDGE = 0.01


def log_det(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int,
    relevance_weight: float = 1.0,
    relevance: str = "cosine",
    word_aggregation: str = "max",
    ridge: float = RIDGE,
    temperature: float = DEFAULT_TEMPERATURE,
    zero_norm: str = "error",
    norms: Mapping[str, Tensor] = NO_NORMS,
) -> Picks:
    """Greedy f(S) = w Σ_{i∈S} r_i + ½ log det(C_SS + ε I), C the cosines of the tokens.

    Submodular for any relevance r, and Gaussian mutual information under conditional independence
    if w r_i = I(V_i; T) and ε = 0. Not monotone: greedy has no 1 − 1/e. Without a ridge, tokens
    past the rank follow by relevance.

    Source: krause2005; chen2018, Algorithm 1; Eq. (9).

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    relevance_weight : w ≥ 0
    relevance : "cosine", or "posterior" for log p(v_i | t_j) + log n_v
    word_aggregation : "max" or "mean" over words
    ridge : ε ≥ 0
    temperature : τ > 0, of "posterior"

    Examples
    --------
    >>> import torch
    >>> v = torch.tensor([[[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]])
    >>> log_det(v, torch.tensor([[[1.0, 0.0]]]), budget=2).indices
    tensor([[0, 2]])
    """
    check_at_least_zero("relevance_weight", relevance_weight)
    check_at_least_zero("ridge", ridge)
    worth = relevance_weight * word_relevance(
        visual,
        text,
        relevance=relevance,
        word_aggregation=word_aggregation,
        temperature=temperature,
        zero_norm=zero_norm,
        norms=norms,
    )
    unit = unit_rows("visual", visual, zero_norm=zero_norm, norm=norms.get("visual"))
    rows = CosineRows(unit)
    picks = quality_diversity(rows, worth, budget, ridge=ridge)
    return replace(picks, gains=picks.gains / 2)
