"""The studies by name, in the order in which they run."""

from __future__ import annotations

from . import (
    agreement,
    cost,
    dynamic_budget,
    learned_priors,
    mi_attention_split,
    oracle_gap,
    predictions,
    renyi,
    replacement,
    scene_matrices,
    search_cost,
    sinks,
    text_pruning,
)
from .base import Study

IN_ORDER: tuple[Study, ...] = (
    predictions.STUDY,
    learned_priors.STUDY,
    dynamic_budget.STUDY,
    text_pruning.STUDY,
    renyi.STUDY,
    mi_attention_split.STUDY,
    scene_matrices.STUDY,
    cost.STUDY,
    replacement.STUDY,
    oracle_gap.STUDY,
    search_cost.STUDY,
    agreement.STUDY,
    sinks.STUDY,
)

STUDIES: dict[str, Study] = {study.name: study for study in IN_ORDER}
