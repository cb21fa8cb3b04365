"""Every cell of a grid against its reference, as compared.csv has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mitheory.errors import MissingInputError

from . import grids, labels, panels, style
from .results import Results, Scene
from .spec import FigureSpec

COLUMNS = [
    "panel", "model", "dataset", "split", "cell", "series", "label", "budget", "ratio", "draw",
    "difference", "low", "high", "p_holm", "detectable", "n", "verdict", "smallest", "reference",
]  # fmt: skip
ACROSS = 3
"""Data sets beside one another."""
LINE = 0.15
"""Inches between two lines."""
VERDICTS: Mapping[str, tuple[str, str, bool]] = {
    "better": ("#0072B2", "^", True),
    "worse": ("#D55E00", "v", True),
    "no difference that matters": ("#555555", "o", True),
    "undecided": ("#777777", "o", False),
}
"""Color, marker, and whether it is filled."""


def data(results: Results) -> pd.DataFrame:
    """The comparisons with the names of their curves, larger budgets first.

    Raises
    ------
    MissingInputError
        If nothing was compared.
    """
    path = results.file("compared.csv")
    table = pd.DataFrame() if path is None else pd.read_csv(path)
    if table.empty:
        raise MissingInputError("no compared.csv in this folder, or no cell beside the reference")
    rows = grids.of(results)
    rows = rows.assign(ratio=rows["n_kept"] / rows["n_v"])
    named = rows.groupby("cell").agg(series=("series", "first"), label=("label", "first"))
    sources = [name for name in grids.SOURCE if name in table]
    shares = rows[rows["worth"].notna()].groupby([*sources, "cell"])["ratio"].mean()
    table = table.join(named, on="cell").join(shares, on=[*sources, "cell"])
    named_by = zip(*(table[name].astype(str) for name in sources), strict=True)
    table["panel"] = [grids.source_label(dict(zip(sources, s, strict=True))) for s in named_by]
    table["reference"] = str(results.run.get("run", {}).get("reference", ""))
    rank = {key: i for i, key in enumerate(sorted(set(table["series"]), key=labels.series_rank))}
    table = table.assign(rank=table["series"].map(rank))
    table = table.sort_values(["rank", "draw"]).sort_values(
        "budget", ascending=False, kind="stable"
    )
    return table.reindex(columns=COLUMNS).reset_index(drop=True)


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """Cells as lines under their budgets, data sets beside one another, models below."""
    blocks = [
        own[own["panel"].isin(chunk)]
        for _, own in table.groupby("model", sort=False)
        for chunk in _chunks(list(dict.fromkeys(own["panel"])))
    ]
    depths = [len(lines_of(block)) * LINE + 0.85 for block in blocks]
    figure = style.new_figure(style.PAGE, sum(depths) + 0.4)
    parts = figure.subfigures(len(blocks), 1, squeeze=False, height_ratios=depths)[:, 0]
    for part, block in zip(parts, blocks, strict=True):
        named = list(dict.fromkeys(block["panel"]))
        lines = lines_of(block)
        axes = part.subplots(1, len(named), squeeze=False, sharey=True)[0]
        for ax, name in zip(axes, named, strict=True):
            _panel(ax, block[block["panel"] == name], lines)
            ax.set_title(name.rpartition(", ")[0])
        part.suptitle(named[0].rpartition(", ")[2], fontsize=8, x=0.01, ha="left")
        texts = [text for text, _ in lines]
        axes[0].set_yticks(range(len(lines)), texts, fontsize=6.4)
        for tick, (_, key) in zip(axes[0].get_yticklabels(), lines, strict=True):
            tick.set_fontweight("bold" if key is None else "normal")
        axes[0].set_ylim(len(lines) - 0.4, -0.6)
    handles = [
        Line2D([], [], color=color, linestyle="-", marker=marker, markersize=4, label=verdict,
               markerfacecolor=color if is_full else "white")
        for verdict, (color, marker, is_full) in VERDICTS.items()
    ]  # fmt: skip
    panels.legend_below(figure, handles, columns=4)
    return figure


def _chunks(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[i : i + ACROSS] for i in range(0, len(names), ACROSS)]


Key = tuple[float, str, int]


def lines_of(block: pd.DataFrame) -> list[tuple[str, Key | None]]:
    """What stands at the left, from top to bottom: names of budgets, and under each its cells."""
    found: list[tuple[str, Key | None]] = []
    several = block.groupby(["budget", "series"])["draw"].transform("nunique") > 1
    for budget, own in block.assign(several=several).groupby("budget", sort=False):
        if (own["series"] != "full").any():
            found.append((_budget(float(str(budget))), None))
        for row in own.drop_duplicates(["series", "draw"]).to_dict("records"):
            draw = f", draw {int(row['draw'])}" if row["several"] else ""
            found.append((f"{row['label']}{draw}", _key(row)))
    return found


def _key(row: Mapping[object, object]) -> Key:
    return float(str(row["budget"])), str(row["series"]), int(str(row["draw"]))


def _budget(budget: float) -> str:
    """A budget as a heading; in tokens or as a share.

    Examples
    --------
    >>> _budget(64.0), _budget(0.25)
    ('64 tokens', '25% of the tokens')
    """
    return f"{budget:g} tokens" if budget > 1 else f"{labels.percent(budget)}% of the tokens"


def _panel(ax: Axes, own: pd.DataFrame, lines: Sequence[tuple[str, Key | None]]) -> None:
    height = {key: y for y, (_, key) in enumerate(lines) if key is not None}
    if own["smallest"].notna().any():
        smallest = 100 * float(own["smallest"].iloc[0])
        ax.axvspan(-smallest, smallest, color="black", alpha=0.06, linewidth=0)
    ax.axvline(0, color="black", linewidth=0.8)
    for row in own.to_dict("records"):
        color, marker, is_full = VERDICTS[str(row["verdict"])]
        y = height[_key(row)]
        ax.hlines(y, 100 * row["low"], 100 * row["high"], color=color, linewidth=1.3)
        ax.plot(
            100 * row["difference"], y, marker, color=color, markersize=3.8, zorder=3,
            markerfacecolor=color if is_full else "white",
        )  # fmt: skip
    ax.set_xlabel("difference (points)")
    ax.tick_params(axis="y", length=0)


def caption(table: pd.DataFrame) -> str:
    """The reference, what the verdicts mean, and how many there are of each."""
    reference = str(table["reference"].iloc[0])
    minus = f"that of the reference ({reference})" if reference else "that of the reference"
    counts = table["verdict"].value_counts()
    said = ", ".join(f"{int(counts[v])} {v}" for v in VERDICTS if v in counts)
    text = (
        f"Mean score of every cell minus {minus} at the same budget, on the questions that both "
        "answered; bars are 95% intervals of the paired difference (cluster bootstrap over "
        "images). Better and worse: the interval beyond 0, and p at most 5% after Holm's "
        "correction over the cells of a data set and budget; no difference that matters: the "
        "interval inside the gray band; undecided: neither. "
        f"Of {len(table)} comparisons: {said}."
    )
    if table["smallest"].notna().any():
        text += f" The band is ± {100 * float(table['smallest'].iloc[0]):g} points."
    detectable = table["detectable"].dropna()
    if len(detectable):
        text += (
            " Before the correction, a true difference is found in four of five such samples if "
            f"it is {labels.points(float(detectable.max()))} points in the least certain row."
        )
    return text


FIGURE = FigureSpec(
    name="grid_differences",
    title="Differences from the reference",
    source="Tab. 1",
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper prints no intervals of differences.",
)
