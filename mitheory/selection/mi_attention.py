"""MI-Attention: attention chooses first, MI-Pruner fills up."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..checks import check_share, lookup
from ..distributions import NO_NORMS
from .attention import NO_SUMS, received_by
from .engine import Picks, relative_slack, top_picks
from .mi import Problem, lead, mi_greedy, mi_problem, restricted


def mi_attention(
    visual: Tensor,
    text: Tensor,
    patch_attention: Tensor | None = None,
    received_attention: Tensor | None = None,
    *,
    budget: int,
    attention_ratio: float = 0.5,
    rounds: str = "fill",
    include_diagonal: bool = False,
    temperature: float = 0.1,
    self_temperature: float | None = None,
    relevance_weight: float = 0.5,
    aggregation: str = "max",
    redundancy_aggregation: str = "max",
    conditional: str = "softmax",
    self_conditional: str | None = None,
    prior: str | Tensor = "uniform",
    self_loop: bool = True,
    self_marginal: str = "uniform",
    empty_redundancy: float = 0.0,
    grid: tuple[int, ...] | None = None,
    zero_norm: str = "error",
    norms: Mapping[str, Tensor] = NO_NORMS,
    sums: Mapping[str, Tensor] = NO_SUMS,
) -> Picks:
    """A share of the budget by received attention, the rest by MI-Pruner on the residual.

    The paper says attention in round one and MI in round two, and no more. By default attention
    chooses half of the budget (rounded half up), and round two measures redundancy against the
    tokens of round one too; `rounds` has the other readings. Gains are NaN for tokens that
    attention chose: they are of another kind. A ratio of 0 is MI-Pruner and 1 is attention,
    whatever the reading.

    Source: Sec. 4.1 (MI-Attention); Eqs. (5), (22)-(24).

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    patch_attention : (b, heads, n_v, n_v)
    received_attention : (b, n_v), in its place, as in `attention`
    attention_ratio : share of round one, in [0, 1]
    rounds : "fill": round two fills up what round one chose; "fill_blind": it does so without
        counting round one's tokens as selected in its redundancy; "filter": round one keeps the
        budget and a share 1 − `attention_ratio` of all other tokens, among which round two chooses
        the whole budget
    include_diagonal : as in `attention`

    The other options are those of `mi_pruner`.

    Raises
    ------
    ParameterError
        If the ratio is outside [0, 1].
    MissingInputError
        If neither attention is given, or the diagonal is wanted and only sums are.
    UnknownNameError
        If `rounds` is none of those.
    """
    check_share("attention_ratio", attention_ratio)
    combine = lookup(rounds, ROUNDS, "rounds")
    problem = mi_problem(
        visual,
        text,
        temperature=temperature,
        self_temperature=self_temperature,
        relevance_weight=relevance_weight,
        aggregation=aggregation,
        redundancy_aggregation=redundancy_aggregation,
        conditional=conditional,
        self_conditional=self_conditional,
        prior=prior,
        self_loop=self_loop,
        self_marginal=self_marginal,
        empty_redundancy=empty_redundancy,
        grid=grid,
        zero_norm=zero_norm,
        norms=norms,
    )
    received = received_by(
        patch_attention, received_attention, include_diagonal=include_diagonal, sums=sums
    ).to(visual.dtype)
    picks = combine(problem, received, attention_ratio, budget)
    return Picks(picks.indices, picks.gains, picks.evaluations + received.shape[1])


def needed(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Attention, as a matrix unless `sums_do`. Source: Sec. 4.1 (MI-Attention)."""
    return ("patch_attention",)


def _fill(problem: Problem, received: Tensor, ratio: float, budget: int) -> Picks:
    return mi_greedy(problem, budget, _best(received, _half_up(ratio * budget)))


def _fill_blind(problem: Problem, received: Tensor, ratio: float, budget: int) -> Picks:
    first = _best(received, _half_up(ratio * budget))
    rest = budget - first.shape[1]
    if not rest:
        return mi_greedy(problem, budget, first)
    open_ = torch.ones_like(received, dtype=torch.bool).scatter_(1, first, False)
    return lead(first, _among(problem, open_.nonzero()[:, 1].view(len(first), -1), rest))


def _filter(problem: Problem, received: Tensor, ratio: float, budget: int) -> Picks:
    others = received.shape[1] - budget
    candidates = _best(received, budget + _half_up((1 - ratio) * others))
    if candidates.shape[1] == budget:
        return mi_greedy(problem, budget, candidates)
    return _among(problem, candidates.sort(dim=1).values, budget)


def _best(received: Tensor, size: int) -> Tensor:
    return top_picks(received, size, slack=relative_slack(received)).indices


def _among(problem: Problem, places: Tensor, budget: int) -> Picks:
    """MI-Pruner's choices among the tokens at ascending places (b, m)."""
    found = mi_greedy(restricted(problem, places), budget)
    return Picks(places.gather(1, found.indices), found.gains, found.evaluations)


def _half_up(x: float) -> int:
    return math.floor(x + 0.5)


ROUNDS: dict[str, Callable[[Problem, Tensor, float, int], Picks]] = {
    "fill": _fill,
    "fill_blind": _fill_blind,
    "filter": _filter,
}
"""Readings of "attention in round one, MI-guided pruning in round two"."""
