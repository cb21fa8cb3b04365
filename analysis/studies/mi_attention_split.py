"""MI-Attention, whose two rounds the paper does not specify: every reading over every split."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from analysis.ablation import Configuration
from analysis.settings import BUDGETS
from mitheory.selection.mi_attention import ROUNDS

from .asking import Described, answered
from .base import Context, Study
from .summaries import chosen_on_validation, means_within

RATIOS = (0.0, 0.25, 0.5, 0.75, 1.0)
QUICK_RATIOS = (0.0, 0.5, 1.0)
QUICK_BUDGETS = (16,)
QUESTIONS, QUICK_QUESTIONS = 400, 40
CHOOSING, QUICK_CHOOSING = 160, 24  # of the validation split, on which reading and split are chosen
AXES = ["rounds", "attention_ratio"]
DEFAULT = ("fill", 0.5)
ENDS = (("fill", 0.0), ("fill", 1.0))  # MI-Pruner and attention, under every reading


def run(context: Context) -> Mapping[str, pd.DataFrame]:
    """Accuracy of every reading and split, and what is chosen on validation against the others."""
    ratios = QUICK_RATIOS if context.quick else RATIOS
    cells = cells_of(ratios, QUICK_BUDGETS if context.quick else BUDGETS)
    asked = QUICK_QUESTIONS if context.quick else QUESTIONS
    choosing = QUICK_CHOOSING if context.quick else CHOOSING
    test = answered(context, cells, "test", asked)
    validation = answered(context, cells, "validation", choosing)
    table = means_within(test, "form", [*AXES, "budget"])
    return {
        "mi_attention_split": table.assign(ratio=table["budget"] / test["n_v"].iloc[0]),
        "mi_attention_chosen": chosen(validation, test),
    }


def cells_of(ratios: tuple[float, ...], budgets: tuple[int, ...]) -> Described:
    """Every reading at every share and budget, with the λ that the paper has."""
    found = []
    for budget in budgets:
        for rounds in ROUNDS:
            for ratio in ratios:
                axes = {"rounds": rounds, "attention_ratio": ratio}
                cell = Configuration("mi_attention", budget, {"relevance_weight": "paper", **axes})
                found.append((cell, {**axes, "budget": budget}))
    return found


def chosen(validation: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """Reading and split that are best on validation, against half and half and both ends, on test.

    One row per form, budget and what it is compared with; Holm's correction within one form.
    """
    parts = []
    for form, own in test.groupby("form", sort=False):
        known = validation[validation["form"] == form]
        table = chosen_on_validation(known, own, ["budget"], AXES, [DEFAULT, *ENDS])
        parts.append(table.assign(form=str(form)))
    return pd.concat(parts, ignore_index=True)


STUDY = Study(
    "mi_attention_split",
    "MI-Attention: how is the budget split, and what does round two know?",
    ("mi_attention_split", "mi_attention_chosen"),
    run,
)
