"""The claims of the paper, one file each: `CLAIMS` by name, in the order of the paper."""

from __future__ import annotations

from . import max_below_sum
from .base import Claim
from .context import Context

CLAIMS: dict[str, Claim] = {module.CLAIM.name: module.CLAIM for module in (max_below_sum,)}

__all__ = ["CLAIMS", "Claim", "Context"]
