"""The matrices of MI-Pruner on a real question (Fig. 3)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mitheory.errors import MissingInputError
from mitheory.plot.matrices import SATURATED, heat, saturation
from mitheory.plot.patches import kept_patches

from . import style
from .results import Results, Scene
from .spec import FigureSpec

UPPER = (
    ("V", "V", "V"),
    ("cross_similarity", "ρ cross (Eq. 15)", "nats"),
    ("cross_conditional", "p(t | v) (Eq. 16)", "p"),
    ("cross_pmi", "PMI(v; t) (Eq. 18)", "nats"),
)
LOWER = (
    ("self_similarity", "ρ self (Eq. 15)", "nats"),
    ("self_conditional", "p(v' | v) (Eq. 16)", "p"),
    ("self_pmi", "PMI(v; v') (Eq. 18)", "nats"),
)
SIGNED = ("V", "T", "cross_pmi", "self_pmi")


def data(results: Results) -> pd.DataFrame:
    """Matrices, words and choices of one question in one table.

    Returns
    -------
    DataFrame
        ``matrix``, ``row``, ``column``, ``value`` of each matrix; matrix "words" with the word in
        ``text``, and "relevance", "redundancy" and "score" with the step in ``row`` and the token
        in ``column``; the sample and its question in ``sample_id`` and ``text`` of "question".

    Raises
    ------
    MissingInputError
        If the run lacks the study, or the image of its question.
    """
    matrices, words = results.study("scene_matrices"), results.study("scene_words")
    picks = results.study("scene_picks")
    sample = str(words["sample_id"].iloc[0])
    if sample not in results.scenes:
        raise MissingInputError(f"scenes.parquet of this run holds no image of {sample}")
    parts = [matrices, pd.DataFrame({"matrix": "words", "column": words["column"]})]
    parts[-1]["text"] = words["word"]
    parts += [
        pd.DataFrame(
            {"matrix": n, "row": picks["step"], "column": picks["index"], "value": picks[n]}
        )
        for n in ("relevance", "redundancy", "score")
    ]
    parts.append(pd.DataFrame([{"matrix": "question", "text": results.scenes[sample].question}]))
    return pd.concat(parts, ignore_index=True).assign(sample_id=sample)


def matrix(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """A matrix of the table, (rows, columns)."""
    cells = table[table["matrix"] == name]
    wide = cells.pivot(index="row", columns="column", values="value")
    return wide.to_numpy(float)


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """Words above, patches below, left to right as in the paper; last the choices."""
    scene = (scenes or {})[table["sample_id"].iloc[0]]
    chosen = [int(i) for i in table.loc[table["matrix"] == "score", "column"]]
    figure = style.new_figure(style.PAGE, 4.9)
    axes = figure.subplots(2, 5, width_ratios=(1, 1, 1, 1, 0.95))
    words = list(table.loc[table["matrix"] == "words", "text"])
    for ax, (name, title, unit) in zip(axes[0, :4], UPPER, strict=True):
        _heat(ax, matrix(table, name), title, unit, signed=name in SIGNED)
        if name.startswith("cross"):
            ax.set_xticks(range(len(words)), words, rotation=90, fontsize=5.2)
    axes[0, 0].set_ylabel("patch")
    axes[0, 0].set_xlabel("component")
    _word_row(axes[0, 2], matrix(table, "text_marginal")[0])
    for ax, (name, title, unit) in zip(axes[1, :3], LOWER, strict=True):
        _heat(ax, matrix(table, name), title, unit, signed=name in SIGNED)
        ax.set_xlabel("patch")
    axes[1, 0].set_ylabel("patch")
    _relevance(axes[1, 3], table)
    _steps(axes[1, 4], table)
    kept_patches(scene.image, chosen, grid=scene.grid, order=True, ax=axes[0, 4])
    axes[0, 4].set_title(f"kept: {len(chosen)}")
    axes[0, 4].axis("off")
    return figure


def _heat(ax: Axes, values: NDArray[np.float64], title: str, unit: str, *, signed: bool) -> None:
    """A matrix; where signs matter white is 0 and the 1% farthest out saturate."""
    if signed:
        limit = saturation(values)
        ends, cmap = (-limit, limit), "PuOr_r"
    else:
        ends, cmap = (float(values.min()), float(np.quantile(values, 1 - SATURATED))), "cividis"
    heat(ax, values, title=title, unit="" if unit == "V" else unit, cmap=cmap, ends=ends, small=5.5)


def _word_row(ax: Axes, marginal: NDArray[np.float64]) -> None:
    """p(t), Eq. (17), in numbers over its column."""
    for x, value in enumerate(marginal):
        ax.text(
            x, 3, f"{value:.2f}", rotation=90, fontsize=4.6, color="white", ha="center", va="top"
        )


def _relevance(ax: Axes, table: pd.DataFrame) -> None:
    """S^cross of every patch, sorted, those that are chosen marked."""
    relevance = matrix(table, "cross_pmi").max(axis=1)
    order = np.argsort(-relevance, kind="stable")
    chosen = set(table.loc[table["matrix"] == "score", "column"].astype(int))
    is_chosen = np.array([i in chosen for i in order])
    rank = np.arange(1, len(order) + 1)
    ax.plot(rank, relevance[order], color=style.GRAY, linewidth=0.8)
    look = style.look("mi_pruner")
    ax.plot(
        rank[is_chosen], relevance[order][is_chosen], linestyle="", marker="o", markersize=3,
        color=look.color,
    )  # fmt: skip
    ax.set_title("S cross (Eq. 19), ● kept", fontsize=6.6)
    ax.set_xlabel("rank of the patch")
    ax.set_ylabel("nats", labelpad=1)


def _steps(ax: Axes, table: pd.DataFrame) -> None:
    """The terms of Eq. (22) at each choice."""
    lines = (("relevance", "o", "-"), ("redundancy", "s", "--"), ("score", "^", ":"))
    colors = ("#0072B2", "#D55E00", "#000000")
    for (name, marker, line), color in zip(lines, colors, strict=True):
        cells = table[table["matrix"] == name]
        ax.plot(
            cells["row"] + 1, cells["value"], marker=marker, linestyle=line, color=color,
            markersize=2.8, linewidth=1, label=name,
        )  # fmt: skip
    ax.set_title("terms (Eq. 22)", fontsize=6.6)
    ax.set_xlabel("step")
    ax.set_ylabel("nats", labelpad=1)
    ax.legend(fontsize=5.2, handlelength=1.8, loc="best")


def caption(table: pd.DataFrame) -> str:
    """The question, and the terms of the first and the last choice."""
    steps = {
        n: table[table["matrix"] == n]["value"].to_numpy(float) for n in ("relevance", "score")
    }
    redundancy = table[table["matrix"] == "redundancy"]["value"].to_numpy(float)
    question = table.loc[table["matrix"] == "question", "text"].iloc[0]
    pmi = matrix(table, "cross_pmi")
    words = list(table.loc[table["matrix"] == "words", "text"])
    pivots = pd.Series([words[j] for j in pmi.argmax(axis=1)]).value_counts()
    named = ", ".join(f"“{word}” {n}" for word, n in pivots.items())
    return (
        f"Every step of MI-Pruner on “{question}” (τ = 0.1, λ = 0.5): above, of the {len(pmi)} "
        f"patches with the {len(words)} words, the numbers in p(t | v) being p(t) of Eq. (17); "
        "below, of the patches with one another. Violet is negative, orange positive, and the 1% "
        "farthest from 0 saturate. The word with the largest PMI, by number of patches: "
        f"{named}. The first choice has relevance {steps['relevance'][0]:.2f} nats; the last, of "
        f"{len(redundancy)}, relevance {steps['relevance'][-1]:.2f}, redundancy "
        f"{redundancy[-1]:.2f} and score {steps['score'][-1]:.2f}. The numbers on the image are "
        "the order of choice."
    )


FIGURE = FigureSpec(
    name="matrices",
    title="Every matrix of MI-Pruner on one question",
    source="Fig. 3",
    ids=("fig3",),
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper's Fig. 3 is a toy without numbers; this is a question that nobody picked.",
)
