"""The pictures of the README, from the tables of a run: three of its figures, and its ledger.

``python -m paper_figures.readme out docs/images`` draws them again (``make images``).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from mitheory.errors import MissingInputError, MitheoryError
from mitheory.io import atomic_write, replacing
from mitheory.plot import ledger

from . import audit, render, style
from .results import load

FIGURES = ("accuracy_budget", "kept_patches", "predictions")
LEDGER = "verdicts"
NAME = 60  # characters of what is measured to a line
ROW = 0.29  # inches
HALF = 0.21  # of a row: the claim stands above its middle, what is measured below


def draw(table: pd.DataFrame) -> Figure:
    """A line per claim, large enough for a page of text: what is measured, where, the verdict.

    Parameters
    ----------
    table : of `mitheory.plot.verdict_table`
    """
    figure = style.new_figure(style.PAGE, ROW * len(table) + 0.8)
    ax = figure.subplots()
    ledger.effects(ax, table)
    records = table.to_dict("records")
    named = [y for y, record in enumerate(records) if record["measured"]]
    up = [y - HALF if y in named else y for y in range(len(records))]
    ax.set_yticks(up, [r["claim"].replace("_", " ") for r in records], fontweight="bold")
    names = [ledger.lines(records[y]["name"], NAME, 1) for y in named]
    ax.set_yticks([y + HALF for y in named], names, minor=True, color=style.GRAY)
    right = ax.secondary_yaxis("right")
    right.set_yticks(range(len(records)), [_verdict(record) for record in records])
    right.spines["right"].set_visible(False)
    for side in (ax, right):
        side.tick_params(axis="y", which="both", length=0)
    ax.grid(visible=False, axis="y")
    for label, record in zip(right.get_yticklabels(), records, strict=True):
        label.set_color(ledger.DECISIONS[str(record["decision"])][0])
    figure.legend(handles=ledger.handles(), loc="outside lower center", ncols=3)
    return figure


def _verdict(record: Mapping[Any, Any]) -> str:
    mark = ledger.DECISIONS[str(record["decision"])][1]
    return f"{mark} {record['decision']}  {ledger.value(record)}".rstrip()


def write(run: Path, folder: Path) -> list[Path]:
    """Draw the pictures of a run into a folder; their paths.

    Raises
    ------
    MissingInputError
        If the run lacks what one of them is drawn from; then nothing is written.
    """
    table = ledger.verdict_table(audit.verdicts(load(run))["verdicts"])
    targets = [folder / f"{name}.png" for name in (*FIGURES, LEDGER)]
    with TemporaryDirectory() as drawn:
        rendered = {r.spec.name: r for r in render.render_all(run, drawn, only=FIGURES)}
        if missing := [f"{n}: {rendered[n].reason}" for n in FIGURES if rendered[n].reason]:
            raise MissingInputError(f"{run}: {'; '.join(missing)}")
        for name, target in zip(FIGURES, targets, strict=False):
            atomic_write(target, (Path(drawn) / render.FOLDER / f"{name}.png").read_bytes())
    with style.theme(), replacing(targets[-1]) as temporary:
        draw(table).savefig(temporary, format="png", dpi=style.DPI)
    return targets


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw from the run in the first folder into the second; 2 if there is nothing to draw from."""
    run, folder = map(Path, sys.argv[1:] if arguments is None else arguments)
    try:
        for path in write(run, folder):
            print(path)
    except MitheoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
