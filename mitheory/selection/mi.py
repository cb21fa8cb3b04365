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
from ..scores import REDUNDANCIES
from .engine import WHOLE, WHOLE_GPU, Picks, at, first_best, mark, rounding_slack, top_picks
from .fused import available, fused_mi


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
            keep_cosine=available(visual) and visual.shape[1] <= WHOLE_GPU,
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
    count as V_S from the start, and lead the result with a gain of NaN, being of another kind.

    Source: Eqs. (20)-(24).
    """
    b, n = problem.relevance.shape
    device = problem.relevance.device
    if first is None:
        first = torch.empty(b, 0, dtype=torch.int64, device=device)
    done = first.shape[1]
    open_ = torch.ones(b, n, dtype=torch.bool, device=device).scatter_(1, first, False)
    if problem.redundancy is None:
        picks = top_picks(problem.relevance, budget - done, slack=problem.slack, open_=open_)
        return _lead(first, picks) if done else picks
    if available(problem.relevance):
        return fused_mi(problem, budget, first)
    penalty, join = _penalties(problem), _JOINS[problem.redundancy_aggregation]
    lam = problem.relevance_weight
    benefit = lam * problem.relevance if lam else torch.zeros_like(problem.relevance)
    hopeless = torch.isneginf(benefit)  # −∞ whatever the redundancy, which may be −∞ itself
    some_hopeless = bool(hopeless.any())
    chosen, gains = list(first.unbind(1)), []
    running: Tensor | None = None
    for t in range(budget):
        if t >= done:  # the first redundancy is a constant, which moves no choice
            score = benefit if running is None else benefit - running
            if some_hopeless:
                score = score.masked_fill(hopeless, -torch.inf)
            chosen.append(first_best(score, open_, problem.slack))
            gains.append(at(score, chosen[t]))
            mark(open_, chosen[t])
        new = penalty(chosen[t])
        running = new if running is None else join(running, new)
    if done == budget:
        return _lead(first, Picks(first[:, :0], problem.relevance[:, :0], 0))
    if not done:
        gains[0] = gains[0] - (1 - lam) * problem.empty_redundancy
    evaluations = sum(n - t for t in range(done, budget))
    picks = Picks(torch.stack(chosen[done:], 1), torch.stack(gains, 1), evaluations)
    return _lead(first, picks) if done else picks


def _lead(first: Tensor, picks: Picks) -> Picks:
    """`picks` behind tokens chosen by other means."""
    unknown = torch.full(first.shape, torch.nan, dtype=picks.gains.dtype, device=first.device)
    indices = torch.cat([first, picks.indices], 1)
    return Picks(indices, torch.cat([unknown, picks.gains], 1), picks.evaluations)


def _penalties(problem: Problem) -> Callable[[Tensor], Tensor]:
    """What selecting j (b,) costs every i (b, n), times 1 − λ: looked up if the whole matrix is
    small, streamed if it is large."""
    within = problem.redundancy
    assert within is not None
    weight = 1 - problem.relevance_weight
    charge = _CHARGES[problem.redundancy_aggregation]
    if within.unit.shape[1] > WHOLE:
        return lambda j: weight * charge(within.column(j), at(within.log_marginal, j)[:, None])
    table = weight * charge(within.matrix(), within.log_marginal[:, None, :])
    table = table.mT.contiguous()  # (b, j, i)
    samples = torch.arange(len(table), device=table.device)
    return lambda j: table[samples, j]


def _pmi_itself(pmi: Tensor, log_marginal: Tensor) -> Tensor:
    return pmi


def _weighted_pmi(pmi: Tensor, log_marginal: Tensor) -> Tensor:
    """p(v_j | v_i) PMI(v_i; v_j), where 0 · −∞ is 0."""
    weight = (pmi + log_marginal).exp()
    return torch.where(weight > 0, weight * pmi, 0.0)


_CHARGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "max": _pmi_itself,
    "global": _weighted_pmi,
}
_JOINS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"max": torch.maximum, "global": torch.add}
"""Eq. (20) takes the largest penalty, Eq. (21) over V_S their sum."""
