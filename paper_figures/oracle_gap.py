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
QUANTITIES = ("log_prob_gap", "accuracy_gap", "accuracy", "overlap")
PANELS = (
    ("log_prob_gap", "truth, behind the search (nats)", 1.0, "a  Log-probability"),
    ("accuracy", "accuracy (%)", 100.0, "b  Accuracy"),
    ("overlap", "kept by both (%)", 100.0, "c  Kept tokens"),
)


def data(results: Results) -> pd.DataFrame:
    """Every method against the search, the nearest first: a row for each quantity.

    Raises
    ------
    MissingInputError
        If the run holds no ``oracle_gap`` study.
    """
    table = results.study("oracle_gap").sort_values("log_prob_gap", ignore_index=True)
    parts = [
        pd.DataFrame(
            {
                "method": table["method"],
                "quantity": name,
                "estimate": table[name],
                "low": table[f"{name}_low"],
                "high": table[f"{name}_high"],
                "n": table["n"],
                "p_holm": table["p_holm"],
            }
        )
        for name in QUANTITIES
    ]
    return pd.concat(parts, ignore_index=True)


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """Three panels, a line for each method."""
    methods = list(dict.fromkeys(table["method"]))
    figure = style.new_figure(style.PAGE, 0.135 * len(methods) + 0.75)
    axes = figure.subplots(1, len(PANELS), sharey=True)
    for ax, (quantity, title, unit, heading) in zip(axes, PANELS, strict=True):
        rows = table[table["quantity"] == quantity].set_index("method").loc[methods]
        for y, (method, row) in enumerate(rows.iterrows()):
            if method == SEARCH and quantity != "accuracy":
                continue
            color = style.look(str(method)).color if method in KNOWN else "#333333"
            ends = [unit * row["low"], unit * row["high"]]
            ax.plot(ends, [y, y], color=color, linewidth=1.0, solid_capstyle="butt")
            ax.plot([unit * row["estimate"]], [y], marker="o", markersize=3.2, color=color)
        ax.set_title(heading)
        ax.set_xlabel(title)
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(methods)), [_label(m) for m in methods])
    axes[0].tick_params(axis="y", labelsize=6.4)
    axes[0].set_ylim(len(methods) - 0.4, -0.6)
    return figure


KNOWN = ("mi_pruner", "oracle")


def _label(method: str) -> str:
    return "Search by the answer" if method == SEARCH else labels.series_label(method)


def caption(table: pd.DataFrame) -> str:
    """The nearest method, and MI-Pruner."""
    right = table[table["quantity"] == "accuracy"].set_index("method")
    behind = table[table["quantity"] == "log_prob_gap"].set_index("method")
    nearest = next(m for m in behind.index if m != SEARCH)
    told = "; ".join(
        f"{_label(m)} {labels.points(right.estimate[m])}% "
        f"{labels.interval(right.low[m], right.high[m])}, {behind.estimate[m]:.2f} nats behind"
        for m in dict.fromkeys([SEARCH, nearest, "mi_pruner"])
    )
    return (
        "Every method against a search that is told the answer and adds, of a random quarter of "
        "the tokens left, the one after which the truth is most probable; as many tokens, "
        f"{int(table['n'].iloc[0])} questions. Bars are {STATED}. Right answers, and how far the "
        f"truth's log-probability is behind: {told}. A search over a sample finds no best set, so "
        "that every gap is at least this wide."
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
