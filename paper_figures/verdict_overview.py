"""Every claim of the audit on one page: its effect against the smallest one of interest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.report.formatting import estimate as written
from mitheory.errors import MissingInputError
from mitheory.plot import ledger

from . import audit, style
from .results import Results, Scene
from .spec import FigureSpec

TALLEST = 9.2  # inches: a page of a paper, less its caption
LINES = 66  # characters of a statement to a line


def data(results: Results) -> pd.DataFrame:
    """One row per claim, in the order of the audit; effects in multiples of the smallest.

    `estimate`, `low` and `high` (95%) and the corrected ends that decide are multiples of the
    smallest effect of interest; `value` is in the claim's own unit.

    Raises
    ------
    MissingInputError
        If the run holds no audit, or none of its claims came to a verdict.
    """
    document = audit.verdicts(results)
    if not document["verdicts"]:
        raise MissingInputError("the audit of this run tested no claim")
    about = document["audit"]
    table = pd.DataFrame([_row(record) for record in document["verdicts"]])
    return table.assign(questions=about["n_samples"], scenes=about["n_images"])


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    effect = record["effect"]
    row = {key: record[key] for key in ("statement", "source")} | ledger.row(record)
    if effect:
        row["measured"] = written(effect["value"], effect["low"], effect["high"], effect["unit"])
    return row


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """A line per claim: what it says, its effect against the smallest of interest, the verdict."""
    figure = style.new_figure(style.PAGE, min(0.3 * len(table) + 0.9, TALLEST))
    words, ax, verdict = figure.subplots(1, 3, width_ratios=(3.5, 2.0, 2.6), sharey=True)
    for y, row in enumerate(table.to_dict("records")):
        color, mark = ledger.DECISIONS[str(row["decision"])]
        small: dict[str, Any] = {"va": "center", "fontsize": 5.0, "linespacing": 0.95}
        words.text(1.0, y, ledger.lines(row["statement"], LINES, 3), ha="right", **small)
        bold: dict[str, Any] = {"va": "center", "color": color, "fontweight": "bold"}
        verdict.text(0.0, y, mark, fontsize=8, **bold)
        verdict.text(0.06, y, row["decision"], fontsize=6.2, **bold)
        verdict.text(0.44, y, ledger.number(row), color="#222222", **small)
    for side in (words, verdict):
        side.set_axis_off()
        side.set_xlim(0, 1)
    ledger.effects(ax, table)
    figure.legend(handles=ledger.handles(), loc="outside lower center", ncols=3)
    return figure


def caption(table: pd.DataFrame) -> str:
    """How many claims came to what, and how to read a line."""
    counts = table["decision"].value_counts()
    said = ", ".join(f"{d} {counts[d]}" for d in ledger.DECISIONS if d in counts)
    far = int((table["estimate"].abs() > ledger.LIMIT).sum())
    arrows = f" {far} beyond the axis end in an arrow." if far else ""
    return (
        f"The {len(table)} claims of the audit on {int(table['questions'].iloc[0]):,} questions "
        f"about {int(table['scenes'].iloc[0]):,} held-out scenes: {said}. Each effect is a "
        "multiple of its own smallest effect of interest, fixed beforehand; shaded is where the "
        "claim says it lies. The interval that decides is corrected (Holm) over the claims that "
        "an interval decides; thick is 95%. Theorems and book-keeping have no shade: a "
        f"counter-example refutes them, and the number is how far.{arrows}"
    )


FIGURE = FigureSpec(
    name="verdict_overview",
    title="Every claim and its verdict",
    source="Secs. 1–4, App. A–C",
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper states these claims; the tests of them are not the paper's.",
)
