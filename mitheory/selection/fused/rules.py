"""The methods whose loop is fused, in the terms of `Loop`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...distributions import ROUNDING_UNITS
from ...errors import ParameterError
from ..engine import Picks
from .greedy import Loop, fused_greedy

if TYPE_CHECKING:  # which calls this
    from ..mi import Problem


def fused_mi(problem: Problem, budget: int, first: Tensor | None = None) -> Picks:
    """What `mi_greedy` does at λ < 1: λ times relevance less 1 − λ times redundancy.

    Source: Eqs. (20)-(24); Algorithm 1, lines 11-19.

    Parameters
    ----------
    problem : relevance, and PMI of the tokens with each other by the numbers of its rows
    budget : with the tokens of `first`
    first : (b, k_1), chosen already; their gains are NaN

    Raises
    ------
    ParameterError
        At λ = 1, where nothing is redundant: that is one sort.
    """
    redundancy, relevance = problem.redundancy, problem.relevance
    if redundancy is None:
        raise ParameterError("relevance_weight: expected less than 1, or there is no loop to fuse")
    lam = problem.relevance_weight
    benefit = lam * relevance if lam else torch.zeros_like(relevance)
    total = problem.redundancy_aggregation == "global"
    loop = Loop(
        unit=redundancy.unit,
        start=benefit,
        benefit=benefit,
        slack=problem.slack,
        charge=redundancy.conditional + ("_weighted" if total else ""),
        total=total,
        shift=redundancy.shift,
        log_scale=redundancy.log_scale,
        log_marginal=redundancy.log_marginal,
        temperature=redundancy.temperature,
        weight=1 - lam,
        rounding=ROUNDING_UNITS * torch.finfo(relevance.dtype).eps,
        cosine=redundancy.whole,
    )
    picks = fused_greedy(loop, budget, first)
    if problem.empty_redundancy and (first is None or not first.shape[1]):
        picks.gains[:, 0] -= (1 - lam) * problem.empty_redundancy
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

    Source: alvar2025divprune.

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
