"""The claims of the paper, one file each: `CLAIMS` by name, in the order of the paper."""

from __future__ import annotations

from . import max_below_sum, printed_tables_consistent
from .base import Claim
from .context import Context

CLAIMS: dict[str, Claim] = {
    module.CLAIM.name: module.CLAIM for module in (max_below_sum, printed_tables_consistent)
}

__all__ = ["CLAIMS", "Claim", "Context"]
