"""The paper's greedy score on a sample, for the claims about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from mitheory.aggregation import resolve_aggregation
from mitheory.bundle import Sample
from mitheory.pmi import cross_pmi, self_pmi
from mitheory.scores import MIScore, mi_score

from .context import Context


class Parts(NamedTuple):
    """Relevance (n_v,) and self-PMI (n_v, n_v) of a sample, nats, float64."""

    relevance: Tensor
    pmi: Tensor


def parts(sample: Sample, context: Context) -> Parts:
    """Both terms of Eq. (23) at the context's temperature."""
    visual = sample.visual.double()
    cross = cross_pmi(visual, sample.text.double(), temperature=context.temperature)
    relevance = resolve_aggregation("max")(cross.pmi, cross.log_cond)
    return Parts(relevance, self_pmi(visual, temperature=context.temperature).matrix())


def rule(found: Parts, context: Context, *, relevance_weight: float | None = None) -> MIScore:
    """The score as Algorithm 1 has it: the empty set's redundancy is 0."""
    lam = context.relevance_weight if relevance_weight is None else relevance_weight
    return mi_score(found.relevance, found.pmi, relevance_weight=lam)


def total(score: MIScore, order: Sequence[int]) -> float:
    """Sum of the scores with which these were selected, in this order."""
    state, summed = score.start(), 0.0
    for i in order:
        summed += score.gain_of(state, i)
        state = score.extend(state, i)
    return summed


def jaccard(one: Sequence[int], other: Sequence[int]) -> float:
    """Overlap of two sets.

    Examples
    --------
    >>> jaccard([1, 2], [2, 3])
    0.3333333333333333
    """
    first, second = set(one), set(other)
    return len(first & second) / len(first | second)
