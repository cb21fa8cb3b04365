"""The order α of the divergence that aggregates PMI over words, between Eq. (21) and Eq. (19)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mitheory.errors import MissingInputError

from . import labels, panels, style
from .intervals import STATED
from .results import Results, Scene
from .spec import FigureSpec

TICKS = (1.0, 1.5, 2.0, 3.0, 5.0, math.inf)
GLOBAL = -0.13  # where global aggregation of both terms is drawn, left of α = 1
MODELS = {
    "fruitfly": "language-model loss",
    "fruitfly-contrastive": "contrastive",
}
WEIGHTS = {1.0: "relevance only", 0.5: "λ = ½"}


def data(results: Results) -> pd.DataFrame:
    """Accuracy by order, model, λ, form and budget: the table of the study.

    Raises
    ------
    MissingInputError
        If the run lacks the study, or it holds fewer than two orders.
    """
    table = results.study("renyi")
    if table["alpha"].nunique() < 2:
        raise MissingInputError("study 'renyi' must hold two orders or more")
    return table


def position(alpha: float) -> float:
    """Where an order is drawn: 1 − 1/α, which takes 1 to 0 and infinity to 1.

    Examples
    --------
    >>> position(1.0), position(2.0), position(math.inf)
    (0.0, 0.5, 1.0)
    """
    return 1 - 1 / alpha


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """A row for each form, a column for each model and λ; bands are intervals."""
    columns = [(m, w) for m in dict.fromkeys(table["model"]) for w in WEIGHTS]
    forms = [f for f in labels.FORMS if f in set(table["form"])]
    figure = style.new_figure(style.PAGE, 0.9 + 1.85 * len(forms))
    axes = figure.subplots(len(forms), len(columns), sharex=True, sharey="row", squeeze=False)
    budgets = sorted(set(table["budget"]), reverse=True)
    looks = style.budget_looks(budgets)
    for row, form in enumerate(forms):
        for column, (model, weight) in enumerate(columns):
            ax = axes[row, column]
            here = table[(table["form"] == form) & (table["model"] == model)]
            _panel(ax, here[here["relevance_weight"] == weight], looks)
            if row == 0:
                aligned = MODELS.get(model, model)
                ax.set_title(f"{aligned}\n{WEIGHTS[weight]}", fontsize=7.3)
        axes[row, 0].set_ylabel(f"{labels.FORM_LABELS[form]}\naccuracy (%)")
    for ax in axes[-1]:
        ax.set_xlabel("order α")
    ratio = table.drop_duplicates("budget").set_index("budget")["ratio"]
    handles = [
        panels.handle(looks[b], f"{b} tokens ({labels.percent(ratio[b])}%)") for b in budgets
    ]
    handles.append(
        Line2D(
            [], [], color=style.GRAY, marker="*", linestyle="", markersize=7,
            label="g: Eq. (21) of both terms",
        )
    )  # fmt: skip
    panels.legend_below(figure, handles, columns=3)
    return figure


def _panel(ax: Axes, table: pd.DataFrame, looks: Mapping[int, style.Look]) -> None:
    both = table[table["redundancy"] == "global"]
    for budget, look in looks.items():
        rows = table[(table["budget"] == budget) & (table["redundancy"] == "max")]
        rows = rows.sort_values("alpha")
        x = [position(alpha) for alpha in rows["alpha"]]
        low, middle, high = (100 * rows[c].to_numpy(float) for c in ("low", "estimate", "high"))
        ax.fill_between(x, low, high, color=look.color, alpha=0.18, linewidth=0)
        ax.plot(
            x, middle, color=look.color, marker=look.marker, markersize=3.2, linewidth=look.width,
            markeredgecolor="white", markeredgewidth=0.3,
        )  # fmt: skip
        for _, row in both[both["budget"] == budget].iterrows():
            point, low_end, high_end = (100 * float(row[c]) for c in ("estimate", "low", "high"))
            ax.errorbar(
                [GLOBAL], [point], yerr=[[point - low_end], [high_end - point]], color=look.color,
                marker="*", markersize=7, elinewidth=0.9, capsize=1.6, markeredgecolor="white",
                markeredgewidth=0.3,
            )  # fmt: skip
    names = ["1\nKL" if t == 1 else "∞\nmax" if math.isinf(t) else f"{t:g}" for t in TICKS]
    ax.set_xticks([GLOBAL, *(position(t) for t in TICKS)], ["g", *names])
    ax.set_xlim(GLOBAL - 0.07, 1.06)


def caption(table: pd.DataFrame) -> str:
    """What the ends give with redundancy, and the highest of each row of panels."""
    found = []
    for (model, weight, form), rows in table.groupby(
        ["model", "relevance_weight", "form"], sort=False
    ):
        budget = min(rows["budget"], key=lambda b: abs(b - 16))
        here = rows[(rows["budget"] == budget) & (rows["redundancy"] == "max")]
        by_order = here.set_index("alpha")["estimate"]
        top = panels.highest(here)
        order = "∞" if math.isinf(top["alpha"]) else f"{top['alpha']:g}"
        found.append(
            f"{MODELS.get(str(model), model)}, {WEIGHTS[float(str(weight))]}, "
            f"{labels.FORM_LABELS[str(form)]}: KL {labels.points(by_order[1.0])}%, "
            f"max {labels.points(by_order[math.inf])}%, "
            f"highest at α = {order}, {labels.points(top['estimate'])}%"
        )
    return (
        "Accuracy of MI-Pruner when PMI is aggregated over words by the Rényi divergence of order "
        "α of p(t|v) from p(t), on the axis 1 − 1/α: its ends are the paper's global (Eq. 21, of "
        "the relevance) and max aggregation (Eq. 19). The redundancy is the maximum of Eq. (20); "
        "stars: Eq. (21) of both terms. Columns: the model's alignment of vision and text, and λ. "
        f"Bands and bars are {STATED}. At {budget} tokens: {'; '.join(found)}."
    )


FIGURE = FigureSpec(
    name="renyi",
    title="Between global and max aggregation",
    source="Sec. 3.2, App. A.3",
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper prints neither end separately of the redundancy term, and nothing between.",
)
