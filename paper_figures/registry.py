"""Every figure there is, in the order of the page: as in the paper, then what is ours; and those of
`mitheory evaluate` and `mitheory ablate`."""

from __future__ import annotations

from . import (
    accuracy_budget,
    accuracy_cost,
    aggregation,
    agreement,
    all_methods,
    dialogues,
    dynamic_budget,
    grid_budget,
    grid_differences,
    kept_patches,
    matrices,
    mi_attention_split,
    normalization,
    oracle_gap,
    pope,
    predictions,
    prior_comparison,
    relevance_weight,
    renyi,
    replacement,
    search_cost,
    sinks,
    tab1,
    tab2,
    tab3,
    tab4,
    tab5,
    tab6,
    tab7,
    tab8,
    tab9,
    tab10,
    tab11,
    table_main,
    temperature,
    text_pruning,
    verdict_overview,
)
from .results import Results
from .spec import FigureSpec

PAPER = (
    kept_patches,
    matrices,
    tab1,
    accuracy_budget,
    tab2,
    tab3,
    tab4,
    aggregation,
    relevance_weight,
    tab5,
    tab6,
    tab7,
    tab8,
    tab9,
    dialogues,
    tab10,
    tab11,
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
    agreement,
    sinks,
    search_cost,
    verdict_overview,
    replacement,
    oracle_gap,
)
FIGURES: dict[str, FigureSpec] = {module.FIGURE.name: module.FIGURE for module in PAPER + OURS}
GRID: dict[str, FigureSpec] = {
    module.FIGURE.name: module.FIGURE for module in (grid_budget, grid_differences)
}
EVALUATED = (tab1, tab2, tab4, tab7, tab8, tab10, tab11)
"""Tables of the paper that `mitheory evaluate` can measure."""


def figures_of(results: Results) -> dict[str, FigureSpec]:
    """What is drawn of a folder: of a run all `FIGURES`; of a grid `GRID`, and the tables of the
    paper that were measured in it."""
    if results.grid is None:
        return FIGURES
    tables = [module.FIGURE for module in EVALUATED]
    return GRID | {t.name: t for t in tables if results.file(f"{t.name}.csv")}
