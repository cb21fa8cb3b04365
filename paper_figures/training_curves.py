"""How the fruit-fly was trained: validation accuracy along the stages, from the committed logs.

``python -m paper_figures.training_curves docs/images`` draws it again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mitheory.models.fruitfly.questions import QUESTIONS

from . import style


def data(name: str) -> pd.DataFrame:
    """Rows of the last stages of one checkpoint: step counted on, stage, accuracy by type.

    Returns
    -------
    DataFrame
        Columns name, stage, step, question_type, accuracy; stages without images are left out.
    """
    from mitheory.models.fruitfly.checkpoint import load, path_of  # needs torch

    lines = path_of(name).with_suffix(".log.jsonl").read_text().splitlines()
    logged = pd.DataFrame([json.loads(line) for line in lines])
    rows, before = [], 0
    for stage in load(name)[1]["stages"]:
        part = logged[logged.stage == stage]
        if "match_digit" in part and part.match_digit.notna().all():
            long = part.melt(
                ["stage", "step"], list(QUESTIONS), "question_type", "accuracy"
            ).dropna()
            rows.append(long.assign(step=long.step + before, name=name))
            before += int(part.step.max())
    return pd.concat(rows, ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """One panel per checkpoint, one curve per question type, stages separated."""
    names = list(dict.fromkeys(table.name))
    figure = style.new_figure(style.PAGE, 2.6)
    axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axis, name in zip(axes, names, strict=True):
        part = table[table.name == name]
        for i, (kind, rows) in enumerate(part.groupby("question_type", sort=False)):
            axis.plot(rows.step, 100 * rows.accuracy, color=f"C{i}", lw=1.2, label=kind)
        for end in part.groupby("stage", sort=False).step.max()[:-1]:
            axis.axvline(end, color=style.GRAY, lw=0.8, ls=":")
        axis.axhline(80, color=style.GRAY, lw=0.6)
        axis.set_title(name, loc="left")
        axis.set_xlabel("step (image stages)")
    axes[0].set_ylabel("validation accuracy (%)")
    axes[0].set_ylim(40, 101)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def main(folder: str) -> None:
    """Write training_curves.png into `folder`."""
    from mitheory.models.fruitfly.checkpoint import NAMES

    with style.theme():
        figure = draw(pd.concat([data(name) for name in NAMES], ignore_index=True))
        Path(folder).mkdir(parents=True, exist_ok=True)
        figure.savefig(Path(folder) / "training_curves.png", dpi=style.DPI)


if __name__ == "__main__":
    main(sys.argv[1])
