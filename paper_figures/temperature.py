"""The temperature τ of the conditional (Tab. 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from analysis import reference
from mitheory.errors import MissingInputError

from . import labels, panels, style
from .claims import Comparison, compare
from .intervals import STATED, accuracy_within
from .results import Results, Scene
from .spec import FigureSpec

BENCHMARKS = {"open": "GQA", "closed": "SQA"}  # what stands beside a form of question
PAPER = 0.1


def data(results: Results) -> pd.DataFrame:
    """Accuracy over τ by form of question and budget.

    Raises
    ------
    MissingInputError
        If the run holds fewer than two temperatures.
    """
    rows = results.family("temperature")
    if rows["temperature"].nunique() < 2:
        raise MissingInputError("family 'temperature' must hold two temperatures or more")
    table = accuracy_within(rows, "form", ["temperature", "budget", "ratio"])
    return table.sort_values(
        ["form", "budget", "temperature"], ascending=[False, False, True], ignore_index=True
    )  # open-ended first


def printed_table() -> pd.DataFrame:
    """Tab. 5: columns ``form``, ``temperature``, ``tokens``, ``ratio``, ``value``."""
    rows = reference.printed(5)
    form = {benchmark: form for form, benchmark in BENCHMARKS.items()}
    return rows.assign(form=rows["metric"].map(form), temperature=rows["option"].astype(float))


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """Ours left, the printed numbers right; open-ended above closed-form."""
    figure = style.new_figure(style.PAGE, 4.4)
    forms = [f for f in labels.FORMS if f in set(table["form"])]
    axes = figure.subplots(len(forms), 2, squeeze=False)
    budgets = sorted(set(table["budget"]), reverse=True)
    looks = style.budget_looks(budgets)
    printed = printed_table()
    ratio = table.drop_duplicates("budget").set_index("budget")["ratio"]
    shares = {float(ratio[b]): looks[b] for b in budgets}
    printed_looks = {
        t: _printed_look(t, shares) for t in sorted({*printed["tokens"]}, reverse=True)
    }
    ticks = sorted({*table["temperature"], *printed["temperature"]})
    for row, form in enumerate(forms):
        here = table[table["form"] == form]
        for i, budget in enumerate(budgets):
            cells = here[here["budget"] == budget]
            x = [panels.dodged(t, i, len(budgets), width=0.05) for t in cells["temperature"]]
            panels.curve(axes[row, 0], x, cells, looks[budget])
        _printed(axes[row, 1], printed[printed["form"] == form], printed_looks)
        panels.same_span(axes[row, 1], axes[row, 0])
        axes[row, 0].set_title(f"{'ac'[row]}  Ours: {labels.FORM_LABELS[form]} questions")
        axes[row, 1].set_title(
            f"{'bd'[row]}  Printed: {reference.MODEL_LABEL}, {BENCHMARKS[form]} (Tab. 5)"
        )
        for ax in axes[row]:
            _axis(ax, ticks)
            ax.set_ylabel("accuracy (%)")
    handles = [
        panels.handle(looks[b], f"ours, {b} tokens ({labels.percent(ratio[b])}%)") for b in budgets
    ]
    for tokens, look in printed_looks.items():
        share = labels.percent(tokens / reference.N_V[reference.MODEL])
        handles.append(panels.handle(look, f"printed, {tokens} of 576 ({share}%)", is_printed=True))
    panels.legend_below(figure, handles, columns=3)
    return figure


def _printed_look(tokens: int, ours: Mapping[float, style.Look]) -> style.Look:
    """That of our budget with the same share of tokens, dashed; gray if there is none."""
    share = tokens / reference.N_V[reference.MODEL]
    same = [look for ratio, look in ours.items() if abs(ratio / share - 1) < 0.02]
    return replace(same[0], line="--") if same else style.Look(style.GRAY, "h", "--")


def _printed(ax: Axes, rows: pd.DataFrame, looks: Mapping[int, style.Look]) -> None:
    for i, (tokens, look) in enumerate(looks.items()):
        cells = rows[rows["tokens"] == tokens].sort_values("temperature")
        panels.paper_curve(ax, cells["temperature"], cells["value"], look)
        panels.annotate(ax, cells["temperature"], cells["value"], above=i == 0)


def _axis(ax: Axes, ticks: list[float]) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"{t:g}" for t in ticks])
    ax.set_xlim(min(ticks) / 1.45, max(ticks) * 1.3)
    ax.axvline(PAPER, color=style.GRAY, linestyle=":", linewidth=1, zorder=1)
    ax.set_xlabel("temperature τ")


def caption(table: pd.DataFrame) -> str:
    """The best temperature of each form at each budget."""
    best = []
    for (form, budget), rows in table.groupby(["form", "budget"], sort=False):
        top = panels.highest(rows)
        best.append(
            f"{labels.FORM_LABELS[str(form)]}, {budget} tokens: τ = {top['temperature']:g} "
            f"({labels.points(top['estimate'])}%)"
        )
    return (
        "Accuracy of MI-Pruner over the temperature, shared by the cross and the self conditional. "
        f"Bars are {STATED}; dotted line: the paper's τ = {PAPER:g}. "
        f"Highest estimate: {'; '.join(best)}."
    )


def claims(results: Results) -> list[Comparison]:
    """τ = 0.1 against the two other temperatures of Tab. 5."""
    rows = results.family("temperature")
    found = []
    for other in sorted(set(printed_table()["temperature"]) - {PAPER}):
        for form, scope in labels.FORM_LABELS.items():
            here = rows[rows["form"] == form]
            found += compare(
                results, claim=f"τ = {PAPER:g} is best", source="Tab. 5", scope=scope,
                first=(f"τ = {PAPER:g}", here[here["temperature"] == PAPER]),
                second=(f"τ = {other:g}", here[here["temperature"] == other]),
            )  # fmt: skip
    return found


FIGURE = FigureSpec(
    name="temperature",
    title="Temperature",
    source="Tab. 5",
    data=data,
    draw=draw,
    caption=caption,
    printed=(
        "Panels b and d are the paper's Tab. 5 (LLaVA-1.5-7B, GQA and ScienceQA at 64 and 32 of "
        "576 tokens), printed without intervals."
    ),
    claims=claims,
)
