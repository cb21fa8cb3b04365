"""What precision changes in the kept sets: ``python -m paper_figures.precision TABLE IMAGE``.

Drawn from the table of `mitheory dtypes`, not from a run of `mitheory reproduce`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mitheory.errors import MissingInputError
from mitheory.io import replacing

from .labels import METHODS
from .style import DPI, PAGE, Look, new_figure, theme

COLUMNS = ("method", "budget", "ratio", "inputs", "arithmetic", "changed", "low", "high")
PANELS = {
    "inputs rounded, computed in float32": {
        ("float32", "float32"): ("float32", Look("#000000", "|")),
        ("float16", "float32"): ("float16", Look("#0072B2", "o")),
        ("bfloat16", "float32"): ("bfloat16", Look("#D55E00", "s")),
    },
    "computed in that precision too": {
        ("float32", "float32"): ("float32", Look("#000000", "|")),
        ("float16", "float16"): ("float16", Look("#0072B2", "o")),
        ("bfloat16", "bfloat16"): ("bfloat16", Look("#D55E00", "s")),
    },
}
LINEAR = 1.0  # per cent up to which the axis is linear, so that 0 is on it


def data(path: Path) -> pd.DataFrame:
    """The rows that are drawn: the middle budget, methods that change anywhere at all.

    Raises
    ------
    MissingInputError
        If a column is missing.
    """
    table = pd.read_csv(path)
    if missing := [column for column in COLUMNS if column not in table.columns]:
        raise MissingInputError(f"{path.name} must have the columns {missing}")
    budgets = sorted(table["budget"].unique())
    moved = table.groupby("method")["changed"].transform("max") > 0
    return table[moved & (table["budget"] == budgets[len(budgets) // 2])].reset_index(drop=True)


def draw(table: pd.DataFrame) -> Figure:
    """One line per method, from the most to the least robust; one panel per arithmetic."""
    methods = order(table)
    with theme():
        figure = new_figure(PAGE, 1.1 + 0.19 * len(methods))
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (title, variants) in zip(panels, PANELS.items(), strict=True):
            for i, (key, (label, look)) in enumerate(variants.items()):
                own = table[(table["inputs"] == key[0]) & (table["arithmetic"] == key[1])]
                _points(axes, own.set_index("method"), methods, look, label, shift=0.22 * (i - 1))
            axes.set_xscale("symlog", linthresh=LINEAR)
            axes.set_xlim(-0.15, 100)
            axes.set_xticks([0, 0.5, 1, 3, 10, 30, 100], ["0", "½", "1", "3", "10", "30", "100"])
            axes.set_xlabel("changed share of the kept set (%)")
            axes.set_title(title)
            axes.grid(axis="y", visible=False)
        panels[0].set_yticks(range(len(methods)), [label_of(name) for name in methods])
        panels[0].invert_yaxis()
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def order(table: pd.DataFrame) -> list[str]:
    """Methods by what bfloat16 inputs change; of equal ones by what bfloat16 arithmetic does."""

    def shares(arithmetic: str) -> pd.Series:
        rows = table[(table["inputs"] == "bfloat16") & (table["arithmetic"] == arithmetic)]
        return rows.set_index("method")["changed"]

    both = pd.DataFrame({"a": shares("float32"), "b": shares("bfloat16").fillna(2.0)})
    return [str(name) for name in both.sort_values(["a", "b"], kind="stable").index]


def label_of(method: str) -> str:
    """A method as the other figures name it."""
    return METHODS.get(method, method.replace("_", " "))


def _points(
    axes: Axes, rows: pd.DataFrame, methods: list[str], look: Look, label: str, *, shift: float
) -> None:
    """Estimates in per cent with intervals; and who has none."""
    found = [(i, rows.loc[name]) for i, name in enumerate(methods) if name in rows.index]
    there = [(i, row) for i, row in found if pd.notna(row["changed"])]
    y = [i + shift for i, _ in there]
    x, low, high = ([100 * row[c] for _, row in there] for c in ("changed", "low", "high"))
    below, above = ([abs(a - b) for a, b in zip(x, end, strict=True)] for end in (low, high))
    axes.errorbar(x, y, xerr=[below, above], fmt="none", ecolor=look.color, elinewidth=0.8)
    axes.plot(x, y, linestyle="", marker=look.marker, color=look.color, markersize=3.4, label=label)
    for i, row in found:
        if pd.isna(row["changed"]):
            axes.annotate("none", (3, i + shift), color=look.color, fontsize=5.5, va="center")


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw one table."""
    parser = argparse.ArgumentParser(prog="python -m paper_figures.precision", description=__doc__)
    parser.add_argument("table", type=Path, help="dtypes.csv of `mitheory dtypes`")
    parser.add_argument("image", type=Path, help="PNG file to write")
    options = parser.parse_args(arguments)
    figure = draw(data(options.table))
    with theme(), replacing(options.image) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})


if __name__ == "__main__":
    main()
