"""Every claim of the audit on one page: its effect against the smallest one of interest."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from analysis.report.formatting import estimate as written
from mitheory.errors import MissingInputError

from . import audit, style
from .results import Results, Scene
from .spec import FigureSpec

LIMIT = 12.0  # multiples of the smallest effect at both ends of the axis
TICKS = (-10, -3, -1, 0, 1, 3, 10)
REGIONS = {"negligible": (-1.0, 1.0), "at_least": (1.0, math.inf), "at_most": (-math.inf, 1.0)}
# color, mark and words of each decision: told apart without color
DECISIONS: Mapping[str, tuple[str, str]] = {
    "verified": ("#0072B2", "✓"),
    "holds": ("#0072B2", "✓"),
    "inconclusive": ("#777777", "?"),
    "violated": ("#D55E00", "✗"),
    "refuted": ("#D55E00", "✗"),
    "unassessed": ("#777777", "–"),
}
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
    effect, smallest = _fields(record, "effect"), _fields(record, "smallest_effect")
    row: dict[str, Any] = {
        key: record[key] for key in ("claim", "statement", "source", "kind", "decision")
    }
    row |= {"n": record["n"], "n_unit": record["unit"], "checked": record["checked"]}
    row |= {"region": smallest.get("region"), "smallest": smallest.get("value")}
    row["measured"] = (
        written(effect["value"], effect["low"], effect["high"], effect["unit"]) if effect else ""
    )
    row |= {key: effect.get(key) for key in ("name", "unit", "value")}
    for key, of in _ENDS.items():
        row[key] = effect[of] / smallest["value"] if effect and smallest else math.nan
    return row


_ENDS = {
    "estimate": "value", "low": "low", "high": "high",
    "low_corrected": "low_corrected", "high_corrected": "high_corrected",
}  # fmt: skip


def _fields(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    return dict(record[key] or {})


def place(multiple: float) -> float:
    """Where a multiple of the smallest effect stands, in −1..1: logarithmic beyond a few.

    Examples
    --------
    >>> place(0.0), place(LIMIT), place(-math.inf), place(1.0) > 0.25
    (0.0, 1.0, -1.0, True)
    """
    inside = min(max(multiple, -LIMIT), LIMIT)
    return math.copysign(math.log1p(abs(inside)) / math.log1p(LIMIT), inside)


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """A line per claim: what it says, its effect against the smallest of interest, the verdict."""
    figure = style.new_figure(style.PAGE, min(0.3 * len(table) + 0.9, TALLEST))
    words, ax, verdict = figure.subplots(1, 3, width_ratios=(3.5, 2.0, 2.6), sharey=True)
    for y, row in enumerate(table.to_dict("records")):
        color, mark = DECISIONS[str(row["decision"])]
        small: dict[str, Any] = {"va": "center", "fontsize": 5.0, "linespacing": 0.95}
        words.text(1.0, y, _lines(row["statement"], LINES, 3), ha="right", **small)
        bold: dict[str, Any] = {"va": "center", "color": color, "fontweight": "bold"}
        verdict.text(0.0, y, mark, fontsize=8, **bold)
        verdict.text(0.06, y, row["decision"], fontsize=6.2, **bold)
        verdict.text(0.44, y, _number(row), color="#222222", **small)
        if math.isfinite(row["estimate"]):
            _effect(ax, y, row, color)
    for side in (words, verdict):
        side.set_axis_off()
        side.set_xlim(0, 1)
    _axis(ax, len(table))
    handles = [
        Patch(color="#dfe9f2", label="what the claim says"),
        Line2D([], [], color=style.GRAY, marker="o", markersize=3.5, linewidth=2.2,
               label="effect, 95%"),
        Line2D([], [], color=style.GRAY, linewidth=0.8, label="interval that decides (Holm)"),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _lines(text: str, width: int, most: int) -> str:
    """A text in at most so many lines; what is left out is marked."""
    lines = textwrap.wrap(text, width)
    return "\n".join(lines[:most]) + " …" * (len(lines) > most)


def _number(row: Mapping[Any, Any]) -> str:
    """The effect in its own unit with its name, or what a theorem was checked on."""
    if row["measured"]:
        return f"{row['measured']}\n{_lines(row['name'], 40, 2)}"
    return f"{row['checked']:,} {row['n_unit']}"


def _effect(ax: Axes, y: int, row: Mapping[Any, Any], color: str) -> None:
    left, right = (place(end) for end in REGIONS[row["region"]])
    ax.add_patch(Rectangle((left, y - 0.36), right - left, 0.72, color="#dfe9f2", linewidth=0))
    ax.plot(
        [place(row[key]) for key in ("low_corrected", "high_corrected")], [y, y],
        color=color, linewidth=0.8,
    )  # fmt: skip
    ax.plot([place(row[key]) for key in ("low", "high")], [y, y], color=color, linewidth=2.2)
    beyond = abs(row["estimate"]) > LIMIT
    marker = (">" if row["estimate"] > 0 else "<") if beyond else "o"
    at = place(row["estimate"])
    ax.plot(at, y, marker=marker, color=color, markersize=3.5, clip_on=False)


def _axis(ax: Axes, n: int) -> None:
    ax.set_xlim(-1.02, 1.02)
    ax.set_ylim(n - 0.4, -0.6)
    ax.set_xticks([place(t) for t in TICKS], [f"{t}".replace("-", "−") for t in TICKS])
    ax.set_yticks([])
    ax.set_xlabel("multiples of the smallest effect of interest")
    ax.axvline(0, color="#444444", linewidth=0.7, zorder=1)
    ax.spines["left"].set_visible(False)


def caption(table: pd.DataFrame) -> str:
    """How many claims came to what, and how to read a line."""
    counts = table["decision"].value_counts()
    said = ", ".join(f"{d} {counts[d]}" for d in DECISIONS if d in counts)
    far = int((table["estimate"].abs() > LIMIT).sum())
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
