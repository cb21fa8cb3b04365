"""The methods whose loop is fused, in the terms of `Loop`."""

from __future__ import annotations

import torch
from torch import Tensor

from ...distributions import ROUNDING_UNITS
from ...pmi import SelfPMI
from ..engine import Picks
from .greedy import Loop, fused_greedy


def fused_mi(
    redundancy: SelfPMI,
    relevance: Tensor,
    budget: int,
    *,
    relevance_weight: float,
    redundancy_aggregation: str,
    empty_redundancy: float,
    slack: float,
    first: Tensor | None = None,
) -> Picks:
    """MI-Pruner's loop at λ < 1: λ times relevance less 1 − λ times redundancy.

    Source: Eqs. (20)-(24); Algorithm 1, lines 11-19.

    Parameters
    ----------
    redundancy : PMI of the tokens with each other, by the numbers of its rows
    relevance : (b, n_v)
    budget : with the tokens of `first`
    relevance_weight : λ
    redundancy_aggregation : "max" or "global"
    empty_redundancy : S^self before the first choice
    slack : scores closer than this are ties
    first : (b, k_1), chosen already; their gains are NaN
    """
    weight = 1 - relevance_weight
    benefit = relevance_weight * relevance if relevance_weight else torch.zeros_like(relevance)
    total = redundancy_aggregation == "global"
    loop = Loop(
        unit=redundancy.unit,
        start=benefit,
        benefit=benefit,
        slack=slack,
        charge=redundancy.conditional + ("_weighted" if total else ""),
        total=total,
        shift=redundancy.shift,
        log_scale=redundancy.log_scale,
        log_marginal=redundancy.log_marginal,
        temperature=redundancy.temperature,
        weight=weight,
        rounding=ROUNDING_UNITS * torch.finfo(relevance.dtype).eps,
    )
    picks = fused_greedy(loop, budget, first)
    if empty_redundancy and (first is None or not first.shape[1]):
        picks.gains[:, 0] -= weight * empty_redundancy
    return picks


def fused_distances(
    unit: Tensor,
    start: Tensor,
    budget: int,
    *,
    slack: float,
    cosine: Tensor | None = None,
) -> Picks:
    """The token farthest from those chosen, again and again; cosine distance.

    Source: alvar2025divprune; ravi1994.

    Parameters
    ----------
    unit : (b, n_v, d) unit rows
    start : (b, n_v), what the first choice maximizes
    budget : number of tokens
    slack : distances closer than this are ties
    cosine : (b, n_v, n_v) if it is at hand
    """
    nothing = torch.zeros_like(start)
    loop = Loop(
        unit=unit,
        start=start,
        benefit=nothing,
        slack=slack,
        charge="distance",
        total=False,
        shift=nothing,
        log_scale=nothing,
        log_marginal=nothing,
        cosine=cosine,
    )
    return fused_greedy(loop, budget)
