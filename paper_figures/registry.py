"""Every figure there is, in the order of the page."""

from __future__ import annotations

from . import (
    accuracy_budget,
    accuracy_cost,
    aggregation,
    all_methods,
    kept_patches,
    normalization,
    pope,
    relevance_weight,
    table_main,
    temperature,
)
from .spec import FigureSpec

FIGURES: dict[str, FigureSpec] = {
    module.FIGURE.name: module.FIGURE
    for module in (
        accuracy_budget,
        table_main,
        all_methods,
        accuracy_cost,
        kept_patches,
        aggregation,
        relevance_weight,
        temperature,
        normalization,
        pope,
    )
}
