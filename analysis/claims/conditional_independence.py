"""Eqs. (31)-(32): a patch is independent of the patches already kept, given the prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.style import BLUE, GRAY, PAGE, VERMILION, new_figure, theme
from mitheory.bundle import Sample
from mitheory.verdict import Effect, Kind, SmallestEffect, Verdict

from . import curves, draws
from .base import Claim, mean_effect
from .calibrated import measured
from .context import Context
from .dependence_tests import second_opinions, too_few
from .kept import budgets, in_order_of_choice, nearest
from .patches import FIT_IMAGES, RANK, RING, Reductions, described, fit_reductions, fits, place

NAME = "conditional_independence"
STATEMENT = "Given the prompt, a candidate patch is independent of the patches already kept."
SOURCE = "Eqs. (31)-(32), App. A.2; footnote 1, Sec. 2.3"
KIND: Kind = "empirical"
SMALLEST_EFFECT = SmallestEffect(
    0.05,
    "nats",
    "negligible",
    "what one pair of directions with a correlation of 0.31 carries: a tenth of its variance; "
    "assumed away, it moves the gain of Eq. (40) by no more",
)
DISTANCES = (1, 2, 4, 8)
SIZES = (1, 2, 4, 8)
HOW = (
    f"Patches are reduced to {RANK} principal components and the prompt to its linear prediction "
    "of them, both fitted on the other half of the images; images are the sample. The effect is "
    "the Gaussian estimate (of normal scores) of I(V_i; V_j | T) of neighbors, averaged over "
    f"{draws.DRAWS} draws of a place and of a question per image. Beside it: farther pairs, one "
    "patch against its 1 to 8 neighbors, a patch that MI-Pruner keeps against any and against the "
    "nearest other at each ratio; a nearest-neighbor estimate; the p-value of two tests with the "
    "size of one where the null holds by construction on these data; and how often this very "
    "decision is taken on such data, and on such data with a planted dependence. Where a "
    "dependence of twice the smallest effect would be missed too often, 'holds' is not said."
)
MEANING = {
    "violated": "Patches tell of each other what the prompt does not explain. Eq. (40) leaves this "
    "term out of the gain, mutual information with the prompt need not be submodular, and greedy "
    "selection by it has no 1 - 1/e. The score may still rank well: that is for the ablations.",
    "holds": "In the directions looked at, the term that Eq. (40) leaves out is negligible.",
    "inconclusive": "Too few images to tell whether the term that Eq. (40) leaves out matters.",
    "unassessed": "These data could not have shown a dependence that matters, or show that the "
    "instrument fails on them.",
}


def prepare(samples: Iterator[Sample], context: Context) -> Reductions | None:
    """Projections, each half's fitted on the other."""
    return fit_reductions(samples, context, ring=SIZES if "grid" in context.facts.fields else ())


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per image, draw and condition: a patch, others, and the prompt, all reduced."""
    reductions: Reductions | None = context.prepared[NAME]
    if reductions is None:
        return pd.DataFrame({"image_id": [s.image_id for s in samples]})
    kept: dict[str, NDArray[np.int64]] = {}
    rows = []
    for draw, seen in draws.by_draw(samples, context, reductions):
        sample = seen.sample
        if sample.sample_id not in kept:
            kept[sample.sample_id] = in_order_of_choice(sample, context)
        for condition, level, tokens in (
            *apart(draw, sample, context),
            *(around(draw, sample, context) if seen.ring else ()),
            *inside(draw, sample, kept[sample.sample_id], context),
        ):
            through = int(level) if condition == "neighbors" else None
            words: dict[str, Any] = {"condition": condition, "level": level}
            rows.append(draws.record(seen, draw, tokens, through=through, **words))
    return pd.DataFrame(rows)


Chosen = tuple[
    str, float, Sequence[int] | NDArray[np.int64]
]  # condition, its level, tokens with the patch first


def apart(draw: int, sample: Sample, context: Context) -> Iterator[Chosen]:
    """Pairs at each distance that the grid has."""
    grid = sample.grid or ()
    for distance in DISTANCES:
        offset = draws.at_distance(draw, distance)
        if fits(grid, offset):
            where = draws.where(context, f"distance {distance}", draw)
            yield "distance", distance, place(grid, where, offset)


def around(draw: int, sample: Sample, context: Context) -> Iterator[Chosen]:
    """A patch with the first 1, 2, 4, 8 of those around it."""
    grid = sample.grid or ()
    if fits(grid, RING):
        tokens = place(grid, draws.where(context, "ring", draw), RING)
        for size in SIZES:
            yield "neighbors", size, tokens[: 1 + size]


def inside(
    draw: int, sample: Sample, kept: NDArray[np.int64], context: Context
) -> Iterator[Chosen]:
    """A kept patch with any other, and with the nearest other, at each ratio that keeps two."""
    for ratio, budget in budgets(context, sample.n_v).items():
        if budget >= 2:
            chosen = kept[:budget]
            rng = context.rng(NAME, sample.sample_id, draw, str(ratio))
            one, other = rng.choice(chosen, size=2, replace=False)
            yield "ratio", ratio, (one, other)
            yield "nearest", ratio, (one, nearest(sample.grid or (), one, chosen[chosen != one]))


@draws.or_unassessed(NAME, KIND)
def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """The interval of I(V_i; V_j | T) of neighbors; abstains where it could not have shown any."""
    if context.prepared[NAME] is None:
        return CLAIM.unassessed(draws.UNREDUCED, context)
    if "condition" not in table:
        return CLAIM.unassessed("needs samples of at least two tokens", context)
    lead = table[(table["condition"] == "distance") & (table["level"] == 1)]
    lead = lead.reset_index(drop=True)
    if lead.empty or lead["image_id"].nunique() < CLAIM.min_images:
        return CLAIM.unassessed("needs grids of at least 1 x 2 tokens", context)
    if (reason := too_few(lead)) is not None:
        return CLAIM.unassessed(reason, context)
    effect = given_prompt(lead)
    alone = float(draws.over_draws(lead, draws.mutual("x", "y")).mean())
    kept = described(context.prepared[NAME])
    tests = second_opinions(
        lead,
        context,
        NAME,
        effect=given_prompt,
        smallest=SMALLEST_EFFECT,
        share=kept["variance_kept_of_patches"],
    )
    fields: dict[str, Any] = {
        "n": lead["image_id"].nunique(),
        "method": "Gaussian conditional information of normal scores, cross-fitted projections",
        "effect": effect,
        "caveats": caveats(context.prepared[NAME], context),
        "diagnostics": {
            "calibration": measured("cmi", draws.rows_at_once(lead), RANK),
            "I(V_i;V_j)": alone,
            "share_left_given_T": effect.value / alone if alone > 0 else None,
            "nearest_neighbors_I(V_i;V_j|T)": float(
                draws.over_draws(lead, draws.conditional("frenzel_pompe")).mean()
            ),
            "tests": tests.to_json(),
            "by_condition": by_condition(table),
            **kept,
        },
    }
    verdict = CLAIM.verdict(context, **fields)
    return CLAIM.verdict(context, **fields, reason=tests.why_abstain(verdict.decision))


def given_prompt(rows: pd.DataFrame) -> Effect:
    """I(V_i; V_j | T) of rows, with its error over images."""
    given = draws.over_draws(rows, draws.conditional())
    return mean_effect("I(V_i; V_j | T) of neighbors", "nats", given, rows["image_id"])


def caveats(reductions: Reductions, context: Context) -> tuple[str, ...]:
    """What the number does not show."""
    share = 100 * described(reductions)["variance_kept_of_patches"]
    return (
        f"Only what shows in {RANK} components ({share:.0f}% of the variance of patches) and in "
        "correlations of normal scores: dependence elsewhere is not seen, so 'holds' is about "
        "these directions.",
        "The prompt counts through its mean word's linear prediction of a patch.",
        "Two patches of a kept set stand at places that depend on the image; for pairs at a "
        "distance the place is the same in all images of a draw.",
        f"Projections are fitted on at most {FIT_IMAGES} images.",
    )


def by_condition(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Information with and without the prompt, per condition and level, with 95% intervals."""
    found = []
    for key, rows in table.groupby(["condition", "level"], sort=True):
        condition, level = cast(tuple[str, float], key)
        rows = rows.reset_index(drop=True)
        entry: dict[str, Any] = {"condition": condition, "level": float(level)}
        for name, estimator in (("given", draws.conditional()), ("alone", draws.mutual("x", "y"))):
            entry |= curves.entry(name, draws.over_draws(rows, estimator), rows["image_id"])
        found.append({**entry, "images": int(rows["image_id"].nunique())})
    return found


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Information between patches, with and without the prompt, under each condition."""
    found = pd.DataFrame(verdict.diagnostics.get("by_condition", []))
    panels = (
        ("distance", "a pair", "distance (patches)"),
        ("neighbors", "with its neighbors", "neighbors in V_S"),
        ("ratio", "any two kept", "share kept by MI-Pruner"),
        ("nearest", "two kept side by side", "share kept by MI-Pruner"),
    )
    with theme():
        figure = new_figure(PAGE, 2.3)
        axes = figure.subplots(1, len(panels), sharey=True)
        for ax, (condition, title, label) in zip(axes, panels, strict=True):
            here = found[found["condition"] == condition] if len(found) else found
            for name, color, text, shift in (
                ("alone", GRAY, "$I(V_i; V_S)$", 0.95),
                ("given", VERMILION, "$I(V_i; V_S \\mid T)$", 1.05),
            ):
                curves.errorbars(ax, here, "level", name, color=color, label=text, shift=shift)
            curves.levels(ax, here, "level", ".2g")
            half = SMALLEST_EFFECT.value
            ax.axhspan(-half, half, color=BLUE, alpha=0.15, linewidth=0)
            ax.set_title(title)
            ax.set_xlabel(label)
        axes[0].set_ylabel("information (nats),\n95% over images")
        axes[0].legend()
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
