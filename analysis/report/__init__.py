"""The page of an audit: a ledger of all claims, then each claim with its figure and number."""

from __future__ import annotations

from .page import write

__all__ = ["write"]
