"""How many kept tokens change with the precision of the embeddings, and of the arithmetic."""

from __future__ import annotations

from .measure import BUDGETS, REFERENCE, VARIANTS, Variant, precision

__all__ = ["BUDGETS", "REFERENCE", "VARIANTS", "Variant", "precision"]
