"""How far every method is from greedy search by the answer itself."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from . import labels, style
from .intervals import STATED
from .results import Results, Scene
from .spec import FigureSpec

SEARCH = "search"
PANELS = (
    ("log_prob_gap", "behind the search (nats)", 1.0, "a  Log-probability of the truth"),
    ("accuracy", "accuracy (%)", 100.0, "b  Accuracy"),
    ("overlap", "kept by both (%)", 100.0, "c  Kept tokens"),
)


def data(results: Results) -> pd.DataFrame:
    """Every method against the search, the nearest first.

    Raises
    ------
    MissingInputError
        If the run holds no ``oracle_gap`` study.
    """
    return results.study("oracle_gap").sort_values("log_prob_gap", ignore_index=True)


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """Three panels, a line for each method."""
    figure = style.new_figure(style.PAGE, 0.135 * len(table) + 0.75)
    axes = figure.subplots(1, len(PANELS), sharey=True)
    names = [_label(m) for m in table["method"]]
    for ax, (column, title, unit, heading) in zip(axes, PANELS, strict=True):
        for y, (_, row) in enumerate(table.iterrows()):
            if row["method"] == SEARCH and column != "accuracy":
                continue
            color = style.look(str(row["method"])).color if row["method"] in KNOWN else "#333333"
            low, high = unit * row[f"{column}_low"], unit * row[f"{column}_high"]
            ax.plot([low, high], [y, y], color=color, linewidth=1.0, solid_capstyle="butt")
            ax.plot([unit * row[column]], [y], marker="o", markersize=3.2, color=color)
        ax.set_title(heading)
        ax.set_xlabel(title)
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(table)), names)
    axes[0].tick_params(axis="y", labelsize=6.4)
    axes[0].set_ylim(len(table) - 0.4, -0.6)
    return figure


KNOWN = ("mi_pruner", "oracle")


def _label(method: str) -> str:
    return "Search by the answer" if method == SEARCH else labels.series_label(method)


def caption(table: pd.DataFrame) -> str:
    """The nearest method, and MI-Pruner."""
    search = table[table["method"] == SEARCH].iloc[0]
    others = table[table["method"] != SEARCH]
    picked = [others.iloc[0], *(r for _, r in others.iterrows() if r["method"] == "mi_pruner")]
    told = "; ".join(
        f"{_label(str(r['method']))} {r['log_prob_gap']:.2f} [{r['log_prob_gap_low']:.2f}, "
        f"{r['log_prob_gap_high']:.2f}] nats, {labels.points(r['accuracy_gap'])} points "
        f"{labels.interval(r['accuracy_gap_low'], r['accuracy_gap_high'])}"
        for r in picked
    )
    return (
        "Every method against a search that is told the answer and adds, of a random quarter of "
        "the tokens left, the one after which the truth is most probable; the same number of "
        f"tokens, {int(search['n'])} questions. Bars are {STATED}. The search answers "
        f"{labels.points(search['accuracy'])}% rightly. Behind it: {told}. A search over a sample "
        "finds no best set, so that every gap is at least this wide."
    )


FIGURE = FigureSpec(
    name="oracle_gap",
    title="The oracle gap",
    source="beyond the paper",
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper has no such numbers.",
)
