"""Hyper-parameters chosen on the validation split, by one rule for all methods.

Every method that prunes before the decoder has a grid of at most eight configurations; of each,
the one with most right answers to the same validation questions is taken, for each model and each
budget on its own. Ties go to the first of the grid, which starts at or near the defaults. A method
without options has one configuration.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from analysis.ablation import Configuration
from analysis.settings import BUDGETS, QUICK_BUDGETS

from .base import Context

QUESTIONS, QUICK_QUESTIONS = 160, 32
LARGEST_GRID, QUICK_GRID = 8, 2

Grid = list[dict[str, Any]]


def _grid(fixed: Mapping[str, Any] | None = None, **axes: tuple[Any, ...]) -> Grid:
    """Every combination of the axes."""
    values = itertools.product(*axes.values())
    return [dict(fixed or {}) | dict(zip(axes, v, strict=True)) for v in values]


_KERNELS: Grid = [
    {"kernel": "shifted"},
    {"kernel": "clipped"},
    *_grid({"kernel": "exponential"}, temperature=(0.1, 0.05, 0.2, 0.5)),
]
_WEIGHTED_KERNELS = _grid(query_weight=(1.0, 0.3), kernel=("shifted", "clipped")) + _grid(
    {"kernel": "exponential"}, query_weight=(1.0, 0.3), temperature=(0.1, 0.2)
)
_WARMTH_AND_RARITY = _grid(visual_temperature=(0.05, 0.1), rarity=(0.0, 0.1, 0.2, 0.3))
_WARMTH_AND_POWER = _grid(visual_temperature=(0.05, 0.1), attention_power=(0.5, 0.25, 0.75, 1.0))

GRIDS: dict[str, Grid] = {
    "mi_pruner": _grid(relevance_weight=("paper", 0.5, 0.25, 0.75), temperature=(0.1, 0.05)),
    "mi_attention": _grid(
        attention_ratio=(0.5, 0.25, 0.75), relevance_weight=("paper", 0.5)
    ),
    "random": [{}],
    "similarity": _grid(word_aggregation=("max", "mean")),
    "centered_similarity": [{}],
    "attention": _grid(include_diagonal=(False, True)),
    "cls_attention": [{}],
    "visionzip": _grid(contextual=(0.15625, 0.0, 0.3, 0.5, 0.75, 1.0)),
    "vispruner": _grid(important_ratio=(0.5, 0.0, 0.25, 0.75, 1.0)),
    "divprune": [{}],
    "facility_location": _KERNELS,
    "log_det": _grid(relevance_weight=(1.0, 0.3, 3.0), ridge=(0.01, 0.1)) + _grid(
        {"relevance": "posterior"}, relevance_weight=(0.1, 0.3)
    ),
    "chow_liu": _grid(relevance_weight=(1.0, 0.3, 3.0), ridge=(0.01, 0.1)) + _grid(
        {"relevance": "posterior"}, relevance_weight=(0.1, 0.3)
    ),
    "max_coverage": _KERNELS,
    "flmi": _WEIGHTED_KERNELS,
    "flqmi": _WEIGHTED_KERNELS,
    "gcmi": _KERNELS,
    "com": _WEIGHTED_KERNELS,
    "log_det_mi": _grid(query_weight=(1.0, 0.5), ridge=(0.01, 0.1)) + _grid(
        {"kernel": "exponential"}, query_weight=(1.0, 0.5), temperature=(0.1, 0.5)
    ),
    "max_min": [{}],
    "cdpruner": _grid(
        {"relevance_source": "tokens"}, word_aggregation=("mean", "max"), sign=(1.0, -1.0)
    ),
    "mmtok": _grid(
        coverage_source=("encoder", "tokens"), visual_temperature=(0.2, 0.05),
        visual_weight=(0.5, 2.0),
    ),
    "trimtokenator": _grid(first_ratio=(0.8, 0.2, 0.4, 0.6, 0.9)),
    "log_mass": _WARMTH_AND_RARITY,
    "log_mass_attention": _WARMTH_AND_POWER,
}  # fmt: skip
"""What was tried of each method: at most eight configurations, at or near the defaults first."""


def budgets(context: Context) -> tuple[int, ...]:
    """Numbers of tokens kept."""
    return QUICK_BUDGETS if context.quick else BUDGETS


def grid(method: str, context: Context) -> Grid:
    """What is tried of a method: of a quick run, the first ones."""
    return GRIDS[method][:QUICK_GRID] if context.quick else GRIDS[method]


def tuned(context: Context) -> pd.DataFrame:
    """What was tried, how well it did on the validation split, and what was chosen.

    Columns: model, method, budget, options (JSON), accuracy, log_prob (mean of the truth, nats),
    n, chosen.
    """
    limit = QUICK_QUESTIONS if context.quick else QUESTIONS
    cells = [
        Configuration(method, budget, options)
        for method in GRIDS
        for budget in budgets(context)
        for options in grid(method, context)
    ]
    keys = pd.DataFrame(
        {
            "cell": [c.identity for c in cells],
            "method": [c.method for c in cells],
            "budget": [c.budget for c in cells],
            "options": [json.dumps(dict(c.options), sort_keys=True) for c in cells],
        }
    )
    tables = []
    for model in context.alignments:
        rows = context.answered(cells, "validation", limit, model=model)
        means = rows.assign(correct=rows.correct.astype(float)).groupby("cell", sort=False)
        found = means.agg(
            accuracy=("correct", "mean"), log_prob=("log_prob", "mean"), n=("correct", "count")
        )
        table = keys.join(found, on="cell").drop(columns="cell")
        best = table.groupby(["method", "budget"]).accuracy.idxmax()  # the first of the best
        tables.append(table.assign(model=model, chosen=table.index.isin(best)))
    columns = ["model", "method", "budget", "options", "accuracy", "log_prob", "n", "chosen"]
    return pd.concat(tables, ignore_index=True)[columns]


def chosen(tried: pd.DataFrame, model: str, draws: int = 1) -> list[Configuration]:
    """The chosen configurations of a model; `draws` of those that draw."""
    rows = tried[tried.chosen & (tried.model == model)]
    columns = (rows[name].tolist() for name in ("method", "budget", "options"))
    cells = [
        Configuration(method, int(budget), json.loads(options))
        for method, budget, options in zip(*columns, strict=True)
    ]
    again = [replace(c, draw=d) for c in cells if c.method == "random" for d in range(1, draws)]
    return cells + again
