"""Accuracy along the order α of the Rényi divergence that aggregates PMI over words."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from analysis.ablation import Configuration
from analysis.settings import BUDGETS

from .asking import Described, answered
from .base import Context, Study
from .summaries import chosen_on_validation, means_within

ORDERS = (1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, math.inf)
QUICK_ORDERS = (1.0, 2.0, math.inf)
QUICK_BUDGETS = (16,)
WEIGHTS = (1.0, 0.5)  # relevance alone, and with redundancy
QUESTIONS, QUICK_QUESTIONS = 400, 40
CHOOSING, QUICK_CHOOSING = 160, 24  # of the validation split, on which α is chosen

CELL = ["model", "relevance_weight", "budget"]


def aggregation_of(alpha: float) -> str:
    """The aggregation of order α: "kl" at 1 and "max" at infinity, which it equals.

    Examples
    --------
    >>> [aggregation_of(a) for a in (1.0, 1.5, math.inf)]
    ['kl', 'renyi:1.5', 'max']
    """
    return {1.0: "kl", math.inf: "max"}.get(alpha, f"renyi:{alpha:g}")


def cells_of(orders: tuple[float, ...], budgets: tuple[int, ...]) -> Described:
    """The cells with their axes; ``redundancy`` is "global" where Eq. (21) is of both terms.

    Along α the redundancy is Eq. (20)'s maximum.
    """
    axes = [(a, w, "max") for w in WEIGHTS for a in orders] + [(1.0, 0.5, "global")]
    found = []
    for budget in budgets:
        for alpha, weight, redundancy in axes:
            options = {
                "aggregation": aggregation_of(alpha),
                "relevance_weight": weight,
                "redundancy_aggregation": redundancy,
            }
            described = {
                "alpha": alpha, "relevance_weight": weight, "redundancy": redundancy,
                "budget": budget,
            }  # fmt: skip
            found.append((Configuration("mi_pruner", budget, options), described))
    return found


def run(context: Context) -> Mapping[str, pd.DataFrame]:
    """Accuracy by order, and the order chosen on validation against both ends on test."""
    orders = QUICK_ORDERS if context.quick else ORDERS
    cells = cells_of(orders, QUICK_BUDGETS if context.quick else BUDGETS)
    asked = QUICK_QUESTIONS if context.quick else QUESTIONS
    choosing = QUICK_CHOOSING if context.quick else CHOOSING
    test, validation = (
        pd.concat(
            [
                answered(context, cells, split, limit, model=model).assign(model=model)
                for model in context.alignments
            ],
            ignore_index=True,
        )
        for split, limit in (("test", asked), ("validation", choosing))
    )
    return {"renyi": accuracies(test), "renyi_chosen": chosen(validation, test)}


def accuracies(rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of every order by form of question: one row per cell, model and form.

    Columns ``model``, ``relevance_weight``, ``redundancy``, ``budget``, ``ratio``, ``alpha``,
    ``form``, ``estimate``, ``low``, ``high``, ``questions``, ``scenes``.
    """
    table = means_within(rows, "form", [*CELL, "redundancy", "alpha"])
    return table.assign(ratio=table.budget / rows.n_v.iloc[0])


def chosen(validation: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """The order that is best on validation, against both ends on test.

    One row per model, form, λ, budget and end: ``alpha``, ``against`` ("1.0" or "inf"), and the
    columns of `differences`, Holm's correction within one model and form.
    """
    parts = []
    seen, here = (rows[rows["redundancy"] == "max"] for rows in (validation, test))
    for (model, form), own in here.groupby(["model", "form"], sort=False):
        known = seen[(seen["model"] == model) & (seen["form"] == form)]
        table = chosen_on_validation(known, own, CELL[1:], ["alpha"], [(1.0,), (math.inf,)])
        parts.append(table.assign(model=str(model), form=str(form)))
    return pd.concat(parts, ignore_index=True)


STUDY = Study(
    "renyi",
    "Between global and max: which order of the Rényi divergence?",
    ("renyi", "renyi_chosen"),
    run,
)
