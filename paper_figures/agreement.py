"""Which methods keep the same tokens: a clustered heat map of their agreement beyond chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.cluster.hierarchy import dendrogram, leaves_list, linkage
from scipy.spatial.distance import squareform

from . import labels, style
from .intervals import STATED
from .panels import highest
from .results import Results, Scene
from .spec import FigureSpec

OURS = "mi_pruner"


def data(results: Results) -> pd.DataFrame:
    """The study's table with labels, methods numbered in the order of the clustering.

    Raises
    ------
    MissingInputError
        If the run holds no study "agreement".
    """
    table = results.study("agreement")
    names = list(dict.fromkeys([*table["first"], *table["second"]]))
    place = {names[i]: rank for rank, i in enumerate(leaves_list(tree(matrix(table, names))))}
    table = table.assign(
        label=[labels.placed_label(key) for key in table["first"]],
        other=[labels.placed_label(key) for key in table["second"]],
        rank=table["first"].map(place),
        other_rank=table["second"].map(place),
    )
    return table.sort_values(["rank", "other_rank"], ignore_index=True)


def matrix(table: pd.DataFrame, names: Sequence[str]) -> NDArray[np.float64]:
    """Agreement (m, m) of every two of these methods, 1 on the diagonal."""
    place = {name: i for i, name in enumerate(names)}
    found = np.eye(len(names))
    for row in table.itertuples():
        i, j = place[str(row.first)], place[str(row.second)]
        found[i, j] = found[j, i] = float(cast(float, row.estimate))
    return found


def tree(agreement: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average linkage of 1 − agreement; leaves ordered so that neighbors agree."""
    distance = squareform(1 - agreement, checks=False)
    return np.asarray(linkage(distance, "average", optimal_ordering=True), dtype=np.float64)


def in_order(table: pd.DataFrame) -> list[str]:
    """The methods in the order of the clustering."""
    ranks = dict(zip(table["first"], table["rank"], strict=True))
    ranks |= dict(zip(table["second"], table["other_rank"], strict=True))
    return sorted(ranks, key=lambda name: ranks[name])


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """The tree over the heat map; agreement in per cent in every cell."""
    names = in_order(table)
    agreement = matrix(table, names)
    figure = style.new_figure(style.PAGE, 7.4)
    top, ax = figure.subplots(2, 1, height_ratios=(1, 8))
    _tree(top, agreement)
    _cells(ax, agreement)
    text = [labels.placed_label(name) for name in names]
    ax.set_yticks(range(len(names)), text, fontsize=6.2)
    ax.set_xticks(range(len(names)), text, fontsize=6.2, rotation=90)
    for axis in (ax.get_yticklabels(), ax.get_xticklabels()):
        axis[names.index(OURS)].set_fontweight("bold")
    return figure


def _tree(ax: Axes, agreement: NDArray[np.float64]) -> None:
    drawn = dendrogram(tree(agreement), no_plot=True)
    for x, y in zip(drawn["icoord"], drawn["dcoord"], strict=True):
        ax.plot(np.asarray(x) / 10 - 0.5, 100 * (1 - np.asarray(y)), color=style.GRAY, lw=0.8)
    ax.set_xlim(-0.5, len(agreement) - 0.5)
    ax.invert_yaxis()
    ax.set_ylabel("joined at (%)")
    ax.set_xticks([])
    ax.grid(visible=False)
    ax.spines["bottom"].set_visible(False)


def _cells(ax: Axes, agreement: NDArray[np.float64]) -> None:
    norm = TwoSlopeNorm(0.0, vmin=-1.0, vmax=1.0)
    ax.imshow(agreement, cmap="RdBu", norm=norm, aspect="auto")
    for (i, j), value in np.ndenumerate(agreement):
        shown = "" if i == j else f"{100 * value:.0f}".replace("-0", "0").replace("-", "−")
        color = "white" if abs(value) > 0.6 else "#222222"
        ax.text(j, i, shown, ha="center", va="center", fontsize=4.6, color=color)
    ax.grid(visible=False)
    ax.tick_params(length=0)


def caption(table: pd.DataFrame) -> str:
    """Who agrees with whom, and what Random says of the correction."""
    first = table.iloc[0]
    n_methods = len(in_order(table))
    best = highest(table)
    ours = table[(table["first"] == OURS) | (table["second"] == OURS)]
    near = highest(ours)
    friend = near["other"] if near["first"] == OURS else near["label"]
    chance = table[(table["first"] == "random") | (table["second"] == "random")]
    least, most = (labels.points(v, sign=True) for v in (chance["low"].min(), chance["high"].max()))
    middle = table["estimate"].median()
    return (
        f"Agreement of {n_methods} methods at {int(first['budget'])} of {int(first['n'])} tokens: "
        "mean Jaccard overlap of the kept sets in per cent, 0 what two random sets share on "
        f"average ({100 * first['chance']:.0f}%), 100 the same set; the tree: average linkage. "
        f"{int(first['questions']):,} questions about {int(first['scenes'])} held-out scenes; "
        f"{STATED} are in the table beside it. The median pair agrees at {labels.points(middle)}. "
        f"Closest: {best['label']} and {best['other']}, {_estimate(best)}. Closest to MI-Pruner: "
        f"{friend}, {_estimate(near)}. Random, drawn apart from all others, is a control of the "
        f"correction: its intervals lie within [{least}, {most}]. Methods that read the decoder "
        "stand at one place, before the block named; the oracle fills up at random."
    )


def _estimate(row: pd.Series) -> str:
    return f"{labels.points(row['estimate'])} {labels.interval(row['low'], row['high'])}"


FIGURE = FigureSpec(
    name="agreement",
    title="Who keeps the same tokens",
    source="not in the paper",
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper has no such figure.",
)
