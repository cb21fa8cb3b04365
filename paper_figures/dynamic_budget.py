"""Dynamic budgets against fixed ones of the same average."""

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

N_V = 144
HOW = {
    "dynamic": ("dynamic", style.Look("#0072B2", "o", "-", 1.6)),
    "fixed": ("fixed, same average", style.Look("#D55E00", "s", "--", 1.2)),
    "shuffled": ("dynamic, shuffled over questions", style.Look("#777777", "p", ":", 1.2)),
}
FORM_LOOKS = {
    "open": style.Look("#117733", "^", "-", 1.2),
    "closed": style.Look("#882255", "v", "--", 1.2),
}
RULES = {
    "gain": "stops by score",
    "certified": "stops by certificate",
    "certified_modular": "stops by certificate",
}


def data(results: Results) -> pd.DataFrame:
    """Accuracies, and differences of dynamic from fixed: one table, told apart by ``quantity``.

    Raises
    ------
    MissingInputError
        If the run lacks the study, or it holds nothing.
    """
    accuracy = results.study("dynamic_budget")
    gap = results.study("dynamic_budget_differences")
    if accuracy.empty:
        raise MissingInputError("study 'dynamic_budget' must hold a line")
    tokens = accuracy[accuracy["how"] == "dynamic"][["line", "target", "form", "tokens"]]
    gap = gap[gap["against"] == "fixed"].rename(columns={"difference": "estimate"})
    gap = gap.merge(tokens, on=["line", "target", "form"]).assign(how="dynamic")
    shared = [
        "line", "target", "form", "how", "tokens", "estimate", "low", "high", "questions", "scenes",
    ]  # fmt: skip
    return pd.concat(
        [accuracy[shared].assign(quantity="accuracy"), gap[shared].assign(quantity="difference")],
        ignore_index=True,
    )


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """A column for each method and rule: accuracy of all questions, and differences by form."""
    lines = list(dict.fromkeys(table["line"]))
    figure = style.new_figure(style.PAGE, 4.1)
    axes = figure.subplots(2, len(lines), sharex=True, sharey="row", squeeze=False)
    for column, line in enumerate(lines):
        own = table[table["line"] == line]
        top, bottom = axes[:, column]
        method, _, rule = line.partition(":")
        top.set_title(f"{labels.METHODS.get(method, method)}\n{RULES[rule]}", fontsize=6.8)
        for how, (_, look) in HOW.items():
            rows = own[(own["quantity"] == "accuracy") & (own["how"] == how)]
            rows = rows[rows["form"] == "all"].sort_values("tokens")
            panels.curve(top, rows["tokens"] / N_V, rows, look)
        bottom.axhline(0, color="black", linewidth=0.8, zorder=2)
        for i, (form, look) in enumerate(FORM_LOOKS.items()):
            rows = own[(own["quantity"] == "difference") & (own["form"] == form)]
            rows = rows.sort_values("tokens")
            x = [panels.dodged(t / N_V, i, 2, width=0.14) for t in rows["tokens"]]
            panels.curve(bottom, x, rows, look)
        _axis(top, sorted(set(table["target"])))
        _axis(bottom, sorted(set(table["target"])))
        bottom.set_xlabel("mean tokens (%)")
    axes[0, 0].set_ylabel("accuracy (%)")
    axes[1, 0].set_ylabel("dynamic − fixed\n(points)")
    handles = [panels.handle(look, label) for label, look in HOW.values()]
    handles += [
        panels.handle(look, f"difference, {labels.FORM_LABELS[form]}")
        for form, look in FORM_LOOKS.items()
    ]
    panels.legend_below(figure, handles, columns=3)
    return figure


def _axis(ax: Axes, targets: list[int]) -> None:
    panels.share_axis(ax, [t / N_V for t in targets], "")
    ax.set_xlim(min(targets) / N_V / 1.35, max(targets) / N_V * 1.35)


def caption(table: pd.DataFrame) -> str:
    """How many differences are settled, and the largest and smallest."""
    gaps = table[(table["quantity"] == "difference") & (table["form"] == "all")]
    above, below = int((gaps["low"] > 0).sum()), int((gaps["high"] < 0).sum())
    ends = []
    for word, row in (
        ("largest", panels.highest(gaps)),
        ("smallest", panels.highest(gaps.assign(estimate=-gaps["estimate"]))),
    ):
        method = str(row["line"]).partition(":")[0]
        value = row["estimate"] if word == "largest" else -row["estimate"]
        ends.append(
            f"the {word} is {labels.points(value, sign=True)} "
            f"{labels.interval(row['low'], row['high'], sign=True)} points "
            f"({labels.METHODS.get(method, method)}, about {row['target']} tokens)"
        )
    return (
        "Dynamic budgets, whose level is set on validation questions so that a number of tokens is "
        "kept on average, against fixed budgets of exactly the average that the dynamic ones have "
        "on these questions, and against the same numbers of tokens dealt out at random. Top: all "
        f"questions; bottom: paired differences by form. Bars are {STATED}. Of {len(gaps)} "
        f"differences over all questions, the interval of {above} lies above zero and of {below} "
        f"below, not adjusted for their number; {'; '.join(ends)}."
    )


FIGURE = FigureSpec(
    name="dynamic_budget",
    title="Dynamic budgets",
    source="App. C.5",
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper names the dynamic budget as future work and prints nothing of it.",
)
