"""The claims of the paper, one file each: `CLAIMS` by name, in the order of the paper."""

from __future__ import annotations

from . import (
    attention_is_a_worse_proxy,
    conditional_independence,
    conjunction_penalty,
    cross_dominates_self,
    data_processing,
    greedy_guarantee,
    heap_is_exact,
    lse_bound,
    max_below_sum,
    max_tracks_global,
    max_underestimates_redundancy,
    mi_beats_cosine,
    mi_finds_answer_tokens,
    printed_tables_consistent,
    prior_choice,
    projection_stage,
    query_awareness,
    score_is_marginal_gain,
    score_scale,
    softmax_over_minmax,
    sparse_grounding,
    stated_complexity,
    submodular_under_ci,
    temperature,
    total_probability,
    uniform_prior,
)
from .base import Claim
from .context import Context

CLAIMS: dict[str, Claim] = {
    module.CLAIM.name: module.CLAIM
    for module in (
        submodular_under_ci,
        conditional_independence,
        data_processing,
        cross_dominates_self,
        max_underestimates_redundancy,
        score_is_marginal_gain,
        greedy_guarantee,
        heap_is_exact,
        score_scale,
        lse_bound,
        max_below_sum,
        max_tracks_global,
        sparse_grounding,
        uniform_prior,
        total_probability,
        prior_choice,
        softmax_over_minmax,
        temperature,
        mi_beats_cosine,
        query_awareness,
        conjunction_penalty,
        mi_finds_answer_tokens,
        attention_is_a_worse_proxy,
        projection_stage,
        printed_tables_consistent,
        stated_complexity,
    )
}

__all__ = ["CLAIMS", "Claim", "Context"]
