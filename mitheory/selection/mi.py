"""Relevance and redundancy of MI-Pruner, batched; shared by `mi_pruner` and `mi_attention`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..aggregation import maximum, resolve_aggregation
from ..checks import check_relevance_weight, check_temperature, lookup
from ..distributions import NO_NORMS, row_products, unit_products, unit_rows
from ..errors import ParameterError
from ..pmi import (
    SELF_CONDITIONALS,
    SelfPMI,
    cross_pmi_of_logits,
    largest_pmi_of_rows,
    self_pmi_of_units,
)
from ..scores import REDUNDANCIES
from .engine import WHOLE, WHOLE_GPU, Picks, at, first_best, mark, rounding_slack, top_picks
from .fused import available, fused_mi
from .streaming import Sample, search


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
    norms: Mapping[str, Tensor] = NO_NORMS,
) -> Problem:
    """S^cross of every token, and self-PMI by columns, under one prior.

    `norms` are `ordinary_norms` of V and T by name, where they are known.

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
    check_temperature(temperature)
    needed = relevance_weight < 1
    stationary = isinstance(prior, str) and prior == "stationary"
    norm = norms.get("visual")
    tokens = None
    if needed or stationary:
        tokens = unit_rows("visual", visual, zero_norm=zero_norm, norm=norm)
    words = unit_rows("text", text, zero_norm=zero_norm, norm=norms.get("text"))

    def within(prior: str | Tensor, kind: str) -> SelfPMI:
        assert tokens is not None
        kept = WHOLE_GPU if available(visual) else WHOLE
        return self_pmi_of_units(
            tokens,
            temperature=warmth,
            conditional=kind,
            prior=prior,
            grid=grid,
            self_loop=self_loop,
            self_marginal=self_marginal,
            keep_cosine=visual.shape[1] <= kept,
        )

    shared = prior
    uniform = isinstance(prior, str) and prior == "uniform"
    if uniform and conditional == "softmax" and aggregate is maximum:
        if tokens is None and norm is None:
            tokens = unit_rows("visual", visual, zero_norm=zero_norm)
        rows, divisor = (visual, norm) if tokens is None else (tokens, None)
        relevance = largest_pmi_of_rows(rows, words, temperature, norm=divisor)
    else:
        if tokens is None:
            cosine = unit_products("visual", visual, words, zero_norm=zero_norm, norm=norm)
        else:
            cosine = row_products(tokens, words)
        cross = cross_pmi_of_logits(
            cosine / temperature,
            conditional=conditional,
            prior=prior,
            grid=grid,
            log_degree=within("uniform", "softmax").log_degree() if stationary else None,
        )
        relevance = aggregate(cross.pmi, cross.log_cond, log_prior=cross.log_prior)
        shared = cross.log_prior.exp()
    return Problem(
        relevance=relevance,
        redundancy=within(shared, self_conditional) if needed else None,
        relevance_weight=relevance_weight,
        empty_redundancy=float(empty_redundancy),
        redundancy_aggregation=redundancy_aggregation,
        slack=rounding_slack(visual, scale=1 + 1 / min(temperature, warmth)),
    )


def mi_greedy(problem: Problem, budget: int, first: Tensor | None = None) -> Picks:
    """Algorithm 1, lines 11-19, with a running redundancy.

    At λ = 1 it is one sort. Below, on a CPU and for Eq. (20), it is `streaming.search`, sample by
    sample; else `batched_greedy`, all samples at once. Both choose alike. `first` (b, k_1) are
    tokens that are already selected: they are closed, count as V_S from the start, and lead the
    result with a gain of NaN, being of another kind.

    Source: Eqs. (20)-(24).
    """
    if first is None and problem.redundancy is None:
        return top_picks(problem.relevance, budget, slack=problem.slack)
    if first is None:
        b = len(problem.relevance)
        first = torch.empty(b, 0, dtype=torch.int64, device=problem.relevance.device)
    done = first.shape[1]
    if problem.redundancy is None:
        open_ = torch.ones_like(problem.relevance, dtype=torch.bool).scatter_(1, first, False)
        picks = top_picks(problem.relevance, budget - done, slack=problem.slack, open_=open_)
    elif done == budget:
        picks = Picks(first[:, :0], problem.relevance[:, :0], 0)
    elif available(problem.relevance):
        return fused_mi(problem, budget, first)
    elif is_searchable(problem):
        picks = searched_greedy(problem, budget, first)
    else:
        picks = batched_greedy(problem, budget, first)
    return lead(first, picks) if done else picks


