"""Relevance and redundancy of MI-Pruner, batched; shared by `mi_pruner` and `mi_attention`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..aggregation import resolve_aggregation
from ..checks import check_relevance_weight, check_temperature, lookup
from ..errors import ParameterError
from ..pmi import SELF_CONDITIONALS, SelfPMI, cross_pmi, self_pmi
from ..scores import REDUNDANCIES, weighted_score
from .engine import WHOLE, Picks, at, first_best, mark, rounding_slack, top_picks


@dataclass(frozen=True)
class Problem:
    """What the greedy search needs of a batch: relevance (b, n_v) and columns of self-PMI.

    `redundancy` is None at λ = 1, where nothing of the N × N matrix is ever computed.
    """

    relevance: Tensor
    redundancy: SelfPMI | None
    relevance_weight: float
    empty_redundancy: float
    redundancy_aggregation: str
    slack: float


def mi_problem(
    visual: Tensor,
    text: Tensor,
    *,
    temperature: float,
    self_temperature: float | None,
    relevance_weight: float,
    aggregation: str,
    redundancy_aggregation: str,
    conditional: str,
    self_conditional: str | None,
    prior: str | Tensor,
    self_loop: bool,
    self_marginal: str,
    empty_redundancy: float,
    grid: tuple[int, ...] | None,
    zero_norm: str,
) -> Problem:
    """S^cross of every token, and self-PMI by columns, under one prior.

    Source: Eqs. (15)-(21).
    """
    check_relevance_weight(relevance_weight)
    lookup(redundancy_aggregation, REDUNDANCIES, "redundancy aggregation")
    aggregate = resolve_aggregation(aggregation)
    if isinstance(empty_redundancy, bool) or not isinstance(empty_redundancy, int | float):
        raise ParameterError(f"empty_redundancy: expected a number, got {empty_redundancy!r}")
    warmth = temperature if self_temperature is None else self_temperature
    check_temperature(warmth, "self_temperature")
    if self_conditional is None:
        self_conditional = conditional if conditional in SELF_CONDITIONALS else "softmax"

    def within(prior: str | Tensor, kind: str) -> SelfPMI:
        return self_pmi(
            visual,
            temperature=warmth,
            conditional=kind,
            prior=prior,
            grid=grid,
            self_loop=self_loop,
            self_marginal=self_marginal,
            zero_norm=zero_norm,
        )

    stationary = isinstance(prior, str) and prior == "stationary"
    cross = cross_pmi(
        visual,
        text,
        temperature=temperature,
        conditional=conditional,
        prior=prior,
        grid=grid,
        log_degree=within("uniform", "softmax").log_degree() if stationary else None,
        zero_norm=zero_norm,
    )
    needed = relevance_weight < 1
    return Problem(
        relevance=aggregate(cross.pmi, cross.log_cond, log_prior=cross.log_prior),
        redundancy=within(cross.log_prior.exp(), self_conditional) if needed else None,
        relevance_weight=relevance_weight,
        empty_redundancy=float(empty_redundancy),
        redundancy_aggregation=redundancy_aggregation,
        slack=rounding_slack(visual, scale=1 + 1 / min(temperature, warmth)),
    )


def mi_greedy(problem: Problem, budget: int, first: Tensor | None = None) -> Picks:
    """Algorithm 1, lines 11-19, with a running redundancy and one column of self-PMI per pick.

    At λ = 1 it is one sort. `first` (b, k_1) are tokens that are already selected: they are closed,
    count as V_S from the start, and lead the result.

    Source: Eqs. (20)-(24).
    """
    b, n = problem.relevance.shape
    open_ = torch.ones(b, n, dtype=torch.bool, device=problem.relevance.device)
    done = 0
    if first is not None and first.shape[1]:
        open_.scatter_(1, first, False)
        done = first.shape[1]
    if problem.redundancy is None:
        picks = top_picks(problem.relevance, budget - done, slack=problem.slack, open_=open_)
        return picks if not done else _lead(first, picks)
    column = _columns(problem.redundancy)
    update = _UPDATES[problem.redundancy_aggregation]
    log_marginal = problem.redundancy.log_marginal
    lam = problem.relevance_weight
    running: Tensor | None = None
    for t in range(done):
        j = first[:, t]  # type: ignore[index]
        running = update(running, column(j), at(log_marginal, j))
    chosen, gains = [], []
    for _ in range(budget - done):
        if running is None:  # any constant for the empty set gives the same choice
            score = weighted_score(problem.relevance, torch.zeros_like(problem.relevance), lam)
            offset = (1 - lam) * problem.empty_redundancy
        else:
            score, offset = weighted_score(problem.relevance, running, lam), 0.0
        j = first_best(score, open_, problem.slack)
        chosen.append(j)
        gains.append(at(score, j) - offset)
        mark(open_, j)
        running = update(running, column(j), at(log_marginal, j))
    evaluations = sum(n - t for t in range(done, budget))
    if not chosen:
        return _lead(first, Picks(first[:, :0], problem.relevance[:, :0], 0))  # type: ignore[index]
    picks = Picks(torch.stack(chosen, 1), torch.stack(gains, 1), evaluations)
    return picks if not done else _lead(first, picks)


def _lead(first: Tensor | None, picks: Picks) -> Picks:
    """`picks` behind tokens chosen by other means, whose gain is unknown (NaN)."""
    assert first is not None
    unknown = torch.full(first.shape, torch.nan, dtype=picks.gains.dtype, device=first.device)
    indices = torch.cat([first, picks.indices], 1)
    return Picks(indices, torch.cat([unknown, picks.gains], 1), picks.evaluations)


def _columns(redundancy: SelfPMI) -> Callable[[Tensor], Tensor]:
    """PMI(v_i; v_j) of all i (b, n) for one j per sample: looked up if small, streamed if large."""
    if redundancy.unit.shape[1] > WHOLE:
        return redundancy.column
    table = redundancy.matrix().mT.contiguous()  # (b, j, i)
    samples = torch.arange(len(table), device=table.device)
    return lambda j: table[samples, j]


def _maximum(running: Tensor | None, column: Tensor, log_marginal: Tensor) -> Tensor:
    """Eq. (20)."""
    return column if running is None else running.maximum(column)


def _total(running: Tensor | None, column: Tensor, log_marginal: Tensor) -> Tensor:
    """Eq. (21) over V_S: Σ_j p(v_j | v_i) PMI(v_i; v_j), where 0 · −∞ is 0."""
    weight = (column + log_marginal[:, None]).exp()
    term = torch.where(weight > 0, weight * column, 0.0)
    return term if running is None else running + term


_UPDATES: dict[str, Callable[[Tensor | None, Tensor, Tensor], Tensor]] = {
    "max": _maximum,
    "global": _total,
}
