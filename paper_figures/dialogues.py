"""Questions, kept patches and answers of two methods at every budget (Fig. 7)."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mitheory.errors import MissingInputError

from . import kept_patches, labels, style
from .results import Results, Scene
from .spec import FigureSpec

METHODS = ("mi_pruner", "cls_attention")  # the paper: MI-Pruner and VisionZip, by [CLS] attention
MOST = 5


def data(results: Results) -> pd.DataFrame:
    """One row per drawn question, method and budget: kept tokens, answer, probability of the truth.

    Raises
    ------
    MissingInputError
        If the run kept no sets of these methods, or the images of none of them.
    """
    if results.kept is None:
        raise MissingInputError("this run holds no kept.parquet")
    kept = results.kept[results.kept["sample_id"].isin(list(results.scenes))]
    rows = results.family("method")
    rows = rows[rows["series"].isin(METHODS)].drop_duplicates(["setting", "budget", "sample_id"])
    columns = ["setting", "sample_id", "budget", "kept"]
    table = kept[columns].merge(rows, on=columns[:3], how="inner")
    if table.empty:
        raise MissingInputError(f"this run kept no set of {METHODS} with an image")
    full = results.full().set_index("sample_id")
    drawn = table.drop_duplicates("question_type").set_index("question_type")["sample_id"]
    chosen = [drawn[kind] for kind in labels.question_types(drawn.index)][:MOST]
    table = table[table["sample_id"].isin(chosen)]
    return pd.DataFrame(
        {
            "sample_id": table["sample_id"],
            "question": [results.scenes[s].question for s in table["sample_id"]],
            "answer": table["answer"],
            "all_tokens": table["sample_id"].map(full["prediction"]),
            "all_tokens_probability": np.exp(table["sample_id"].map(full["log_prob"])),
            "series": table["series"],
            "label": [labels.series_label(key) for key in table["series"]],
            "budget": table["budget"],
            "ratio": table["ratio"],
            "prediction": table["prediction"],
            "correct": table["correct"].astype(bool),
            "probability": np.exp(table["log_prob"].to_numpy(float)),
            "kept": [" ".join(str(int(i)) for i in indices) for indices in table["kept"]],
        }
    ).reset_index(drop=True)


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """A question per row: the whole image, then each method at falling budgets."""
    images = scenes or {}
    samples = list(dict.fromkeys(table["sample_id"]))
    budgets = sorted(set(table["budget"]), reverse=True)
    places = [(key, budget) for key in METHODS for budget in budgets]
    cells = {
        (row["sample_id"], row["series"], row["budget"]): row for row in table.to_dict("records")
    }
    figure = style.new_figure(style.PAGE, 0.98 * len(samples) + 0.35)
    grid = figure.subplots(len(samples), len(places) + 1, squeeze=False)
    ratio = table.drop_duplicates("budget").set_index("budget")["ratio"]
    for axes, sample in zip(grid, samples, strict=True):
        about = table[table["sample_id"] == sample].iloc[0]
        question = about["question"].replace(" ?", "?").replace(" ,", ",")
        axes[0].set_ylabel(
            "\n".join([*textwrap.wrap(question, 20), f"(true: {about['answer']})"]),
            rotation=0, ha="right", va="center", fontsize=6.2,
        )  # fmt: skip
        kept_patches.show(axes[0], images[sample].image)
        is_right = about["all_tokens"] == about["answer"]
        _say(axes[0], about["all_tokens"], float(about["all_tokens_probability"]), bool(is_right))
        for ax, (key, budget) in zip(axes[1:], places, strict=True):
            if (sample, key, budget) not in cells:
                ax.set_visible(False)
                continue
            cell = cells[sample, key, budget]
            kept_patches.over(ax, images[sample], cell["kept"])
            _say(ax, cell["prediction"], float(cell["probability"]), bool(cell["correct"]))
    grid[0, 0].set_title("all\n100%", fontsize=6.2, loc="center")
    for ax, (key, budget) in zip(grid[0, 1:], places, strict=True):
        share = labels.percent(float(ratio[budget]))
        name = labels.series_label(key).replace(" ", "\n") if len(budgets) < 3 else ""
        first = labels.series_label(key) if budget == budgets[0] and not name else name
        ax.set_title(f"{first}\n{share}%", fontsize=6.2, loc="left" if first else "center")
    return figure


def _say(ax: Axes, answer: object, probability: float, correct: bool) -> None:
    ax.set_xlabel(
        f"{'✓' if correct else '✗'} {answer}\np(true) {probability:.2f}", fontsize=5.6, labelpad=2,
        color=kept_patches.RIGHT if correct else kept_patches.WRONG,
    )  # fmt: skip


def caption(table: pd.DataFrame) -> str:
    """Right answers and the mean probability of the truth, by method and budget."""
    parts = []
    for key in METHODS:
        rows = table[table["series"] == key]
        for budget, cell in rows.groupby("budget", sort=False):
            parts.append(
                f"{labels.series_label(key)} at {budget} tokens {int(cell['correct'].sum())} "
                f"(mean p(true) {cell['probability'].mean():.2f})"
            )
    n = table["sample_id"].nunique()
    return (
        "Left the whole image, then what each method keeps at falling budgets, the rest faded; "
        "under each image the answer with what is left and the probability of the true word. The "
        "first question of each type is drawn, none is picked. Right answers among these "
        f"{n}: {'; '.join(parts)}. So few questions rank no methods. The fruit-fly answers in one "
        "word: it cannot lose the instruction to do so, as Fig. 7 shows of VisionZip."
    )


FIGURE = FigureSpec(
    name="dialogues",
    title="Answers as fewer tokens are kept",
    source="Fig. 7",
    ids=("fig7",),
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper's Fig. 7 prints answers of Qwen2.5VL-7B about two photographs, no number.",
)
