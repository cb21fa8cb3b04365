"""Accuracy of every method against what it costs in the decoder, group by group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import all_methods, labels, panels, style
from .intervals import STATED
from .results import Scene
from .spec import FigureSpec

COLUMNS = 2
BESIDE = ("mi_pruner", "random")
"""Drawn in every panel, to compare with."""


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """A panel for each group of methods, all on the same axes."""
    groups = [g for g in dict.fromkeys(table["group"]) if g not in (all_methods.FULL, "Controls")]
    n_rows = -(-len(groups) // COLUMNS)
    figure = style.new_figure(style.PAGE, 2.9 * n_rows)
    grid = figure.add_gridspec(n_rows, COLUMNS)
    full = panels.first_row(table[table["key"] == "full"])
    first: Axes | None = None
    for i, group in enumerate(groups):
        row, column = divmod(i, COLUMNS)
        is_wide = i == len(groups) - 1 and column == 0  # the last one takes a row left half empty
        place = grid[row, :] if is_wide else grid[row, column]
        is_inside = (
            group == all_methods.INSIDE
        )  # elsewhere on the axis of cost, and looked at closely
        ax = figure.add_subplot(place, sharex=None if is_inside else first, sharey=first)
        first = first or ax
        own = dict.fromkeys(table.loc[table["group"] == group, "key"])
        controls = ["oracle"] if group == "Relevance to the prompt" else []
        present = [*dict.fromkeys([*BESIDE, *own, *controls])]
        _panel(ax, table[table["key"].isin(present)], present, columns=5 if is_wide else 3)
        if is_inside:
            _zoom(ax, table[table["key"].isin(own)])
        panels.all_tokens(ax, full)
        ax.set_title(f"{'abcdefgh'[i]}  {group}")
        ax.set_ylabel("accuracy (%)" if column == 0 else "")
        ax.set_xlabel("visual tokens per layer of the decoder, average")
    return figure


def _zoom(ax: Axes, table: pd.DataFrame) -> None:
    """The part of the axis where methods inside the decoder can be."""
    least, most = table["layer_average"].min(), table["layer_average"].max()
    ax.set_xlim(0.94 * least, 1.05 * most)
    ticks = [10 * t for t in range(int(least // 10) + 1, int(most // 10) + 1)]
    ax.set_xticks(ticks, [str(t) for t in ticks])


def _panel(ax: Axes, table: pd.DataFrame, keys: list[str], *, columns: int) -> None:
    handles = []
    is_inside = any("@" in key for key in keys)
    for key in (k for k in keys if (table["key"] == k).any()):
        rows = table[table["key"] == key].sort_values("layer_average")
        look = _look(key)
        if is_inside and "@" not in key:
            look = replace(look, line=":")  # before the decoder, to compare with
        panels.curve(
            ax, list(rows["layer_average"]), rows, look, zorder=4 if key == "mi_pruner" else 3
        )
        handles.append(panels.handle(look, labels.placed_label(key)))
    ax.set_xscale("log")
    ticks = sorted(set(table.loc[~table["key"].str.contains("@"), "budget"]))
    ax.set_xticks(ticks, [str(t) for t in ticks])
    ax.minorticks_off()
    ax.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=columns,
        fontsize=5.8, handlelength=2.6, frameon=False,
    )  # fmt: skip


def _look(key: str) -> style.Look:
    """The method's own look; the line is dashed if it prunes deeper in the decoder than block 1."""
    method, _, layers = key.partition("@")
    own = style.look(method, {**style.METHODS, **style.PEERS})
    return replace(own, line="--" if layers == "2" else "-") if layers else own


def caption(table: pd.DataFrame) -> str:
    """The axes, and where the curves inside the decoder begin."""
    first = table.iloc[0]
    inside = table[table["key"].str.contains("@")]
    least = (
        f" Methods inside the decoder cannot go below {inside['layer_average'].min():.0f} tokens "
        "per layer here: the blocks before them work on all of them."
        if len(inside)
        else ""
    )
    ours = table[table["key"] == all_methods.OURS]
    fewest = "".join(
        f" MI-Pruner at {int(row['budget'])} tokens: {labels.points(row['estimate'])}%."
        for _, row in ours[ours["budget"] == ours["budget"].min()].iterrows()
    )
    return (
        f"Accuracy on {int(first['questions']):,} questions about {int(first['scenes']):,} "
        "held-out scenes against the visual tokens that a layer works on, on average, at the four "
        f"budgets of the table; MI-Pruner and Random are in every panel (dotted in "
        f"the last, whose axis is another part of the same); bars are {STATED}."
        f"{least}{fewest}"
    )


FIGURE = FigureSpec(
    name="accuracy_cost",
    title="Accuracy against cost",
    source="Tab. 1, Fig. 4",
    data=all_methods.data,
    draw=draw,
    caption=caption,
    printed="The paper prints accuracies at nominal budgets only, without layer averages or FLOPs.",
)
