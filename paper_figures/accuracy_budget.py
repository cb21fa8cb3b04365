"""Accuracy against budget, method by method (Tab. 1, Fig. 4)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import reference
from mitheory.errors import MissingInputError

from . import labels, panels, style, tables
from .claims import Comparison, compare
from .intervals import STATED, accuracy
from .results import Results, Scene
from .spec import FigureSpec

COLUMNS = ["series", "label", "budget", "ratio", "estimate", "low", "high", "questions", "scenes"]
READS_PROMPT = (
    "mi_pruner", "mi_attention", "similarity:max", "similarity:mean", "centered_similarity",
    "cdpruner",
)  # fmt: skip
RIVALS = (
    ("random", "MI-Pruner is better than Random", "Tab. 1"),
    ("similarity:max", "MI-Pruner is better than Similarity", "Tab. 1"),
    ("similarity:mean", "MI-Pruner is better than Similarity", "Tab. 1"),
    ("attention", "MI-Pruner is better than Attention", "Tab. 2"),
)


def data(results: Results) -> pd.DataFrame:
    """Accuracy over all questions of each method at each budget, with intervals over scenes.

    Raises
    ------
    MissingInputError
        If the run holds no family "method", or in it nothing but all tokens.
    """
    rows = results.family("method")
    if not (rows["method"] != "full").any():
        raise MissingInputError("family 'method' holds no pruning method, only all tokens")
    table = accuracy(rows, ["series", "budget", "ratio"])
    table["label"] = [labels.series_label(key) for key in table["series"]]
    keys = sorted(set(table["series"]), key=labels.series_rank)
    rank = table["series"].map({key: i for i, key in enumerate(keys)})
    table = table.assign(rank=rank).sort_values(["rank", "budget"], ascending=[True, False])
    return table[COLUMNS].reset_index(drop=True)


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """Ours above, in two panels that share MI-Pruner and the oracle; the printed numbers below."""
    figure = style.new_figure(style.PAGE, 5.2)
    axes = [figure.add_subplot(2, 2, 1)]
    axes += [figure.add_subplot(2, 2, 2, sharey=axes[0])]
    axes += [figure.add_subplot(2, 2, place) for place in (3, 4)]
    present = [k for k in dict.fromkeys(table["series"]) if k != "full"]
    reading = [k for k in present if k in (*READS_PROMPT, "oracle")]
    blind = [k for k in present if k not in READS_PROMPT or k == "mi_pruner"]
    _ours(axes[0], table, reading, "a  Ours: methods that read the prompt")
    _ours(axes[1], table, blind, "b  Ours: methods that do not, and MI-Pruner")
    axes[1].set_ylabel("")
    _printed(axes[2], "GQA", f"c  Printed: {reference.MODEL_LABEL}, GQA (Tab. 1)")
    _printed(axes[3], "POPE", f"d  Printed: {reference.MODEL_LABEL}, POPE (Tabs. 1, 10)")
    axes[3].set_ylabel("")
    handles = [panels.handle(style.look(k), labels.series_label(k)) for k in present]
    full = style.look("full")
    handles.append(panels.handle(full, labels.series_label("full")))
    handles.append(panels.handle(style.Look("#b5b5b5", "", "-"), "other methods of Tab. 1"))
    panels.legend_below(figure, handles, columns=4)
    return figure


def _ours(ax: Axes, table: pd.DataFrame, keys: list[str], title: str) -> None:
    for i, key in enumerate(keys):
        rows = table[table["series"] == key].sort_values("ratio")
        x = [panels.dodged(r, i, len(keys)) for r in rows["ratio"]]
        panels.curve(ax, x, rows, style.look(key), zorder=4 if key == "mi_pruner" else 3)
    panels.all_tokens(ax, panels.first_row(table[table["series"] == "full"]))
    panels.share_axis(ax, table.loc[table["series"].isin(keys), "ratio"])
    ax.set_ylabel("accuracy (%)")
    ax.set_title(title)


def printed_table(metric: str) -> pd.DataFrame:
    """The printed accuracies of one benchmark: Tab. 1, and for POPE the budget of Tab. 10 too."""
    rows = reference.printed(1)
    rows = rows[rows["metric"] == metric]
    if metric == "POPE":
        more = reference.printed(10)
        more = more[(more["metric"] == "POPE_average_acc") & ~more["tokens"].isin(rows["tokens"])]
        rows = pd.concat([rows, more], ignore_index=True)
    return rows


def _printed(ax: Axes, metric: str, title: str) -> None:
    rows = printed_table(metric)
    full = rows[rows["method"] == "Full"]["value"].iloc[0]
    pruned = rows[rows["method"] != "Full"]
    for method, cells in pruned.groupby("method", sort=False):
        cells = cells.sort_values("ratio")
        if (key := reference.METHODS.get(str(method))) is None:
            ax.plot(cells["ratio"], cells["value"], color="#b5b5b5", linewidth=1, marker=".")
        else:
            panels.paper_curve(ax, cells["ratio"], cells["value"], style.look(key))
    ax.axhline(full, color="black", linestyle="--", linewidth=0.9)
    panels.share_axis(ax, pruned["ratio"])
    ax.set_ylabel("accuracy (%)")
    ax.set_title(title)


def caption(table: pd.DataFrame) -> str:
    """The setting, and the ends of the scale in numbers."""
    parts = [
        f"Accuracy on {int(table['questions'].iloc[0]):,} questions about "
        f"{int(table['scenes'].iloc[0]):,} held-out scenes against the share of visual tokens "
        f"kept; bars are {STATED}."
    ]
    full = panels.first_row(table[table["series"] == "full"])
    if full is not None:
        parts.append(f"All {int(full['budget'])} tokens: {_cell(full)}.")
    least = table[table["series"] != "full"]
    least = least[least["budget"] == least["budget"].min()]
    named = [f"{row['label']} {_cell(row)}" for _, row in least.iterrows()]
    parts.append(f"At {int(least['budget'].iloc[0])} tokens: {'; '.join(named)}.")
    return " ".join(parts)


def _cell(row: pd.Series) -> str:
    return f"{labels.points(row['estimate'])}% {labels.interval(row['low'], row['high'])}"


def claims(results: Results) -> list[Comparison]:
    """MI-Pruner against each rival that the paper prints."""
    rows = results.family("method")
    ours = rows[rows["series"] == "mi_pruner"]
    found = []
    for key, claim, source in RIVALS:
        found += compare(
            results, claim=claim, source=source,
            first=(labels.series_label("mi_pruner"), ours),
            second=(labels.series_label(key), rows[rows["series"] == key]),
        )  # fmt: skip
    return found


FIGURE = FigureSpec(
    name="accuracy_budget",
    title="Accuracy against budget",
    source="Tab. 1, Fig. 4",
    ids=("fig4",),
    data=data,
    draw=draw,
    caption=caption,
    printed=(
        "Panels c and d are the paper's Tabs. 1 and 10 for LLaVA-1.5-7B, at the shares of its 576 "
        "tokens; the paper prints no intervals for these benchmarks. It does not say whether its "
        "Similarity takes the maximum or the mean over words: its curve has the maximum's color. "
        f"Fig. 4 (Qwen2-VL) is drawn without numbers. {reference.wrong_averages_note()}"
    ),
    claims=claims,
    html=tables.headline,
)
