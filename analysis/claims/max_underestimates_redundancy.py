"""Eq. (20) takes the nearest kept patch for all: by how much that underestimates redundancy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

from analysis.style import BLUE, GREEN, PAGE, VERMILION, new_figure, theme
from mitheory.bundle import Sample
from mitheory.setfunctions import ChowLiuMI
from mitheory.verdict import Kind, SmallestEffect, Verdict

from . import curves, draws
from .base import Claim, mean_effect
from .calibrated import measured
from .context import Context, fold
from .dependence_tests import too_few
from .patches import (
    FIT_IMAGES,
    RANK,
    RING,
    Reductions,
    described,
    fit_reductions,
    fits,
    place,
    unit,
)

NAME = "max_underestimates_redundancy"
STATEMENT = (
    "Redundancy with a kept set exceeds redundancy with its single most redundant member, which is "
    "all that the maximum of Eq. (20) counts."
)
SOURCE = "Eq. (20), Sec. 3.2, against Eq. (38), App. A.2"
KIND: Kind = "empirical"
SMALLEST_EFFECT = SmallestEffect(
    0.05,
    "nats",
    "at_least",
    "what one pair of directions with a correlation of 0.31 carries: a tenth of its variance. That "
    "the difference is not negative is a theorem; this is the least that could change a choice",
)
SIZES = (1, 2, 4, 8)
HOW = (
    f"A patch and its 8 neighbors, each reduced to {RANK} principal components. I(V_i; V_S) of the "
    "first 1, 2, 4, 8 neighbors, through the best of them and their linear prediction, against the "
    "largest I(V_i; V_j) among them: the same Gaussian estimator and images. "
    "Projections and predictions are fitted on the other half of the images. The effect is the "
    f"difference at all 8, averaged over {draws.DRAWS} places. Beside it, the order-free relative "
    "of the maximum: by how much a patch raises the heaviest spanning tree of pairwise "
    "informations (Chow and Liu)."
)
MEANING = {
    "holds": "Several kept neighbors together tell more of a patch than the nearest of them: max "
    "aggregation sees too little redundancy and keeps patches that the kept set already predicts.",
    "violated": "On these embeddings one kept patch says nearly all that the kept set says; the "
    "maximum is a fair stand-in for redundancy.",
    "inconclusive": "Too few images to tell whether the maximum misses redundancy that matters.",
}


def prepare(samples: Iterator[Sample], context: Context) -> Reductions | None:
    """Projections and predictions from neighbors, each half's fitted on the other."""
    return fit_reductions(samples, context, ring=SIZES)


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per image and draw: a patch x, its neighbors n0_, n1_, ..., predictions s1_, s2_, ...."""
    reductions: Reductions | None = context.prepared[NAME]
    if reductions is None or not all(half.ring for half in reductions):
        return pd.DataFrame({"image_id": [s.image_id for s in samples]})
    one_of_each = {s.image_id: s for s in sorted(samples, key=lambda s: s.sample_id)}
    rows: list[dict[str, Any]] = []
    for image, sample in sorted(one_of_each.items()):
        half = fold(image)
        if fits(sample.grid or (), RING):
            for draw in range(draws.DRAWS):
                where = draws.where(context, "ring", draw)
                tokens = place(sample.grid or (), where, RING)
                patches = reductions[half].patch(unit(sample.visual[tokens]))  # (9, RANK)
                parts = {"x": patches[0]}
                parts |= {f"n{j}_": patch for j, patch in enumerate(patches[1:])}
                for size, predict in reductions[half].ring.items():
                    parts[f"s{size}_"] = predict(patches[1 : 1 + size].ravel())
                numbers = {f"{k}{i}": float(v) for k, p in parts.items() for i, v in enumerate(p)}
                rows.append({"image_id": image, "draw": draw, "fold": half, **numbers})
    return pd.DataFrame(rows)


@draws.or_unassessed(NAME, KIND)
def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """The interval of I(V_i; V_S) - max_j I(V_i; V_j) at all eight neighbors."""
    if context.prepared[NAME] is None:
        return CLAIM.unassessed(draws.UNREDUCED, context)
    if "draw" not in table or table["image_id"].nunique() < CLAIM.min_images:
        return CLAIM.unassessed(
            f"needs grids of at least 3 x 3 tokens in {CLAIM.min_images} images", context
        )
    if (reason := too_few(table)) is not None:
        return CLAIM.unassessed(reason, context)
    table = table.reset_index(drop=True)
    single = [draws.over_draws(table, draws.mutual("x", f"n{j}_")) for j in range(len(RING))]
    tree = tree_gains(table)
    found, gaps = [], {}
    for size in SIZES:
        first = max(range(size), key=lambda j: float(single[j].mean()))
        best = single[first]
        joint = best
        if size > 1:  # what the prediction adds to the most redundant: at least 0 in truth
            joint = draws.over_draws(table, draws.mutual("x", f"n{first}_", f"s{size}_"))
        gaps[size] = joint - best
        entry: dict[str, Any] = {"size": size, "tree": tree[size]}
        for name, rows in (("joint", joint), ("max", best), ("gap", gaps[size])):
            entry |= curves.entry(name, rows, table["image_id"])
        found.append(entry)
    alone = draws.over_draws(table, draws.mutual("x", f"s{max(SIZES)}_"))
    return CLAIM.verdict(
        context,
        n=table["image_id"].nunique(),
        method="Gaussian informations of normal scores, cross-fitted projections",
        effect=mean_effect(
            "I(V_i; V_S) - max I(V_i; V_j), 8 neighbors",
            "nats",
            gaps[max(SIZES)],
            table["image_id"],
        ),
        caveats=(
            "Information about random patches, not the PMI of Eq. (20): the same inequality for "
            "the quantity that the PMI stands for.",
            "A prediction fitted on other images can only lose information, and the largest of "
            "several estimates is too large on average: the difference is underestimated, "
            "the more so where components have heavy tails, which a linear prediction meets badly.",
            "How the set is reduced matters: the diagnostics give the difference with the set seen "
            "through its prediction alone, which the best member is not part of.",
            "V_S is the ring around a patch; a kept set is sparser.",
            "That the best member counts beside the prediction was decided after a look at one "
            "bundle (the fruit-fly's test split, where the prediction alone gave .06 [-.01, .12]); "
            "on an untouched one (validation split, 320 images) it came to .39 [.35, .43].",
        ),
        diagnostics={
            "calibration": measured("mi", draws.rows_at_once(table), RANK),
            "by_size": found,
            "difference_through_the_prediction_alone": curves.entry(
                "gap", alone - (joint - gaps[max(SIZES)]), table["image_id"]
            ),
            "share_missed_by_the_maximum": found[-1]["gap"] / found[-1]["joint"]
            if found[-1]["joint"] > 0
            else None,
            **described(context.prepared[NAME]),
        },
    )


def tree_gains(table: pd.DataFrame) -> dict[int, float]:
    """By |S|: weight of the heaviest spanning tree of S and the patch, less that of S, nats."""
    names = ["x", *(f"n{j}_" for j in range(len(RING)))]
    weights = torch.zeros(len(names), len(names), dtype=torch.float64)
    for (i, a), (j, b) in combinations(enumerate(names), 2):
        each = draws.over_draws(table, draws.mutual(a, b))
        weights[i, j] = weights[j, i] = max(0.0, float(each.mean()))  # below 0: no link
    tree = ChowLiuMI(torch.zeros(len(names), dtype=torch.float64), weights)
    return {m: tree.value(range(1, 1 + m)) - tree.value(range(1 + m)) for m in SIZES}


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Redundancy of a patch with its neighbors: of the set, of the nearest, of the tree."""
    found = pd.DataFrame(verdict.diagnostics.get("by_size", []))
    with theme():
        figure = new_figure(PAGE * 0.85, 2.3)
        axes = figure.subplots()
        for name, color, label in (
            ("joint", VERMILION, "the whole set, $I(V_i; V_S)$"),
            ("max", BLUE, "its most redundant, $\\max_j\\, I(V_i; V_j)$"),
        ):
            curves.errorbars(axes, found, "size", name, color=color, label=label)
        if len(found):
            axes.plot(
                found["size"], found["tree"], color=GREEN, linestyle="--", marker="s",
                linewidth=1.1, label="Chow-Liu tree of the set",
            )  # fmt: skip
        curves.levels(axes, found, "size", "d")
        axes.legend(title="redundancy of a patch with", loc="upper left", bbox_to_anchor=(1, 1))
        axes.set_xlabel("neighbors in V_S")
        axes.set_ylabel("information (nats),\n95% over images")
    return figure


CLAIM = Claim(
    name=NAME,
    statement=STATEMENT,
    source=SOURCE,
    kind=KIND,
    smallest_effect=SMALLEST_EFFECT,
    how=HOW,
    meaning=MEANING,
    measure=measure,
    judge=judge,
    draw=draw,
    needs=("grid",),
    max_images=1024,
    prepare=prepare,
    prepare_images=FIT_IMAGES,
)
evaluate = CLAIM.evaluate
