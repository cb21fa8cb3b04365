"""λ by type of question (Fig. 6b)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mitheory.errors import MissingInputError

from . import labels, panels, style
from .claims import Comparison, compare
from .intervals import STATED, accuracy_within
from .results import Results, Scene
from .spec import FigureSpec

PAPER = {"open": 0.5, "closed": 1.0}  # Sec. 4.1
NOT_PRINTED = (
    "Fig. 6b of the paper is a drawing without a table: no printed numbers to put beside. "
    "Dotted line: the λ it uses."
)


def data(results: Results) -> pd.DataFrame:
    """Accuracy over λ by budget: for each question type, and all types of each form together.

    ``panel`` is a question type, or "open" or "closed" for all of that form.

    Raises
    ------
    MissingInputError
        If the run holds fewer than two values of λ.
    """
    rows = results.family("relevance_weight")
    if rows["relevance_weight"].nunique() < 2:
        raise MissingInputError("family 'relevance_weight' must hold two values of λ or more")
    cells = ["relevance_weight", "budget", "ratio"]
    parts = [
        accuracy_within(rows, key, cells).rename(columns={key: "panel"})
        for key in ("form", "question_type")
    ]
    table = pd.concat(parts, ignore_index=True)
    table["form"] = [labels.FORM_OF.get(panel, panel) for panel in table["panel"]]
    return table


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """A panel for each type, open-ended first; the panels of all types of a form in bold."""
    names = _panels(table)
    columns = min(5, len(names))
    lines = -(-len(names) // columns)
    figure = style.new_figure(style.PAGE, 0.9 + 1.65 * lines)
    axes = figure.subplots(lines, columns, sharex=True, squeeze=False)
    budgets = sorted(set(table["budget"]), reverse=True)
    looks = style.budget_looks(budgets)
    for ax in axes.flat[len(names) :]:
        ax.set_visible(False)
    for ax, name in zip(axes.flat, names, strict=False):
        _panel(ax, table[table["panel"] == name], name, looks)
    for ax in axes.flat[max(0, len(names) - columns) : len(names)]:
        ax.set_xlabel("λ")
        ax.xaxis.set_tick_params(labelbottom=True)
    for row in axes:
        row[0].set_ylabel("accuracy (%)")
    ratio = table.drop_duplicates("budget").set_index("budget")["ratio"]
    handles = [
        panels.handle(looks[b], f"{b} tokens ({labels.percent(ratio[b])}%)") for b in budgets
    ]
    panels.legend_below(figure, handles, columns=4)
    panels.note_above(figure, NOT_PRINTED)
    return figure


def _panels(table: pd.DataFrame) -> list[str]:
    """All of a form, then its types; open-ended first."""
    present = set(table["panel"])
    ordered = [name for form, types in labels.FORMS.items() for name in (form, *types)]
    return [name for name in ordered if name in present]


def _panel(ax: Axes, table: pd.DataFrame, name: str, looks: Mapping[int, style.Look]) -> None:
    for i, (budget, look) in enumerate(looks.items()):
        rows = table[table["budget"] == budget].sort_values("relevance_weight")
        shift = 0.02 * (i - (len(looks) - 1) / 2)
        panels.curve(ax, [lam + shift for lam in rows["relevance_weight"]], rows, look)
    whole = name in labels.FORM_LABELS
    ax.axvline(PAPER[table["form"].iloc[0]], color=style.GRAY, linestyle=":", linewidth=1, zorder=1)
    text = f"all {labels.FORM_LABELS[name]}" if whole else labels.question_label(name)
    ax.set_title(text, fontweight="bold" if whole else "normal", fontsize=7.5)
    ax.set_xticks([0, 0.5, 1], ["0", "½", "1"])
    ax.set_xlim(-0.08, 1.08)


def caption(table: pd.DataFrame) -> str:
    """The best λ of each form at each budget."""
    text = (
        "Accuracy of MI-Pruner over λ, the weight of relevance to the prompt against redundancy "
        f"among the kept tokens. Bars are {STATED}; the vertical axes differ."
    )
    best = []
    for (panel, budget), rows in table.groupby(["panel", "budget"], sort=False):
        if panel in labels.FORM_LABELS:
            top = panels.highest(rows)
            best.append(
                f"{labels.FORM_LABELS[str(panel)]}, {budget} tokens: "
                f"λ = {top['relevance_weight']:g} ({labels.points(top['estimate'])}%)"
            )
    return f"{text} Highest estimate by form: {'; '.join(best)}."


def claims(results: Results) -> list[Comparison]:
    """λ = 0.5 for open-ended questions, λ = 1 for closed-form ones."""
    rows = results.family("relevance_weight")
    told = {
        "open": "open-ended questions need redundancy (λ = 0.5 rather than 1)",
        "closed": "closed-form questions are best at λ = 1 (rather than 0.5)",
    }
    found = []
    for form, claim in told.items():
        here = rows[rows["form"] == form]
        favored, other = (0.5, 1.0) if form == "open" else (1.0, 0.5)
        found += compare(
            results, claim=claim, source="Sec. 4.4, Fig. 6b", scope=labels.FORM_LABELS[form],
            first=(f"λ = {favored:g}", here[here["relevance_weight"] == favored]),
            second=(f"λ = {other:g}", here[here["relevance_weight"] == other]),
        )  # fmt: skip
    return found


FIGURE = FigureSpec(
    name="relevance_weight",
    title="λ by type of question",
    source="Fig. 6b",
    ids=("fig6b",),
    data=data,
    draw=draw,
    caption=caption,
    printed=NOT_PRINTED,
    claims=claims,
)
