"""Which methods keep the same tokens: a clustered heat map of their agreement beyond chance."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from mitheory.plot.overlap import agreement, agreement_tree, clustered, square_of

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
    place = {name: rank for rank, name in enumerate(clustered(square_of(table)))}
    table = table.assign(
        label=[labels.placed_label(key) for key in table["first"]],
        other=[labels.placed_label(key) for key in table["second"]],
        rank=table["first"].map(place),
        other_rank=table["second"].map(place),
    )
    return table.sort_values(["rank", "other_rank"], ignore_index=True)


def in_order(table: pd.DataFrame) -> list[str]:
    """The methods in the order of the clustering."""
    ranks = dict(zip(table["first"], table["rank"], strict=True))
    ranks |= dict(zip(table["second"], table["other_rank"], strict=True))
    return sorted(ranks, key=lambda name: ranks[name])


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """The tree over the heat map; agreement in per cent in every cell."""
    names = in_order(table)
    square = square_of(table).loc[names, names]
    figure = style.new_figure(style.PAGE, 7.4)
    top, ax = figure.subplots(2, 1, height_ratios=(1, 8))
    agreement_tree(square, ax=top)
    text = {name: labels.placed_label(name) for name in names}
    agreement(square, cluster=False, labels=text, size=6.2, ax=ax)
    for axis in (ax.get_yticklabels(), ax.get_xticklabels()):
        axis[names.index(OURS)].set_fontweight("bold")
    return figure


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
