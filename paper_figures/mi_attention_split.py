"""MI-Attention over the share of its first round, by reading of how the rounds are joined."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mitheory.errors import MissingInputError

from . import labels, panels, style
from .intervals import STATED
from .results import Results, Scene
from .spec import FigureSpec

READINGS = {
    "fill": "fill up (default)",
    "fill_blind": "fill up, redundancy blind to round one",
    "filter": "filter, then choose",
}
LOOKS = {
    "fill": style.Look("#0072B2", "o", "-", 1.6),
    "fill_blind": style.Look("#D55E00", "s", "--", 1.3),
    "filter": style.Look("#117733", "^", "-.", 1.3),
}


def data(results: Results) -> pd.DataFrame:
    """Accuracy by reading, share, form and budget: the table of the study.

    Raises
    ------
    MissingInputError
        If the run lacks the study, or it holds fewer than two shares.
    """
    table = results.study("mi_attention_split")
    if table["attention_ratio"].nunique() < 2:
        raise MissingInputError("study 'mi_attention_split' must hold two shares or more")
    return table


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """A row for each form, a column for each budget, a curve for each reading."""
    budgets = sorted(set(table["budget"]), reverse=True)
    forms = [f for f in labels.FORMS if f in set(table["form"])]
    figure = style.new_figure(style.PAGE, 0.8 + 1.55 * len(forms))
    axes = figure.subplots(len(forms), len(budgets), sharex=True, squeeze=False)
    ratio = table.drop_duplicates("budget").set_index("budget")["ratio"]
    for row, form in enumerate(forms):
        for column, budget in enumerate(budgets):
            ax = axes[row, column]
            _panel(ax, table[(table["form"] == form) & (table["budget"] == budget)])
            if row == 0:
                ax.set_title(f"{budget} tokens ({labels.percent(ratio[budget])}%)")
        axes[row, 0].set_ylabel(f"{labels.FORM_LABELS[form]}\naccuracy (%)")
    for ax in axes[-1]:
        ax.set_xlabel("share of attention ρ")
    handles = [panels.handle(LOOKS[name], label) for name, label in READINGS.items()]
    panels.legend_below(figure, handles, columns=3)
    return figure


def _panel(ax: Axes, table: pd.DataFrame) -> None:
    for i, (name, look) in enumerate(LOOKS.items()):
        rows = table[table["rounds"] == name].sort_values("attention_ratio")
        shift = 0.025 * (i - 1)
        panels.curve(ax, [x + shift for x in rows["attention_ratio"]], rows, look)
    ax.set_xticks([0, 0.5, 1], ["0\nMI", "½", "1\nattention"])
    ax.set_xlim(-0.12, 1.12)


def share(ratio: float) -> str:
    """A share as a fraction.

    Examples
    --------
    >>> [share(x) for x in (0.0, 0.25, 0.5)]
    ['0', '¼', '½']
    """
    return {0.25: "¼", 0.5: "½", 0.75: "¾"}.get(ratio, f"{ratio:g}")


def caption(table: pd.DataFrame) -> str:
    """The highest of each form and budget, and the default beside it."""
    found = []
    for (form, budget), rows in table.groupby(["form", "budget"], sort=False):
        top = panels.highest(rows)
        default = rows[(rows["rounds"] == "fill") & (rows["attention_ratio"] == 0.5)].iloc[0]
        found.append(
            f"{labels.FORM_LABELS[str(form)]}, {budget} tokens: {READINGS[top['rounds']]}, "
            f"ρ = {share(top['attention_ratio'])}, {labels.points(top['estimate'])}% "
            f"(default {labels.points(default['estimate'])}%)"
        )
    return (
        "Accuracy of MI-Attention over ρ, the share of attention, with the paper's λ. Fill up: "
        "attention chooses a share ρ of the budget and MI the rest, its redundancy counting the "
        "tokens of round one or blind to them. Filter: attention keeps the budget and a share "
        "1 − ρ of all other tokens, among which MI chooses. All meet in MI-Pruner at ρ = 0 and in "
        f"attention at ρ = 1. Bars are {STATED}; vertical axes differ. Highest estimate, which "
        f"is chosen on the same questions: {'; '.join(found)}."
    )


FIGURE = FigureSpec(
    name="mi_attention_split",
    title="The two rounds of MI-Attention",
    source="Sec. 4.1",
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper prints one MI-Attention and says neither its split nor its reading.",
)