def batched_greedy(problem: Problem, budget: int, first: Tensor) -> Picks:
    """All samples at once and every score at every choice: a column of self-PMI, a running
    redundancy and the best, O(N_V) for each choice, O(N_V d) where columns are not kept.

    Source: Eqs. (20)-(24).
    """
    n, done = problem.relevance.shape[1], first.shape[1]
    open_ = torch.ones_like(problem.relevance, dtype=torch.bool).scatter_(1, first, False)
    penalty, join = _penalties(problem), _JOINS[problem.redundancy_aggregation]
    benefit = benefit_of(problem)
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
        if t + 1 < budget:
            new = penalty(chosen[t])
            running = new if running is None else join(running, new)
    if not done:
        gains[0] = gains[0] - (1 - problem.relevance_weight) * problem.empty_redundancy
    evaluations = sum(n - t for t in range(done, budget))
    return Picks(torch.stack(chosen[done:], 1), torch.stack(gains, 1), evaluations)


def benefit_of(problem: Problem) -> Tensor:
    """λ S^cross (b, n_v), and 0 at λ = 0 even of infinite relevance."""
    lam = problem.relevance_weight
    return lam * problem.relevance if lam else torch.zeros_like(problem.relevance)


def is_searchable(problem: Problem) -> bool:
    """Whether scores are those that `streaming` keeps: Eq. (20) on softmax, and CPU tensors."""
    within = problem.redundancy
    return (
        within is not None
        and problem.redundancy_aggregation == "max"
        and within.conditional == "softmax"
        and within.self_loop
        and within.visual_mask is None
        and within.unit.is_cpu
        and not (within.unit.requires_grad or problem.relevance.requires_grad)
        and bool(np.isfinite(within.log_marginal.numpy()).all())
    )


def searched_greedy(problem: Problem, budget: int, first: Tensor) -> Picks:
    """One sample after the other, so that none depends on its neighbors.

    Source: Eqs. (20)-(24).
    """
    within = problem.redundancy
    assert within is not None
    weight = (1 - problem.relevance_weight) / within.temperature
    benefit = benefit_of(problem).numpy() / weight
    base = benefit + within.temperature * within.log_scale.numpy()
    offset = -within.temperature * within.log_marginal.numpy()
    found = []
    for s, done in enumerate(first.tolist()):
        sample = Sample(
            benefit=benefit[s],
            base=base[s],
            offset=offset[s],
            unit=within.unit[s],
            cosine=None if within.cosine is None else within.cosine[s].numpy(),
            slack=problem.slack / weight,
        )
        found.append(search(sample, budget, done))
    gains = weight * np.array([f.scores for f in found], dtype=benefit.dtype)
    if not first.shape[1]:
        gains[:, 0] -= (1 - problem.relevance_weight) * problem.empty_redundancy
    indices = np.array([f.indices for f in found])
    spent = tuple(f.evaluations for f in found)
    return Picks(torch.from_numpy(indices), torch.from_numpy(gains), max(spent), spent=spent)


def restricted(problem: Problem, places: Tensor) -> Problem:
    """The problem of choosing among some tokens only.

    What the scores are stays: probabilities are those among all tokens.

    Source: Eqs. (16)-(20).

    Parameters
    ----------
    places : (b, m) of the tokens, ascending, so that ties go to the same one as among all
    """
    within = problem.redundancy
    if within is not None:
        rows = places[:, :, None]
        cosine = within.cosine
        if cosine is not None:
            cosine = cosine.gather(1, rows.expand(-1, -1, cosine.shape[2]))
            cosine = cosine.gather(2, places[:, None, :].expand(-1, cosine.shape[1], -1))
        within = replace(
            within,
            unit=within.unit.gather(1, rows.expand(-1, -1, within.unit.shape[2])),
            shift=within.shift.gather(1, places),
            log_scale=within.log_scale.gather(1, places),
            log_marginal=within.log_marginal.gather(1, places),
            cosine=cosine,
        )
    return replace(problem, relevance=problem.relevance.gather(1, places), redundancy=within)


def lead(first: Tensor, picks: Picks) -> Picks:
    """`picks` behind tokens chosen by other means, with gains of NaN for those.

    Source: Sec. 4.1 (MI-Attention).
    """
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
