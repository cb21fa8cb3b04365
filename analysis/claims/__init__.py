"""The claims of the paper, one file each: `CLAIMS` by name, in the order of the paper."""

from __future__ import annotations

from . import (
    conditional_independence,
    cross_dominates_self,
    data_processing,
    greedy_guarantee,
    heap_is_exact,
    lse_bound,
    max_below_sum,
    max_tracks_global,
    max_underestimates_redundancy,
    printed_tables_consistent,
    score_is_marginal_gain,
    score_scale,
    sparse_grounding,
    submodular_under_ci,
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
        printed_tables_consistent,
    )
}

__all__ = ["CLAIMS", "Claim", "Context"]
