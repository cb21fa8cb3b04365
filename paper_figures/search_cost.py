"""What exact greedy search costs over N and over k, and what the shortcuts to it change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from . import labels, panels, style
from .intervals import STATED, accuracy
from .results import Results, Scene
from .spec import FigureSpec
from .style import Look

LABELS = {
    "eager": "eager: every score afresh",
    "lazy": "lazy heap, filled after the first choice",
    "static_heap": "heap built once (Sec. 3.3)",
    "stochastic": "stochastic, ε = 0.1",
}
LOOKS: Mapping[str, Look] = {
    "eager": Look("#000000", "o", "-", 1.4),
    "lazy": Look("#0072B2", "s", "-", 1.9),
    "static_heap": Look("#D55E00", "^", "--"),
    "stochastic": Look("#777777", "p", ":", 1.4),
}
QUANTITIES = {
    "scores": "scores computed",
    "entries": "PMI entries read",
    "seconds": "seconds",
    "overlap": "Jaccard with eager (%)",
}
SHARE = 1 / 9  # of N, where N varies


def data(results: Results) -> pd.DataFrame:
    """Mean of every quantity per search, N and k, with its interval over clips.

    Raises
    ------
    MissingInputError
        If the run holds no study "search_cost".
    """
    rows = results.study("search_cost")
    cells = ["search", "n", "budget"]
    parts = []
    for quantity in QUANTITIES:
        for _, part in rows.groupby(["n", "budget"], sort=False):
            table = accuracy(part, cells, value=quantity)
            parts.append(table.assign(quantity=quantity))
    table = pd.concat(parts, ignore_index=True).rename(columns={"scenes": "clips"})
    exact = rows.groupby(cells)["is_greedy"].mean().rename("is_greedy").reset_index()
    table = table.merge(exact, on=cells).drop(columns="questions")
    return table.assign(label=table["search"].map(LABELS), machine=rows["machine"].iloc[0])[
        ["quantity", *cells, "label", "estimate", "low", "high", "clips", "is_greedy", "machine"]
    ]


def over_n(table: pd.DataFrame) -> pd.DataFrame:
    """The cells in which N varies and a ninth is kept."""
    return table[table["budget"] == (table["n"] * SHARE).round().astype(int)]


def over_k(table: pd.DataFrame) -> pd.DataFrame:
    """The cells in which k varies, at the N that has several."""
    counts = table.groupby("n")["budget"].nunique()
    return table[table["n"] == counts.idxmax()]


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """Quantities as columns; over N above, over k below."""
    figure = style.new_figure(style.PAGE, 3.6)
    axes = figure.subplots(2, len(QUANTITIES))
    for row, (cells, x) in zip(
        axes, ((over_n(table), "n"), (over_k(table), "budget")), strict=True
    ):
        for ax, (quantity, title) in zip(row, QUANTITIES.items(), strict=True):
            _panel(ax, cells[cells["quantity"] == quantity], x)
            if x == "n":
                ax.set_title(title)
                ax.set_xlabel("tokens N, a ninth kept")
            else:
                ax.set_xlabel(f"tokens kept k, of {int(cells['n'].iloc[0])}")
    handles = [panels.handle(LOOKS[key], label) for key, label in LABELS.items()]
    panels.legend_below(figure, handles, columns=2)
    return figure


def _panel(ax: Axes, rows: pd.DataFrame, x: str) -> None:
    quantity = rows["quantity"].iloc[0]
    for key, own in rows.groupby("search", sort=False):
        own, look = own.sort_values(x), LOOKS[str(key)]
        scale = 100 if quantity == "overlap" else 1
        middle, low, high = (scale * own[c].to_numpy(float) for c in ("estimate", "low", "high"))
        if quantity == "entries" and not middle.any():
            continue  # a heap built once needs none: nothing to show on a logarithmic axis
        ax.errorbar(
            own[x], middle, yerr=[middle - low, high - middle], color=look.color,
            marker=look.marker, linestyle=look.line, linewidth=look.width, markersize=look.size,
            markeredgecolor="white", markeredgewidth=0.4, elinewidth=0.9, capsize=1.6,
        )  # fmt: skip
    ax.set_xscale("log")
    ticks = sorted(set(rows[x]))
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([str(tick) for tick in ticks])
    if quantity == "overlap":
        ax.set_ylim(0, 105)
    else:
        ax.set_yscale("log")


def caption(table: pd.DataFrame) -> str:
    """Counts at the largest N, and which searches are greedy search."""
    large = over_n(table)
    large = large[large["n"] == large["n"].max()]
    cell = large.set_index(["quantity", "search"])
    always = table.groupby("search")["is_greedy"].min()
    exact = [LABELS[key].split(":")[0].split(",")[0] for key in LABELS if always[key] == 1]

    def said(quantity: str, search: str, form: str = ",.0f") -> str:
        return f"{float(cast(Any, cell.loc[(quantity, search), 'estimate'])):{form}}"

    shared = cast(Any, cell.loc[("overlap", "static_heap")])
    return (
        "Four searches for what the score of MI-Pruner (λ = 0.5) selects, on "
        f"{int(table['clips'].iloc[0])} clips whose N tokens are those of 1 to 8 held-out scenes; "
        f"means with {STATED.replace('scenes', 'clips')}. Entries: of the self-PMI, if a token's "
        "redundancy is brought up to date only when its score is asked for (a heap built once "
        "needs none). Searches that made the choices of eager search in the same order every "
        f"time: {', '.join(exact)}. At N = {int(large['n'].iloc[0]):,}, "
        f"k = {int(large['budget'].iloc[0])} the lazy heap computes {said('scores', 'lazy')} of "
        f"{said('scores', 'eager')} scores and needs {said('entries', 'lazy')} of "
        f"{said('entries', 'eager')} entries, in {said('seconds', 'lazy', '.3f')} s against "
        f"{said('seconds', 'eager', '.3f')} s: in Python a heap pays for each look-up, where eager "
        "search computes one vector. The heap built once shares "
        f"{labels.points(shared['estimate'])}% {labels.interval(shared['low'], shared['high'])} of "
        f"its tokens with greedy search there. Machine: {table['machine'].iloc[0]}, one core."
    )


FIGURE = FigureSpec(
    name="search_cost",
    title="What greedy search costs",
    source="Sec. 3.3, footnote 2",
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper prints orders of growth, and no counts.",
)
