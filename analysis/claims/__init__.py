"""The claims of the paper, one file each: `CLAIMS` by name, in the order of the paper."""

from __future__ import annotations

from . import (
    conditional_independence,
    cross_dominates_self,
    data_processing,
    max_below_sum,
    max_underestimates_redundancy,
    printed_tables_consistent,
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
        max_below_sum,
        printed_tables_consistent,
    )
}

__all__ = ["CLAIMS", "Claim", "Context"]
