"""The findings of the paper's Sec. 4 as predictions, judged on our model: a forest plot."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from . import labels, panels, style
from .results import Results, Scene
from .spec import FigureSpec

VERDICTS = {"confirmed": "o", "undecided": "o", "contradicted": "X"}
KINDS = {
    "all": "all", "open": "open-ended", "closed": "closed-form", "existence": "yes/no",
    "adversarial": "adversarial yes/no",
}  # fmt: skip
ALIGNMENTS = {
    "fruitfly": "aligned by the language loss",
    "fruitfly-contrastive": "aligned contrastively",
}
KEYS = ["finding", "second", "questions"]


def data(results: Results) -> pd.DataFrame:
    """The ledger of predictions, as the study wrote it.

    Raises
    ------
    MissingInputError
        If the run holds no such study.
    """
    return results.study("predictions")


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """A line per reference under its finding, a column per alignment, a color per budget."""
    lines = table.drop_duplicates(KEYS)[[*KEYS, "statement"]]
    places = _places(lines)
    depth = max(places.values()) + 1
    models = list(dict.fromkeys(table["model"]))
    figure = style.new_figure(style.PAGE, 1.0 + 0.172 * depth)
    axes = figure.subplots(1, len(models), sharey=True, sharex=True, squeeze=False)[0]
    budgets = sorted(set(table["budget"]), reverse=True)
    looks = style.budget_looks(budgets)
    for ax, model in zip(axes, models, strict=True):
        rows = table[table["model"] == model]
        for _, row in rows.iterrows():
            here = list(rows.loc[_same(rows, row), "budget"].sort_values(ascending=False))
            shift = 0.26 * (here.index(row["budget"]) - (len(here) - 1) / 2)
            _mark(ax, row, places[_key(row)] + shift, looks[row["budget"]])
        ax.axvline(0, color=style.GRAY, linewidth=0.8, zorder=1)
        smallest = 100 * float(table["smallest"].iloc[0])
        ax.axvline(smallest, color=style.GRAY, linewidth=0.8, linestyle=":", zorder=1)
        ax.set_title(ALIGNMENTS.get(model, model), fontsize=7.5)
        ax.set_xlabel("difference (points)")
        ax.grid(axis="y", visible=False)
    _names(axes[0], lines, places)
    axes[0].set_ylim(depth - 0.4, -0.8)
    ratio = table.drop_duplicates("budget").set_index("budget")["ratio"]
    handles = [
        Line2D([], [], color=looks[b].color, linewidth=2.5,
               label=f"{b} tokens ({labels.percent(ratio[b])}%)")
        for b in budgets
    ]  # fmt: skip
    handles += [
        Line2D([], [], color="black", linestyle="", marker=marker, markersize=4,
               markerfacecolor="white" if verdict == "undecided" else "black", label=verdict)
        for verdict, marker in VERDICTS.items()
    ]  # fmt: skip
    panels.legend_below(figure, handles, columns=4)
    return figure


def _key(row: pd.Series) -> tuple[str, str, str]:
    return str(row["finding"]), str(row["second"]), str(row["questions"])


def _same(rows: pd.DataFrame, row: pd.Series) -> pd.Series:
    return (rows[KEYS] == row[KEYS]).all(axis=1)


def _places(lines: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    """Heights of the lines, with one for the name of every finding."""
    found, y, last = {}, -1.0, ""
    for _, row in lines.iterrows():
        if row["finding"] != last:
            y, last = y + 1.15, row["finding"]
        y += 1
        found[_key(row)] = y
    return found


def _mark(ax: Axes, row: pd.Series, y: float, look: style.Look) -> None:
    """The estimate, its 95% interval, and thinner the interval that decides."""
    low, high, outer_low, outer_high = (
        100 * float(row[c]) for c in ("low", "high", "low_holm", "high_holm")
    )
    ax.hlines(y, outer_low, outer_high, color=look.color, linewidth=0.6)
    ax.hlines(y, low, high, color=look.color, linewidth=1.5)
    hollow = row["verdict"] == "undecided"
    ax.plot(
        100 * row["estimate"], y, VERDICTS[row["verdict"]], color=look.color, markersize=3.6,
        markerfacecolor="white" if hollow else look.color, markeredgewidth=0.8, zorder=3,
    )  # fmt: skip


def _names(ax: Axes, lines: pd.DataFrame, places: Mapping[tuple[str, str, str], float]) -> None:
    """Names of the references as ticks, those of the findings in bold above them."""
    ticks, last = [], ""
    for _, row in lines.iterrows():
        key = _key(row)
        kind = KINDS[key[2]]
        ticks.append((places[key], f"over {key[1]}" + (f", {kind}" if kind != "all" else "")))
        if key[0] != last:
            ax.annotate(
                row["statement"], (0, places[key] - 1.03), xycoords=("axes fraction", "data"),
                xytext=(-4, 0), textcoords="offset points", ha="right", va="center",
                fontsize=6.6, fontweight="bold", annotation_clip=False,
            )  # fmt: skip
            last = key[0]
    heights, names = zip(*ticks, strict=True)
    ax.set_yticks(heights, names, fontsize=6.4)
    ax.tick_params(axis="y", length=0)


def caption(table: pd.DataFrame) -> str:
    """How many rows came out how, and which findings hold everywhere."""
    counts = table["verdict"].value_counts()
    said = ", ".join(f"{int(counts.get(v, 0))} {v}" for v in VERDICTS)
    smallest = labels.points(float(table["smallest"].iloc[0]))
    reversed_ = int(((table["verdict"] == "contradicted") & (table["high_holm"] < 0)).sum())
    whole = table.groupby("finding", sort=False)["verdict"].agg(set)
    statement = dict(zip(table["finding"].astype(str), table["statement"].astype(str), strict=True))
    everywhere = [statement[str(f)] for f, verdicts in whole.items() if verdicts == {"confirmed"}]
    nowhere = [statement[str(f)] for f, verdicts in whole.items() if verdicts == {"contradicted"}]
    low = table.sort_values("estimate").iloc[0]
    main = table[table["questions"] == "all"]
    kind = KINDS[str(low["questions"])]
    detectable = float(table["detectable"].max())
    text = (
        "Each finding as differences that should be positive: accuracy in points, or, for the "
        "share of yes, how much nearer it is to one half; from top to bottom by falling budget. "
        "Thick: 95% intervals over scenes; thin: the interval after Holm's correction within a "
        f"finding, which decides. Confirmed: above {smallest} points (dotted); contradicted: "
        "below, which is no lead of that size and not always a reverse; undecided: across. "
        f"Of {len(table)} rows {said}; of the contradicted ones {reversed_} are the other way "
        f"round, down to {_said(low)} over {low['second']}, {kind}. "
        f"Confirmed in every row: {_listed(everywhere)}. Contradicted in every row: "
        f"{_listed(nowhere)}. A true difference is found in four of five such samples if it is "
        f"{labels.points(detectable)} points in the least certain row"
    )
    if len(main):
        text += f", and {labels.points(main['detectable'].max())} where all questions count"
    return text + "."


def _said(row: pd.Series) -> str:
    ends = labels.interval(row["low"], row["high"], sign=True)
    return f"{labels.points(row['estimate'], sign=True)} {ends}"


def _listed(statements: list[str]) -> str:
    return "; ".join(statements) if statements else "none"


FIGURE = FigureSpec(
    name="predictions",
    title="Which findings of the paper hold here?",
    source="Sec. 4, App. B",
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper's findings are in the names of the rows; it prints no intervals.",
)
