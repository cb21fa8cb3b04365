"""Maximal against global aggregation and the plain mean (Fig. 6a)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mitheory.errors import MissingInputError

from . import labels, panels, style
from .claims import Comparison, compare
from .intervals import STATED, accuracy_within, difference
from .results import Results, Scene
from .spec import FigureSpec

BASE = "max"
NOT_PRINTED = "Fig. 6a of the paper is a drawing without printed numbers: nothing to put beside."


def data(results: Results) -> pd.DataFrame:
    """Accuracy of each aggregation by form of question and budget, and its difference to max.

    ``quantity`` is "accuracy", or "difference" for the paired difference of the aggregation minus
    max; the model with all tokens is the aggregation "full".

    Raises
    ------
    MissingInputError
        If the run holds fewer than two aggregations.
    """
    rows = results.family("aggregation")
    if rows["aggregation"].nunique() < 2:
        raise MissingInputError("family 'aggregation' must hold two aggregations or more")
    full = results.full().assign(aggregation="full")
    cells = ["aggregation", "budget", "ratio"]
    table = accuracy_within(pd.concat([rows, full], ignore_index=True), "form", cells)
    return pd.concat(
        [table.assign(quantity="accuracy"), _differences(rows).assign(quantity="difference")],
        ignore_index=True,
    )


def _differences(rows: pd.DataFrame) -> pd.DataFrame:
    """Each aggregation minus max, on the same questions."""
    found = []
    for (form, budget, ratio), cell in rows.groupby(["form", "budget", "ratio"], sort=False):
        base = cell[cell["aggregation"] == BASE]
        for name, other in cell.groupby("aggregation", sort=False):
            if name != BASE and not base.empty:
                gap = difference(other, base)
                found.append(
                    {
                        "aggregation": name, "budget": budget, "ratio": ratio, "form": form,
                        "estimate": gap.estimate, "low": gap.low, "high": gap.high,
                        "questions": gap.n, "scenes": gap.n_clusters,
                    }
                )  # fmt: skip
    return pd.DataFrame(found)


def _ordered(table: pd.DataFrame) -> list[str]:
    present = [str(n) for n in dict.fromkeys(table["aggregation"]) if n != "full"]
    return sorted(present, key=lambda n: [*labels.AGGREGATIONS, n].index(n))


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """Accuracy above, paired difference to max below; open-ended left, closed-form right."""
    figure = style.new_figure(style.PAGE, 4.4)
    forms = [f for f in labels.FORMS if f in set(table["form"])]
    axes = figure.subplots(2, len(forms), sharex=True, sharey="row", squeeze=False)
    names = _ordered(table)
    for column, form in enumerate(forms):
        here = table[table["form"] == form]
        top, bottom = axes[0, column], axes[1, column]
        _curves(top, here[here["quantity"] == "accuracy"], names)
        panels.all_tokens(top, panels.first_row(here[here["aggregation"] == "full"]))
        _curves(bottom, here[here["quantity"] == "difference"], names)
        bottom.axhline(0, color="black", linewidth=0.9)
        top.set_title(f"{'ab'[column]}  {labels.FORM_LABELS[form]} questions")
        bottom.set_title(f"{'cd'[column]}  {labels.FORM_LABELS[form]}: difference to max")
        top.set_xlabel("")
    axes[0, 0].set_ylabel("accuracy (%)")
    axes[1, 0].set_ylabel("minus max (points)")
    handles = [
        panels.handle(style.look(n, style.AGGREGATIONS), labels.AGGREGATIONS.get(n, n))
        for n in names
    ]
    handles.append(panels.handle(style.look("full"), labels.METHODS["full"]))
    panels.legend_below(figure, handles, columns=3)
    panels.note_above(figure, NOT_PRINTED)
    return figure


def _curves(ax: Axes, table: pd.DataFrame, names: list[str]) -> None:
    for i, name in enumerate(names):
        rows = table[table["aggregation"] == name].sort_values("ratio")
        if not rows.empty:
            x = [panels.dodged(r, i, len(names), width=0.05) for r in rows["ratio"]]
            panels.curve(ax, x, rows, style.look(name, style.AGGREGATIONS))
    panels.share_axis(ax, table.loc[table["aggregation"] != "full", "ratio"])


def caption(table: pd.DataFrame) -> str:
    """Where the aggregations differ most, in numbers."""
    gaps = table[table["quantity"] == "difference"]
    text = (
        "MI-Pruner with the relevance aggregated over words in different ways, and for Eq. 21 the "
        "redundancy over selected tokens too (by max otherwise), all else as in the paper. Read "
        "literally, with the joint p(v, x), Eq. 21 makes the same choices under the uniform prior. "
        f"Bars are {STATED}; differences are paired question by question."
    )
    if gaps.empty:
        return text
    widest = gaps.iloc[int(gaps["estimate"].abs().to_numpy().argmax())]
    return (
        f"{text} Largest difference to max: {widest['aggregation']}, "
        f"{labels.points(widest['estimate'], sign=True)} "
        f"{labels.interval(widest['low'], widest['high'], sign=True)} points at "
        f"{int(widest['budget'])} tokens on {labels.FORM_LABELS[widest['form']]} questions."
    )


def claims(results: Results) -> list[Comparison]:
    """Max against Eq. 21 and against the plain mean."""
    rows = results.family("aggregation")
    claim = "maximal aggregation is consistently better than the global average"
    found = []
    for name in ("kl+global", "kl", "mean"):
        for form, scope in labels.FORM_LABELS.items():
            here = rows[rows["form"] == form]
            found += compare(
                results, claim=claim, source="Sec. 3.2, Fig. 6a", scope=scope,
                first=(BASE, here[here["aggregation"] == BASE]),
                second=(name, here[here["aggregation"] == name]),
            )  # fmt: skip
    return found


FIGURE = FigureSpec(
    name="aggregation",
    title="Max, global or mean aggregation",
    source="Fig. 6a",
    ids=("fig6a",),
    data=data,
    draw=draw,
    caption=caption,
    printed=(
        f"{NOT_PRINTED} The paper's figure says “average”, its Eq. 21 weighs by the conditional "
        "(KL), and an unweighted mean is a third thing: all are drawn."
    ),
    claims=claims,
)
