"""Every method on one model: accuracy at each budget, its cost, and how far from MI-Pruner."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mitheory.errors import MissingInputError

from . import labels, style
from .intervals import STATED, accuracy, differences
from .results import Results, Scene
from .spec import FigureSpec

OURS = "mi_pruner"
COSTS = ["tokens_after", "layer_average", "flop_ratio"]
CLASSES: Mapping[str, tuple[str, ...]] = {
    "Relevance to the prompt": (
        "mi_pruner", "similarity", "centered_similarity", "flqmi", "gcmi", "com",
    ),
    "Attention of the encoder": (
        "mi_attention", "attention", "cls_attention", "visionzip", "vispruner",
    ),
    "Diversity": (
        "divprune", "max_min", "cdpruner", "trimtokenator", "log_det", "log_det_mi", "chow_liu",
    ),
    "Coverage": (
        "mmtok", "facility_location", "max_coverage", "flmi", "log_mass", "log_mass_attention",
    ),
    "Controls": ("random", "oracle"),
}  # fmt: skip
INSIDE = "Inside the decoder"
OTHER = "Other"
FULL = "All tokens"
ORDER = (FULL, *CLASSES, OTHER, INSIDE)


def class_of(key: str) -> str:
    """The group in which a curve stands.

    Examples
    --------
    >>> class_of("fastv@1"), class_of("similarity:max"), class_of("new_idea")
    ('Inside the decoder', 'Relevance to the prompt', 'Other')
    """
    if key == "full":
        return FULL
    if "@" in key:
        return INSIDE
    method = key.partition(":")[0]
    return next((name for name, members in CLASSES.items() if method in members), OTHER)


def data(results: Results) -> pd.DataFrame:
    """Of each method and budget: accuracy, mean costs, and the paired difference to MI-Pruner.

    Raises
    ------
    MissingInputError
        If the run holds no family "all_methods", or its rows say nothing of costs.
    """
    rows = results.family("all_methods")
    if missing := [c for c in (*COSTS, "layers") if c not in rows.columns]:
        raise MissingInputError(f"family 'all_methods' must have the columns {missing}")
    full = results.full()
    rows = pd.concat([rows, full[full["sample_id"].isin(rows["sample_id"])]])
    curves = zip(rows["series"], rows["layers"], strict=True)
    rows = rows.assign(key=[labels.placed(*curve) for curve in curves])
    cells = ["key", "budget", "ratio"]
    table = accuracy(rows, cells).merge(rows.groupby(cells)[COSTS].mean().reset_index(), on=cells)
    ours = set(rows.loc[rows["key"] == OURS, "budget"])
    there = table.loc[~table["key"].isin([OURS, "full"]) & table["budget"].isin(ours)]
    pairs = [((key, b), (OURS, b)) for key, b in zip(there["key"], there["budget"], strict=True)]
    gaps = differences(rows, ["key", "budget"], pairs)
    found = [
        (*cell, gap.estimate, gap.low, gap.high) for (cell, _), gap in zip(pairs, gaps, strict=True)
    ]
    names = ["key", "budget", "difference", "difference_low", "difference_high"]
    table = table.merge(pd.DataFrame(found, columns=names), on=["key", "budget"], how="left")
    table["label"] = [labels.placed_label(key) for key in table["key"]]
    table["group"] = [class_of(key) for key in table["key"]]
    table["rank"] = [
        (ORDER.index(group), *labels.series_rank(key.partition("@")[0]), key)
        for group, key in zip(table["group"], table["key"], strict=True)
    ]
    table = table.sort_values(["rank", "budget"], ascending=[True, False], ignore_index=True)
    return table.drop(columns="rank")


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """Methods as rows under the names of their groups, budgets as columns."""
    pruned = table[table["key"] != "full"]
    budgets = sorted(set(pruned["budget"]), reverse=True)
    lines: list[tuple[str, str]] = []
    for group, members in pruned.groupby("group", sort=False):
        lines += [("group", str(group))] + [("key", k) for k in dict.fromkeys(members["key"])]
    figure = style.new_figure(style.PAGE, 0.225 * len(lines) + 0.7)
    ax = figure.subplots()
    cells = pruned.set_index(["key", "budget"])
    for y, (kind, name) in enumerate(lines):
        if kind == "group":
            ax.text(-1.55, y + 0.15, name, ha="left", va="center", fontsize=7, fontweight="bold")
            continue
        ax.text(-1.5, y, labels.placed_label(name), ha="left", va="center", fontsize=7)
        for x, budget in enumerate(budgets):
            if (name, budget) in cells.index:
                _cell(ax, x, y, cells.loc[(name, budget)])
    ax.set_xlim(-1.6, len(budgets) - 0.5)
    ax.set_ylim(len(lines) - 0.5, -0.5)
    ratio = pruned.drop_duplicates("budget").set_index("budget")["ratio"]
    heads = [f"{b} tokens ({labels.percent(ratio[b])}%)" for b in budgets]
    ax.set_xticks(range(len(budgets)), heads)
    ax.set_yticks([])
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for side in ax.spines.values():
        side.set_visible(False)
    return figure


def _cell(ax: Axes, x: int, y: int, cell: pd.Series) -> None:
    """Accuracy and its interval, below them the difference to MI-Pruner and the cost."""
    shade = mpl.colormaps["Blues"](0.5 * float(cell["estimate"]))  # pale: small print is on it
    ax.add_patch(
        mpl.patches.Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=shade, edgecolor="white")
    )
    ends = f"{100 * cell['low']:.0f}–{100 * cell['high']:.0f}"
    is_settled = cell["difference_low"] > 0 or cell["difference_high"] < 0
    weight = "bold" if is_settled else "normal"
    ax.text(x - 0.46, y - 0.17, labels.points(cell["estimate"]), va="center", fontsize=6.6)
    ax.text(x - 0.46, y + 0.25, ends, va="center", fontsize=4.8, color="#222222")
    if pd.notna(cell["difference"]):
        gap = labels.points(cell["difference"], sign=True)
        ends = labels.interval(cell["difference_low"], cell["difference_high"], sign=True)
        ax.text(x - 0.17, y - 0.17, gap, va="center", fontsize=6.6, fontweight=weight)
        ax.text(x - 0.17, y + 0.25, ends, va="center", fontsize=4.8, color="#222222")
    average, cost = (
        f"{cell['layer_average']:.0f} per layer",
        f"{100 * cell['flop_ratio']:.0f}%",
    )
    ax.text(x + 0.47, y - 0.17, average, ha="right", va="center", fontsize=4.8)
    ax.text(x + 0.47, y + 0.25, cost, ha="right", va="center", fontsize=4.8)


def caption(table: pd.DataFrame) -> str:
    """What the numbers of a cell are, and what stands behind them."""
    first = table.iloc[0]
    full = table[table["key"] == "full"]
    most = "" if full.empty else f" All tokens: {labels.points(full.iloc[0]['estimate'])}%."
    return (
        f"Accuracy (%) on {int(first['questions']):,} questions about {int(first['scenes']):,} "
        f"held-out scenes with {STATED} under it; beside it the paired difference to MI-Pruner "
        "before the decoder at the same number of tokens left (points; bold: the interval, not "
        "corrected for the number of methods, excludes 0); at the right the visual tokens that a "
        "layer of the decoder works on, on average, and under it the prefill's FLOPs as a share of "
        "those with all tokens. Budgets are tokens left after pruning: inside the decoder they "
        f"cost more.{most}"
    )


FIGURE = FigureSpec(
    name="all_methods",
    title="Every method on one model",
    source="Tab. 1",
    data=data,
    draw=draw,
    caption=caption,
    printed=(
        "The paper's Tab. 1 mixes tokens after pruning with layer averages: FastV cannot have a "
        "layer average of 32 of 576 tokens, whose minimum, pruning after 2 of 32 layers, is 37. "
        "The model here has 4 blocks; methods that prune after 2 of 32 stand here both before "
        "block 1 and before block 2."
    ),
)
