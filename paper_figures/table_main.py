"""Accuracy by method and type of question (Tab. 1, as a table)."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mitheory.errors import MissingInputError

from . import labels, style
from .intervals import STATED, accuracy, accuracy_within
from .results import Results, Scene
from .spec import FigureSpec

CELLS = ["series", "budget", "ratio"]
ALL = "all"


def data(results: Results) -> pd.DataFrame:
    """Accuracy of each method and budget on each question type, and on all of them.

    Raises
    ------
    MissingInputError
        If the run holds no family "method", or in it nothing but all tokens.
    """
    rows = results.family("method")
    if not (rows["method"] != "full").any():
        raise MissingInputError("family 'method' holds no pruning method, only all tokens")
    table = pd.concat(
        [
            accuracy(rows, CELLS).assign(question_type=ALL),
            accuracy_within(rows, "question_type", CELLS),
        ],
        ignore_index=True,
    )
    table.insert(1, "label", [labels.series_label(key) for key in table["series"]])
    return table


def shown_budgets(table: pd.DataFrame) -> list[int]:
    """The two smallest pruned budgets, larger first."""
    pruned = table.loc[table["series"] != "full", "budget"]
    return sorted(set(pruned))[:2][::-1]


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """A block for each shown budget: methods as rows, types as columns."""
    columns = [ALL, *labels.question_types(table["question_type"])]
    blocks = [
        table[(table["budget"] == budget) | (table["series"] == "full")]
        for budget in shown_budgets(table)
    ]
    heights = [block["series"].nunique() + 1.6 for block in blocks]
    figure = style.new_figure(style.PAGE, 0.235 * sum(heights) + 0.2)
    axes = figure.subplots(len(blocks), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, block, budget in zip(axes, blocks, shown_budgets(table), strict=True):
        ratio = float(block.loc[block["budget"] == budget, "ratio"].iloc[0])
        _block(ax, block, columns)
        ax.set_title(f"{budget} tokens ({labels.percent(ratio)}%): accuracy (%)", pad=6)
    return figure


def _block(ax: Axes, block: pd.DataFrame, columns: list[str]) -> None:
    keys = sorted(set(block["series"]), key=labels.series_rank)
    cells = block.set_index(["series", "question_type"])
    shades = mpl.colormaps["Blues"]
    for y, key in enumerate(keys):
        for x, column in enumerate(columns):
            if (key, column) not in cells.index:
                continue
            cell = cells.loc[(key, column)]
            color = shades(
                0.5 * float(cell["estimate"])
            )  # pale: small black print must stay legible
            ax.add_patch(
                mpl.patches.Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=color, edgecolor="white")
            )
            weight = "bold" if _is_best(block, column, key) else "normal"
            middle = labels.points(cell["estimate"])
            ax.text(x, y - 0.16, middle, ha="center", va="center", fontsize=7, fontweight=weight)
            ends = f"{100 * cell['low']:.0f}–{100 * cell['high']:.0f}"
            ax.text(x, y + 0.25, ends, ha="center", va="center", fontsize=5.2, color="#222222")
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(keys) - 0.5, -0.5)
    ax.set_xticks(range(len(columns)), [_heading(c) for c in columns])
    ax.set_yticks(range(len(keys)), [labels.series_label(k) for k in keys])
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for side in ax.spines.values():
        side.set_visible(False)


def _heading(column: str) -> str:
    return "all types" if column == ALL else labels.question_label(column).replace(" ", "\n")


def _is_best(block: pd.DataFrame, column: str, key: str) -> bool:
    """Whether no pruning method has a higher estimate; the oracle and all tokens aside."""
    ranked = block[(block["question_type"] == column) & ~block["series"].isin(["full", "oracle"])]
    best = ranked.loc[ranked["estimate"] == ranked["estimate"].max(), "series"]
    return key in set(best)


def caption(table: pd.DataFrame) -> str:
    """What the cells are, and how many questions stand behind the columns."""
    counts = table[table["question_type"] != ALL].drop_duplicates("question_type")
    named = [
        f"{labels.question_label(t)} {int(n):,}"
        for t, n in zip(counts["question_type"], counts["questions"], strict=True)
    ]
    return (
        f"Accuracy by method and type of question; small numbers are {STATED}. "
        "Bold: the highest estimate of a column, the oracle and all tokens aside; it is not "
        f"thereby significantly highest. Questions: {', '.join(named)}."
    )


FIGURE = FigureSpec(
    name="table_main",
    title="Accuracy by type of question",
    source="Tab. 1",
    data=data,
    draw=draw,
    caption=caption,
    printed=(
        "The paper prints accuracies by benchmark, not by type of question: its numbers stand "
        "beside the previous figure."
    ),
)
