"""Every method, tuned alike, against log mass: paired differences at every budget."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import labels, style
from .intervals import STATED
from .results import Results, Scene
from .spec import FigureSpec

NEW, OLD, CEILING = "log_mass", "mi_pruner", "oracle"
SIGNIFICANT = 0.05
MEASURED = {
    f"{NEW}_minus": "estimate",
    f"{NEW}_low": "low",
    f"{NEW}_high": "high",
    f"{NEW}_p_holm": "p_holm",
}
KEPT = ["model", "method", "budget", "question_type", "options", "accuracy", "n", "n_clusters"]


def data(results: Results) -> pd.DataFrame:
    """Accuracy of each method, and by how much log mass is ahead (estimate, low, high).

    `least` and `most` are the smallest and the largest estimate of single draws of test scenes,
    of which there are `draws`; they are of all types of question together.

    Raises
    ------
    MissingInputError
        If the run holds no ``replacement`` study.
    """
    table = results.study("replacement")[[*KEPT, *MEASURED]].rename(columns=MEASURED)
    cell = ["model", "method", "budget"]
    single = results.study("replacement_draws").groupby(cell)[f"{NEW}_minus"]
    spread = single.agg(least="min", most="max", draws="size").reset_index()
    return table.merge(spread, on=cell, how="left", validate="many_to_one")


def overall(table: pd.DataFrame) -> pd.DataFrame:
    """The rows over all types of question."""
    return table[table["question_type"] == "all"]


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """A row of panels for each alignment, a panel for each budget; methods by mean accuracy."""
    rows = overall(table)
    models = list(dict.fromkeys(rows["model"]))
    budgets = sorted(set(rows["budget"]), reverse=True)
    count = rows["method"].nunique() - 1
    height = len(models) * (0.128 * count + 0.55) + 0.35
    figure = style.new_figure(style.PAGE, height)
    axes = figure.subplots(len(models), len(budgets), squeeze=False, sharex="col")
    for i, model in enumerate(models):
        own = rows[rows["model"] == model]
        means = own.groupby("method")["accuracy"].mean()
        order = [m for m in means.sort_values().index if m != NEW]
        for j, budget in enumerate(budgets):
            cells = own[own["budget"] == budget].set_index("method").loc[order]
            _panel(axes[i, j], cells, labelled=j == 0)
            title = f"{budget} tokens"
            axes[i, j].set_title(f"{'ab'[i % 2]}  {title}" if j == 0 else title)
        axes[i, 0].set_ylabel(str(model))
    figure.supxlabel("log mass less the method (points of accuracy)", fontsize=7.5)
    return figure


def _panel(ax: Axes, cells: pd.DataFrame, *, labelled: bool) -> None:
    ax.axvline(0, color=style.GRAY, linewidth=0.8)
    for y, (method, row) in enumerate(cells.iterrows()):
        middle, low, high = (100 * row[name] for name in ("estimate", "low", "high"))
        sure = row["p_holm"] < SIGNIFICANT
        gray = method == CEILING
        color = style.GRAY if gray else style.look(NEW if middle >= 0 else OLD).color
        ax.plot([low, high], [y, y], color=color, linewidth=1.0, solid_capstyle="butt")
        if row["draws"] > 1:
            single = [100 * row["least"], 100 * row["most"]]
            ax.plot(single, [y, y], "|", color=color, markersize=3.6, markeredgewidth=0.7)
        ax.plot(
            [middle], [y], marker="D" if gray else "o", markersize=3.4, color=color,
            markerfacecolor=color if sure else "white", markeredgewidth=0.8,
        )  # fmt: skip
    ax.set_ylim(-0.7, len(cells) - 0.3)
    names = [labels.series_label(str(m)) for m in cells.index] if labelled else []
    ax.set_yticks(range(len(cells)), names if labelled else [""] * len(cells))
    ax.tick_params(axis="y", labelsize=6.2)
    ax.grid(axis="y", visible=False)
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4))


def caption(table: pd.DataFrame) -> str:
    """How often log mass is ahead for sure, and who is ahead of it."""
    rows = overall(table)
    tested = rows[~rows["method"].isin([NEW, CEILING])]
    sure = tested[tested["p_holm"] < SIGNIFICANT]
    ahead = sure[sure["estimate"] > 0]
    behind = sure[sure["estimate"] < 0]
    lost = ", ".join(
        f"{labels.series_label(str(r['method']))} at {r['budget']} on {r['model']}"
        for _, r in behind.iterrows()
    )
    n, draws = int(rows["n"].iloc[0]), int(rows["draws"].iloc[0])
    alike = tested[np.sign(tested["least"]) == np.sign(tested["most"])]
    scenes = (
        f"{n} test questions about {draws} independent draws of scenes (ticks: least and "
        f"greatest difference of a single draw; in {len(alike)} of {len(tested)} comparisons these "
        "have one sign)"
        if draws > 1
        else f"{n} test questions"
    )
    old = "; ".join(
        f"{r['model']}, {r['budget']} tokens: {labels.points(r['estimate'], sign=True)} "
        f"{labels.interval(r['low'], r['high'], sign=True)}"
        for _, r in rows[rows["method"] == OLD].iterrows()
    )
    return (
        "Accuracy of log mass less that of every other method that prunes before the decoder, "
        "paired question by question, hyper-parameters of each chosen on the validation split "
        f"for each model and budget alike; {scenes}. Bars are {STATED}; a filled "
        "marker: p < 0.05 after Holm's correction over all methods, budgets and models. Of "
        f"{len(tested)} comparisons log mass is ahead in {len(ahead)} and behind in "
        f"{len(behind)}{f' ({lost})' if lost else ''}; {len(tested) - len(sure)} are undecided. "
        f"Ahead of MI-Pruner by, in points: {old}. "
        "Gray: the oracle, which is told what matters and is in no test. Methods from the lowest "
        "mean accuracy to the highest."
    )


FIGURE = FigureSpec(
    name="replacement",
    title="What should replace MI-Pruner",
    source="beyond the paper",
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper has no such numbers.",
)
