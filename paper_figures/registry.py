"""Every figure there is, in the order of the page: as in the paper, then what is ours."""

from __future__ import annotations

from . import (
    accuracy_budget,
    accuracy_cost,
    aggregation,
    all_methods,
    dynamic_budget,
    kept_patches,
    mi_attention_split,
    normalization,
    pope,
    predictions,
    prior_comparison,
    relevance_weight,
    renyi,
    table_main,
    temperature,
    text_pruning,
)
from .spec import FigureSpec

PAPER = (
    kept_patches,
    accuracy_budget,
    aggregation,
    relevance_weight,
)
OURS = (
    table_main,
    all_methods,
    accuracy_cost,
    temperature,
    normalization,
    pope,
    predictions,
    prior_comparison,
    dynamic_budget,
    text_pruning,
    renyi,
    mi_attention_split,
)
FIGURES: dict[str, FigureSpec] = {module.FIGURE.name: module.FIGURE for module in PAPER + OURS}
