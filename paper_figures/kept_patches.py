"""Kept patches drawn over the scene, with question and answers (Figs. 1, 5)."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mitheory.errors import MissingInputError
from mitheory.plot.patches import kept_patches, show

from . import labels, style
from .results import Results, Scene
from .spec import FigureSpec

MOST = 5  # questions side by side
RIGHT, WRONG = "#00694f", "#b03a00"


def data(results: Results) -> pd.DataFrame:
    """One row per drawn question and method: the kept tokens and the answers.

    The first question of each type that the run kept is drawn, at the second smallest budget it
    kept: nothing is picked.

    Raises
    ------
    MissingInputError
        If the run kept no sets, or the images of none of them.
    """
    if results.kept is None or results.kept.empty:
        raise MissingInputError("this run holds no kept.parquet, or an empty one")
    kept = results.kept[results.kept["sample_id"].isin(list(results.scenes))]
    if kept.empty:
        raise MissingInputError("scenes.parquet of this run holds no image of a kept sample")
    kept = kept[kept["budget"] == sorted(set(kept["budget"]))[:2][-1]]
    kept = kept.drop_duplicates(["setting", "sample_id"])[
        ["setting", "sample_id", "budget", "kept"]
    ]
    rows = results.family("method")
    rows = rows[rows["method"] != "full"].drop_duplicates(["setting", "budget", "sample_id"])
    table = kept.merge(rows, on=["setting", "sample_id", "budget"], how="inner")
    table = table[table["sample_id"].isin(_first_of_each_type(table))]
    full = results.full().set_index("sample_id")["prediction"]
    return pd.DataFrame(
        {
            "sample_id": table["sample_id"],
            "image_id": table["image_id"],
            "question_type": table["question_type"],
            "question": [results.scenes[s].question for s in table["sample_id"]],
            "answer": table["answer"],
            "all_tokens": table["sample_id"].map(full),
            "series": table["series"],
            "label": [labels.series_label(key) for key in table["series"]],
            "budget": table["budget"],
            "prediction": table["prediction"],
            "correct": table["correct"].astype(bool),
            "kept": [" ".join(str(int(i)) for i in indices) for indices in table["kept"]],
        }
    ).reset_index(drop=True)


def _first_of_each_type(table: pd.DataFrame) -> list[str]:
    first = table.drop_duplicates("question_type").set_index("question_type")["sample_id"]
    return [first[t] for t in labels.question_types(first.index)][:MOST]


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """Questions as columns, methods as rows; beside each image the answer that it led to."""
    images = scenes or {}
    first = table.drop_duplicates("question_type").set_index("question_type")["sample_id"]
    samples = [first[kind] for kind in labels.question_types(first.index)]
    keys = sorted(set(table["series"]), key=labels.series_rank)
    cells = table.set_index(["series", "sample_id"])
    figure = style.new_figure(style.PAGE, 0.68 * (len(keys) + 1) + 0.5)
    grid = figure.subplots(len(keys) + 1, len(samples), squeeze=False)
    for column, sample in enumerate(samples):
        about = table[table["sample_id"] == sample].iloc[0]
        top = grid[0, column]
        show(top, images[sample].image)
        top.set_title(_question(about), fontsize=6.6, fontweight="normal", loc="left")
        _answer(top, str(about["all_tokens"]), about["all_tokens"] == about["answer"])
        for row, key in enumerate(keys, start=1):
            ax = grid[row, column]
            if (key, sample) not in cells.index:
                ax.set_visible(False)
                continue
            cell = cells.loc[(key, sample)]
            over(ax, images[sample], cell["kept"])
            _answer(ax, str(cell["prediction"]), bool(cell["correct"]))
    for ax, key in zip(grid[:, 0], ["full", *keys], strict=True):
        ax.set_ylabel(
            "\n".join(textwrap.wrap(labels.series_label(key), 12, break_on_hyphens=False)),
            rotation=0, ha="right", va="center", fontsize=7,
        )  # fmt: skip
    return figure


def over(ax: Axes, scene: Scene, kept: str) -> None:
    """The scene with all but the kept patches faded; `kept` as it stands in the table."""
    kept_patches(scene.image, [int(i) for i in kept.split()], grid=scene.grid, ax=ax)


def _question(about: pd.Series) -> str:
    lines = textwrap.wrap(about["question"].replace(" ?", "?").replace(" ,", ","), 22)
    return "\n".join([*lines, f"(true: {about['answer']})"])


def _answer(ax: Axes, answer: str, correct: bool) -> None:
    mark = "✓" if correct else "✗"
    ax.set_anchor("W")  # the answer stands in what is left of the cell
    ax.text(
        1.07, 0.5, "\n".join([mark, *textwrap.wrap(answer, 9)]),
        transform=ax.transAxes, va="center", color=RIGHT if correct else WRONG, fontsize=6.8,
        fontweight="bold", in_layout=False,
    )  # fmt: skip


def _scenes(n: int) -> str:
    return "one scene" if n == 1 else f"{n} scenes"


def caption(table: pd.DataFrame) -> str:
    """The budget, and how many of the drawn questions each method answers rightly."""
    n = table["sample_id"].nunique()
    rights = table.groupby("label", sort=False)["correct"].sum()
    order = table.drop_duplicates("series").sort_values(
        "series", key=lambda column: column.map(labels.series_rank)
    )["label"]
    named = ", ".join(f"{label} {int(rights[label])}" for label in order)
    return (
        f"The {int(table['budget'].iloc[0])} patches that each method keeps, the others faded, and "
        "beside each image the answer with what is left; top: the whole image and the answer with "
        "all tokens. The first question of each type is drawn, none is picked; they are about "
        f"{_scenes(table['image_id'].nunique())}. "
        f"Right answers among these {n}: {named}. So few questions rank no methods."
    )


FIGURE = FigureSpec(
    name="kept_patches",
    title="What is kept",
    source="Figs. 1, 5",
    ids=("fig1", "fig5"),
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper's Figs. 1 and 5 are pictures of other images: there is no number to print.",
)
