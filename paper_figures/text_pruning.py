"""Accuracy over the length of the prompt, together with the visual budget."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mitheory.errors import MissingInputError

from . import labels, panels, style
from .intervals import STATED
from .results import Results, Scene
from .spec import FigureSpec

N_V = 144
ORDERS = {
    "mi": ("transposed PMI", style.Look("#0072B2", "o", "-", 1.8)),
    "similarity": ("similarity to the image", style.Look("#D55E00", "^", "--", 1.2)),
    "fillers": ("filler words first", style.Look("#117733", "D", "-.", 1.2)),
    "random": ("random words", style.Look("#777777", "p", ":", 1.4)),
}


def data(results: Results) -> pd.DataFrame:
    """Accuracy of all questions by order of words, share of words and visual budget.

    Raises
    ------
    MissingInputError
        If the run lacks the study, or it holds fewer than two shares.
    """
    table = results.study("text_pruning")
    if table["share"].nunique() < 2:
        raise MissingInputError("study 'text_pruning' must hold two shares or more")
    shown = (table["positions"] == "kept") & table["order"].isin(["all", *ORDERS])
    return table[shown & (table["form"] == "all")].reset_index(drop=True)


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """A panel of curves for each visual budget, and a map of both budgets for the PMI."""
    budgets = sorted(set(table["budget"]), reverse=True)
    figure = style.new_figure(style.PAGE, 2.75)
    axes = figure.subplots(
        1, len(budgets) + 1, squeeze=False,
        gridspec_kw={"width_ratios": [*[1.0] * len(budgets), 1.15]},
    )  # fmt: skip
    bounds = 100 * table["low"].min() - 2, 100 * table["high"].max() + 2
    for i, budget in enumerate(budgets):
        ax = axes[0, i]
        _panel(ax, table[table["budget"] == budget])
        ax.set_title(f"{budget} patches ({labels.percent(budget / N_V)}%)", fontsize=7.5)
        ax.set_ylim(*bounds)
        ax.set_ylabel("accuracy (%)" if i == 0 else "")
    _map(axes[0, -1], table, budgets)
    handles = [panels.handle(look, label) for label, look in ORDERS.values()]
    panels.legend_below(figure, handles, columns=4)
    return figure


def _panel(ax: Axes, table: pd.DataFrame) -> None:
    whole = table[table["order"] == "all"]
    panels.all_tokens(ax, panels.first_row(whole))
    for i, (order, (_, look)) in enumerate(ORDERS.items()):
        rows = table[table["order"] == order].sort_values("share")
        x = [s + 0.012 * (i - 1.5) for s in rows["share"]]
        panels.curve(ax, x, rows, look)
    shares = sorted({*table["share"]})
    ax.set_xticks(shares, [labels.percent(s) for s in shares])
    ax.set_xlabel("words kept (%)")
    ax.invert_xaxis()


def _map(ax: Axes, table: pd.DataFrame, budgets: list[int]) -> None:
    rows = table[table["order"].isin(["mi", "all"])]
    grid = rows.pivot(index="budget", columns="share", values="estimate").loc[budgets]
    grid = grid[sorted(grid.columns, reverse=True)]
    values = 100 * grid.to_numpy(float)
    ax.imshow(values, cmap="viridis", aspect="auto", vmin=0, vmax=100)
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            shade = mpl.colormaps["viridis"](values[i, j] / 100)
            light = sum(shade[:3]) / 3 > 0.45
            ax.text(
                j, i, labels.points(values[i, j] / 100), ha="center", va="center", fontsize=6.5,
                color="black" if light else "white",
            )  # fmt: skip
    ax.set_xticks(range(values.shape[1]), [labels.percent(float(str(s))) for s in grid.columns])
    ax.set_yticks(range(len(budgets)), [str(b) for b in budgets])
    ax.grid(False)
    ax.set_title("transposed PMI (%)", fontsize=7.5)
    ax.set_xlabel("words kept (%)")
    ax.set_ylabel("patches kept", labelpad=1)


def caption(table: pd.DataFrame) -> str:
    """All orders at the middle share, with the most patches there are."""
    shares = sorted(set(table["share"]) - {1.0})
    share, budget = shares[len(shares) // 2], max(table["budget"])
    rows = table[(table["budget"] == budget) & (table["share"] == share)].set_index("order")
    whole = table[(table["budget"] == budget) & (table["order"] == "all")].iloc[0]
    told = [
        f"{name} {labels.points(rows['estimate'][order])}%"
        for order, (name, _) in ORDERS.items()
        if order in rows.index
    ]
    return (
        "Accuracy when words of the prompt are dropped, in four orders, with as many patches as "
        "MI-Pruner keeps for the whole prompt; right, both budgets together. Transposed PMI: how "
        "far p(v|t) of the word is from the mean over words, of the variant that was best on "
        "validation questions. The last word, behind which the model answers, always stays; kept "
        f"words keep their position ids. Dashed line: the whole prompt. Bars are {STATED}. At "
        f"{labels.percent(share)} percent of the words and {budget} patches: {', '.join(told)}; "
        f"the whole prompt {labels.points(whole['estimate'])}%."
    )


FIGURE = FigureSpec(
    name="text_pruning",
    title="Pruning the prompt",
    source="Eqs. (16)–(19), transposed",
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper prunes no words.",
)
