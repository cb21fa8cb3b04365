"""Softmax against two-stage MinMax as the conditional (Tab. 6)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import reference
from mitheory.errors import MissingInputError

from . import labels, panels, style
from .claims import Comparison, compare
from .intervals import STATED, accuracy_within
from .results import Results, Scene
from .spec import FigureSpec
from .temperature import BENCHMARKS


def data(results: Results) -> pd.DataFrame:
    """Accuracy of each conditional by form of question and budget; "full" is all tokens.

    Raises
    ------
    MissingInputError
        If the run holds fewer than two conditionals.
    """
    rows = results.family("conditional")
    if rows["conditional"].nunique() < 2:
        raise MissingInputError("family 'conditional' must hold two conditionals or more")
    full = results.full().assign(conditional="full")
    table = accuracy_within(
        pd.concat([rows, full], ignore_index=True), "form", ["conditional", "budget", "ratio"]
    )
    return table.sort_values(
        ["form", "conditional", "budget"], ascending=False, ignore_index=True
    )  # open-ended first


def printed_table() -> pd.DataFrame:
    """Tab. 6: columns ``form``, ``conditional``, ``tokens``, ``ratio``, ``value``."""
    rows = reference.printed(6)
    form = {benchmark: form for form, benchmark in BENCHMARKS.items()}
    return rows.assign(form=rows["metric"].map(form), conditional=rows["option"])


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """Ours left, the printed numbers right; open-ended above closed-form."""
    figure = style.new_figure(style.PAGE, 4.2)
    forms = [f for f in labels.FORMS if f in set(table["form"])]
    axes = figure.subplots(len(forms), 2, squeeze=False)
    names = [n for n in dict.fromkeys(table["conditional"]) if n != "full"]
    names = sorted(names, key=lambda n: [*labels.CONDITIONALS, n].index(n))
    printed = printed_table()
    for row, form in enumerate(forms):
        here = table[table["form"] == form]
        _ours(axes[row, 0], here, names)
        _printed(axes[row, 1], printed[printed["form"] == form])
        panels.same_span(axes[row, 1], axes[row, 0])
        axes[row, 0].set_title(f"{'ac'[row]}  Ours: {labels.FORM_LABELS[form]} questions")
        axes[row, 1].set_title(
            f"{'bd'[row]}  Printed: {reference.MODEL_LABEL}, {BENCHMARKS[form]} (Tab. 6)"
        )
    handles = [panels.handle(style.look(n, style.CONDITIONALS), _label(n)) for n in names]
    handles.append(panels.handle(style.look("full"), labels.METHODS["full"]))
    panels.legend_below(figure, handles, columns=4)
    return figure


def _label(name: str) -> str:
    return labels.CONDITIONALS.get(name, name)


def _ours(ax: Axes, table: pd.DataFrame, names: list[str]) -> None:
    for i, name in enumerate(names):
        rows = table[table["conditional"] == name].sort_values("ratio")
        x = [panels.dodged(r, i, len(names), width=0.05) for r in rows["ratio"]]
        panels.curve(ax, x, rows, style.look(name, style.CONDITIONALS))
    panels.all_tokens(ax, panels.first_row(table[table["conditional"] == "full"]))
    panels.share_axis(ax, table.loc[table["conditional"] != "full", "ratio"])
    ax.set_ylabel("accuracy (%)")


def _printed(ax: Axes, rows: pd.DataFrame) -> None:
    for name, cells in rows.groupby("conditional", sort=False):
        cells = cells.sort_values("ratio")
        look = style.look(str(name), style.CONDITIONALS)
        panels.paper_curve(ax, cells["ratio"], cells["value"], look)
        above = name == "softmax"
        panels.annotate(ax, cells["ratio"], cells["value"], above=above)
    panels.share_axis(ax, rows["ratio"])
    ax.set_xlim(0.048, 0.13)
    ax.set_ylabel("accuracy (%)")


def caption(table: pd.DataFrame) -> str:
    """Both conditionals at the smallest budget."""
    least = table[table["conditional"] != "full"]
    least = least[least["budget"] == least["budget"].min()]
    cells = [
        f"{_label(row['conditional'])} on {labels.FORM_LABELS[row['form']]} questions "
        f"{labels.points(row['estimate'])}% {labels.interval(row['low'], row['high'])}"
        for _, row in least.iterrows()
    ]
    return (
        "Accuracy of MI-Pruner with the softmax conditional and with two-stage MinMax, which does "
        f"not depend on τ. Bars are {STATED}. At {int(least['budget'].iloc[0])} tokens: "
        f"{'; '.join(cells)}."
    )


def claims(results: Results) -> list[Comparison]:
    """Softmax against MinMax."""
    rows = results.family("conditional")
    found = []
    for form, scope in labels.FORM_LABELS.items():
        here = rows[rows["form"] == form]
        found += compare(
            results, claim="softmax is better than MinMax", source="Tab. 6", scope=scope,
            first=("softmax", here[here["conditional"] == "softmax"]),
            second=("MinMax", here[here["conditional"] == "minmax"]),
        )  # fmt: skip
    return found


FIGURE = FigureSpec(
    name="normalization",
    title="Softmax or MinMax",
    source="Tab. 6",
    data=data,
    draw=draw,
    caption=caption,
    printed=(
        "Panels b and d are the paper's Tab. 6 (LLaVA-1.5-7B, GQA and ScienceQA at 64 and 32 of "
        "576 tokens), printed without intervals."
    ),
    claims=claims,
)
