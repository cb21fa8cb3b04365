"""Attention sinks against mutual information on the same scenes: what follows the question?"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from mitheory.errors import MissingInputError

from . import labels, style
from .intervals import STATED, accuracy
from .results import Results, Scene
from .spec import FigureSpec

LABELS = {
    "cls_attention": "[CLS] attention",
    "attention": "Attention",
    "max_pmi": "max PMI",
    "information": "Information",
}
QUANTITIES = {
    "top_share": "share on the top 5%",
    "overlap": "same top 5%, other question",
    "own": "density on what is asked about",
    "foreign": "density on what the other question asks about",
}
# rows under the image: score, and which of the two questions
ROWS = (("cls_attention", 0), ("attention", 0), ("information", 0), ("information", 1))
ASKED_BY = {"own": "the own question", "foreign": "the other question"}
_ENDS = ("estimate", "low", "high")
MEAN, DRAWN = "mean", "drawn"
ASKED, TOP = "#E69F00", "#FFFFFF"


def data(results: Results) -> pd.DataFrame:
    """Means over scenes with intervals (`kind` "mean"), and the drawn patches (`kind` "drawn").

    Raises
    ------
    MissingInputError
        If the run holds no study "sinks", or no image of a drawn scene.
    """
    rows = results.study("sinks")
    parts = [
        accuracy(rows, ["score"], value=quantity).assign(quantity=quantity)
        for quantity in QUANTITIES
    ]
    means = pd.concat(parts, ignore_index=True).assign(kind=MEAN, top=rows["top"].iloc[0])
    drawn = results.study("sinks_drawn")
    drawn = drawn[drawn["sample_id"].isin(list(results.scenes))].assign(kind=DRAWN)
    if drawn.empty:
        raise MissingInputError("sinks: no drawn scene has an image in the bundle of this run")
    for column, form in (("shares", "{:.5f}"), ("relevant", "{:d}")):
        drawn[column] = [" ".join(form.format(x) for x in values) for values in drawn[column]]
    table = pd.concat([means, drawn], ignore_index=True)
    return table.assign(label=table["score"].map(LABELS))


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """Scenes as columns over their scores patch by patch; the means of many scenes below."""
    drawn = table[table["kind"] == DRAWN]
    names = list(dict.fromkeys(drawn["sample_id"]))
    figure = style.new_figure(style.PAGE, 8.4)
    above, below = cast(Any, figure.subfigures(2, 1, height_ratios=(5.0, 1.25)))
    grid = above.subplots(len(ROWS) + 1, len(names), squeeze=False)
    for column, name in zip(grid.T, names, strict=True):
        own = drawn[drawn["sample_id"] == name].set_index(["score", "turn"])
        _scene(column[0], (scenes or {})[name], own)
        for ax, key in zip(column[1:], ROWS, strict=True):
            _patches(ax, own.loc[key], (scenes or {})[name].grid, int(table["top"].iloc[0]))
    heads = ["image", *(f"{LABELS[s]}\n{('1st', '2nd')[turn]} question" for s, turn in ROWS)]
    heads[1:3] = [f"{LABELS[s]}\nany question" for s, _ in ROWS[:2]]
    for ax, head in zip(grid[:, 0], heads, strict=True):
        ax.set_ylabel(head, fontsize=7, rotation=0, ha="right", va="center")
    _means(below, table[table["kind"] == MEAN])
    return figure


def _bare(ax: Axes) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    for side in ax.spines.values():
        side.set_visible(False)


def _scene(ax: Axes, scene: Scene, own: pd.DataFrame) -> None:
    ax.imshow(scene.image, interpolation="nearest")
    words = [str(own.loc[("information", turn), "question"]) for turn in (0, 1)]
    lines = [
        "\n".join(textwrap.wrap(f"{i}. {_plain(q)}", 25)) for i, q in enumerate(words, start=1)
    ]
    ax.set_title("\n".join(lines), fontsize=5.8, fontweight="normal", loc="left")
    _bare(ax)


def _plain(question: str) -> str:
    """A tokenized question as it would be written."""
    for mark in "?,.":
        question = question.replace(f" {mark}", mark)
    return question


def _numbers(text: str) -> NDArray[np.float64]:
    return np.array([float(x) for x in text.split()])


def _patches(ax: Axes, row: pd.Series, grid: tuple[int, int], top: int) -> None:
    """Shares as brightness; framed: what is asked about; dots: the top 5%."""
    shares = _numbers(row["shares"])
    ax.imshow(shares.reshape(grid), cmap="mako", vmin=0, vmax=shares.max(), interpolation="nearest")
    for i in np.flatnonzero(_numbers(row["relevant"])):
        y, x = divmod(int(i), grid[1])
        corner = (x - 0.5, y - 0.5)
        ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=ASKED, linewidth=1.0))
    for i in np.argsort(-shares, kind="stable")[:top]:
        y, x = divmod(int(i), grid[1])
        ax.plot(x, y, marker=".", color=TOP, markeredgecolor="black", markeredgewidth=0.4, ms=4.5)
    _bare(ax)


def _means(figure: FigureBase, means: pd.DataFrame) -> None:
    axes = figure.subplots(1, 3, sharey=True)
    order = list(LABELS)[::-1]
    panels = ((("top_share",), 100), (("overlap",), 100), (("foreign", "own"), 1))
    titles = (
        "on the top 5% of patches (%)",
        "same top 5% for both (%)",
        "asked about: × mean density",
    )
    for ax, (quantities, scale), title in zip(axes, panels, titles, strict=True):
        for quantity in quantities:
            rows = means[means["quantity"] == quantity].set_index("score").loc[order]
            middle, low, high = (scale * rows[c].to_numpy(float) for c in _ENDS)
            ax.errorbar(
                middle, range(len(order)), xerr=[middle - low, high - middle], fmt="o",
                elinewidth=1.0, capsize=1.8, label=ASKED_BY.get(quantity), **_dot(quantity),
            )  # fmt: skip
        ax.set_title(title)
        ax.set_xlim(left=min(0.0, ax.get_xlim()[0]))
        ax.set_ylim(-0.5, len(order) - 0.5)
    axes[0].set_yticks(range(len(order)), [LABELS[key] for key in order])
    axes[2].legend(loc="upper right", fontsize=6.2, handlelength=1.2)


def _dot(quantity: str) -> dict[str, Any]:
    """A filled dot; a larger open one for the other question, seen behind the filled one."""
    if quantity == "foreign":
        return {"color": "#777777", "markerfacecolor": "white", "markersize": 6.5}
    return {"color": style.look("mi_pruner").color, "markersize": 4.0}


def caption(table: pd.DataFrame) -> str:
    """The means, and what is drawn."""
    means = table[table["kind"] == MEAN].set_index(["quantity", "score"])
    first = means.iloc[0]
    drawn = table.loc[table["kind"] == DRAWN, "sample_id"].nunique()

    def share(quantity: str, score: str) -> str:
        row = cast(Any, means.loc[(quantity, score)])
        ends = labels.interval(row["low"], row["high"])
        return f"{labels.points(row['estimate'])}% {ends}"

    def times(quantity: str, score: str) -> str:
        row = cast(Any, means.loc[(quantity, score)])
        return f"{row['estimate']:.1f} ({row['low']:.1f} to {row['high']:.1f})"

    return (
        f"Above: the first question of each type, each about another scene ({drawn} scenes, none "
        "picked), and of the other questions about it the one that is about the fewest of the same "
        "patches. Brightness: the patch's share "
        "of the encoder's attention, or of the mutual information with the words (Eq. 21), of the "
        "brightest; orange: what the question asks about; dots: the top "
        f"{int(first['top'])} patches. Below: {int(first['scenes'])} held-out scenes, means with "
        f"{STATED}. On these 5% lie {share('top_share', 'cls_attention')} of the [CLS] attention "
        f"and {share('top_share', 'information')} of the information: both pile up. The attention "
        "is the same for every question; of the information's top patches the two questions "
        f"share {share('overlap', 'information')} beyond chance. What is asked about has "
        f"{times('own', 'information')} times the mean density of information, what the other "
        f"question asks about {times('foreign', 'information')}; of [CLS] attention "
        f"{times('own', 'cls_attention')}, whichever question. Of max PMI, which MI-Pruner ranks "
        "by, negative values count as none."
    )


FIGURE = FigureSpec(
    name="sinks",
    title="Attention sinks against mutual information",
    source="Sec. 1; App. C.3",
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper's pictures of sinks are of other images: there is no number to print.",
)
