"""The paper's printed numbers against one another: averages, F1, counts, copies, sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.reference.cells import printed_cells
from analysis.reference.checks import CHECKS, run_checks
from analysis.reference.checks.f1 import NAME as F1
from analysis.style import BLUE, GRAY, ORANGE, PAGE, VERMILION, new_figure, theme
from mitheory.bundle import Sample
from mitheory.verdict import Kind, Verdict

from .base import Claim
from .context import Context

STATEMENT = "The printed tables agree with themselves, with one another and with the text."
SOURCE = "Tables 1 to 11; Abstract, Secs. 3.3, 4.2 and 4.3, Apps. B and C.5"
KIND: Kind = "bookkeeping"
SMALLEST_EFFECT = None  # one number that cannot be right decides
HOW = (
    "All 832 numbers of the tables were transcribed digit by digit. Each is taken as the interval "
    "of half a unit in its last digit, and a check disagrees only if no values in the intervals "
    "can agree. Recomputed are averages of the three POPE splits, the F1 that accuracy and "
    "yes-rate imply on balanced yes/no questions, the recall that the splits share, accuracies as "
    "counts of questions, cells that two tables print, cells of different runs that are "
    "identical, numbers quoted in the text, and sentences that the tables decide."
)
MEANING = {
    "refuted": "Some printed numbers cannot be right, and they are mostly those of the baselines: "
    "the plain similarity is nearer to MI-Pruner than Tab. 1 says. Compare with recomputed "
    "numbers, or run the pruners yourself; do not choose by the POPE columns as printed.",
    "verified": "Nothing in the tables contradicts itself beyond rounding.",
}
CAVEATS = (
    "A cell that agrees need not be right: only what two printed numbers share can be checked.",
    "Which of the numbers involved is wrong is often unknown; the recomputed value takes the "
    "others as right.",
    "Sentences are held against the tables as printed. The errors printed for MMVet (7 to 8 "
    "points) exceed every difference in its columns, and DART and VisPruner at 128 tokens differ "
    "in latency by less than their printed errors together.",
    "Of the baselines' rows some are taken from other papers, whose POPE questions may differ.",
)
GRADES = ("impossible", "contradicted", "unlikely")


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """One row per check; no samples are needed."""
    return pd.DataFrame([asdict(check) for check in run_checks()])


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """Refuted by the number farthest from anything that rounding explains."""
    wrong = table[~table["agrees"]]
    impossible = wrong[wrong["grade"] == "impossible"]
    return CLAIM.verdict(
        context,
        n=len(table),
        unit="checks",
        method="interval arithmetic on the printed digits",
        checked=len(table),
        counter_example=_example(impossible) if len(impossible) else None,
        caveats=CAVEATS,
        diagnostics={
            "cells": len(printed_cells()),
            "checks": _counts(table),
            **{grade: _findings(wrong[wrong["grade"] == grade]) for grade in GRADES},
        },
    )


def _counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Checks made and disagreements, by family."""
    return {
        family: {
            "made": int((table["family"] == family).sum()),
            "disagree": int(((table["family"] == family) & ~table["agrees"]).sum()),
        }
        for family in CHECKS
    }


def _example(impossible: pd.DataFrame) -> dict[str, Any]:
    worst = impossible.iloc[int(impossible["gap"].to_numpy().argmax())]
    columns = ("where", "printed", "recomputed", "premise", "changes")
    return {column: str(worst[column]) for column in columns}


def _findings(rows: pd.DataFrame) -> list[dict[str, str]]:
    """Every disagreement."""
    columns = ["family", "where", "printed", "recomputed", "changes"]
    rows = rows.assign(family=rows["family"].str.replace("_", " "))
    return [
        dict(zip(columns, map(str, row), strict=True))
        for row in rows[columns].itertuples(index=False)
    ]


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """How many checks of each family disagree, and printed against implied F1."""
    with theme():
        figure = new_figure(PAGE, 2.9)
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
        _draw_counts(left, table)
        _draw_f1(right, table[table["family"] == F1])
    return figure


def _draw_counts(axes: Axes, table: pd.DataFrame) -> None:
    shares = table.assign(wrong=~table["agrees"]).groupby("family", sort=False)["wrong"]
    made, wrong = shares.size(), shares.sum()
    y = np.arange(len(made))
    axes.barh(y, 100 * wrong / made, color=VERMILION, height=0.62)
    for i, family in enumerate(made.index):
        share = 100 * wrong[family] / made[family]
        axes.text(share + 1, i, f"{wrong[family]} of {made[family]}", va="center", fontsize=7)
    axes.set_yticks(y, [family.replace("_", " ") for family in made.index])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * max(1.0, float((100 * wrong / made).max())))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("checks that disagree (%)")


def _draw_f1(axes: Axes, rows: pd.DataFrame) -> None:
    """The interval that accuracy and yes-rate leave to F1, against the printed F1."""
    ends = np.array([[float(v) for v in text.split(" to ")] for text in rows["recomputed"]])
    printed = rows["printed"].astype(float).to_numpy()
    agrees = rows["agrees"].to_numpy()
    axes.plot((0.1, 1), (0.1, 1), color=GRAY, linewidth=0.8)
    for mask, color, label in ((agrees, BLUE, "can be right"), (~agrees, ORANGE, "cannot")):
        axes.vlines(printed[mask], *ends[mask].T, color=color, linewidth=1.6, label=label)
    axes.set_xlabel("F1 on POPE, as printed")
    axes.set_ylabel("F1 that accuracy and yes-rate allow")
    axes.legend()


CLAIM = Claim(
    name="printed_tables_consistent",
    statement=STATEMENT,
    source=SOURCE,
    kind=KIND,
    smallest_effect=SMALLEST_EFFECT,
    how=HOW,
    meaning=MEANING,
    measure=measure,
    judge=judge,
    draw=draw,
    needs_bundle=False,
)
evaluate = CLAIM.evaluate
