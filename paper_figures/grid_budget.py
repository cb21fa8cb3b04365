"""Accuracy against budget on every data set of a grid, as `mitheory evaluate` measured it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from mitheory.errors import MissingInputError
from mitheory.plot import accuracy_budget

from . import grids, labels, panels, style
from .intervals import STATED_IMAGES, accuracy
from .results import Results, Scene
from .spec import FigureSpec

COLUMNS = [
    "panel", "model", "dataset", "split", "series", "label", "budget", "ratio", "estimate", "low",
    "high", "questions", "scenes", "left_out", "without_answers",
]  # fmt: skip
ACROSS = 3
"""Panels beside one another."""
APART = 0.12
"""Shares of tokens have a tick of their own if they are that far from the next, relatively."""
LOOKS: Mapping[str, style.Look] = {**style.METHODS, **style.PEERS}
VARIANTS = ("s", "D", "^", "v", "P", "X", "<", ">", "*")


def data(results: Results) -> pd.DataFrame:
    """Mean worth of an answer for each source, curve and budget, with intervals over images.

    All cells of a source are about the questions that every one of them answered. ``left_out`` are
    the others; a cell without any answer has no row and is named in ``without_answers``.

    Raises
    ------
    MissingInputError
        If the folder is not that of a grid, or no source has such questions.
    """
    parts = [_source(source, rows) for source, rows in grids.by_source(grids.of(results))]
    found = [part for part in parts if len(part)]
    if not found:
        raise MissingInputError("results.parquet: no question was answered in every cell")
    table = pd.concat(found, ignore_index=True)
    return table.reindex(columns=COLUMNS)


def _source(source: Mapping[str, str], rows: pd.DataFrame) -> pd.DataFrame:
    answered = rows.groupby("cell")["worth"].transform("count") > 0
    without = sorted(set(rows.loc[~answered, "label"]))
    rows = rows[answered]
    good = rows.groupby("sample_id")["worth"].transform(lambda w: w.notna().all())
    left_out = rows.loc[~good, "sample_id"].nunique()
    rows = rows[good]
    if rows.empty:
        return rows
    cells = ["series", "label", "budget"]
    rows = rows.assign(ratio=rows["n_kept"] / rows["n_v"])
    table = accuracy(rows, cells, value="worth").merge(
        rows.groupby(cells)["ratio"].mean().reset_index(), on=cells
    )
    rank = table["series"].map(labels.series_rank)
    table = table.assign(rank=rank).sort_values(["rank", "ratio"], ascending=[True, False])
    return table.assign(
        panel=grids.source_label(source), left_out=left_out, without_answers="; ".join(without),
        **source,
    ).drop(columns="rank")  # fmt: skip


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """One panel for each source, the same look of a curve in all of them."""
    named = dict.fromkeys(table["panel"])
    rows = math.ceil(len(named) / ACROSS)
    keys = sorted(set(table["series"]) - {"full"}, key=labels.series_rank)
    label = dict(zip(table["series"], table["label"], strict=True))
    looks = looks_of(keys)
    legend = math.ceil((len(keys) + 1) / 4)
    columns = min(ACROSS, len(named))
    width = style.COLUMN * 1.3 if columns == 1 else style.PAGE
    figure = style.new_figure(width, 2.2 * rows + 0.2 * legend)
    for place, name in enumerate(named, start=1):
        own = table[table["panel"] == name]
        ax = figure.add_subplot(rows, columns, place)
        if set(own["series"]) == {"full"}:  # nothing was pruned: a line alone, over its own share
            panels.all_tokens(ax, own.iloc[0])
            panels.share_axis(ax, own["ratio"])
        else:
            accuracy_budget(own, hue_order=_present(keys, own), looks=looks, legend=False, ax=ax)
            panels.share_axis(ax, ticks_of(own.loc[own["series"] != "full", "ratio"]))
        ax.set_ylabel("mean score (%)" if (place - 1) % columns == 0 else "")
        ax.set_title(name)
    handles = [panels.handle(looks[key], label[key]) for key in keys]
    if "full" in label:
        handles.append(panels.handle(style.look("full"), label["full"]))
    panels.legend_below(figure, handles, columns=4 if columns > 1 else 2)
    return figure


def _present(keys: list[str], own: pd.DataFrame) -> list[str]:
    there = set(own["series"])
    return [key for key in keys if key in there]


def looks_of(keys: list[str]) -> dict[str, style.Look]:
    """A look for each curve; variants of a method have its line and colors of their own.

    Examples
    --------
    >>> found = looks_of(["mi_pruner:τ = 0.1", "mi_pruner:τ = 1", "random"])
    >>> found["mi_pruner:τ = 0.1"] == style.METHODS["mi_pruner"]
    True
    >>> len({(look.color, look.marker) for look in found.values()})
    3
    """
    found: dict[str, style.Look] = {}
    seen: dict[str, int] = {}
    for key in keys:
        method = key.partition(":")[0]
        nth = seen[method] = seen.get(method, -1) + 1
        base = style.look(method, LOOKS)
        if nth:
            color = style.COLORS[nth % len(style.COLORS)]
            base = style.Look(color, VARIANTS[(nth - 1) % len(VARIANTS)], base.line, 1.2)
        found[key] = base
    return found


def ticks_of(ratios: pd.Series) -> list[float]:
    """Shares that have a tick: those too close to a larger one have none.

    Examples
    --------
    >>> ticks_of(pd.Series([0.25, 0.11, 0.111, 0.5]))
    [0.111, 0.25, 0.5]
    """
    kept: list[float] = []
    for ratio in sorted(set(ratios), reverse=True):
        if not kept or ratio < kept[-1] / (1 + APART):
            kept.append(float(ratio))
    return kept[::-1]


def caption(table: pd.DataFrame) -> str:
    """What was asked of whom, and what is not in the curves."""
    asked = table.drop_duplicates("panel")
    counts = "; ".join(
        f"{row['panel']}: {int(row['questions']):,} questions about {int(row['scenes']):,} images"
        for row in asked.to_dict("records")
    )
    text = (
        "Mean score of an answer (accuracy where an answer is right or wrong) against the mean "
        f"share of visual tokens kept; bars are {STATED_IMAGES}, all curves of a panel from the "
        f"same resamples. Random is the mean over its draws. {counts}."
    )
    if left := int(asked["left_out"].sum()):
        text += f" Questions left out, as some cell failed on them: {left:,}."
    without = asked[asked["without_answers"].fillna("") != ""]
    if len(without):
        named = "; ".join(
            f"{row['without_answers']} ({row['panel']})" for row in without.to_dict("records")
        )
        text += f" Without any answer, and without a point: {named}."
    return text


FIGURE = FigureSpec(
    name="grid_budget",
    title="Accuracy against budget",
    source="Tab. 1, Fig. 4",
    data=data,
    draw=draw,
    caption=caption,
    printed=(
        "Scores are compared question by question; of MME that is the accuracy and not its sum of "
        "scores. Metrics as the field reports them are in scores.csv."
    ),
)
