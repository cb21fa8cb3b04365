"""The sharpest test of Eq. (31): what a patch tells of its neighbor, the prompt must tell of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.style import BLUE, PAGE, VERMILION, new_figure, theme
from mitheory.bundle import Sample
from mitheory.independence.processing import info_nce
from mitheory.verdict import Effect, Kind, SmallestEffect, Verdict

from . import curves, draws
from .base import Claim, mean_effect
from .calibrated import measured
from .context import Context
from .dependence_tests import decisions, too_few, why_blind
from .patches import FIT_IMAGES, RANK, Reductions, described, fit_reductions, fits, place

NAME = "data_processing"
STATEMENT = (
    "A patch tells no more of a kept patch than the prompt tells of it, as must be if they are "
    "independent given the prompt."
)
SOURCE = "Eq. (31), App. A.2, by data processing: V_S - T - V_i is a Markov chain"
KIND: Kind = "empirical"
SMALLEST_EFFECT = SmallestEffect(
    0.05,
    "nats",
    "at_most",
    "what one pair of directions with a correlation of 0.31 carries: a tenth of its variance. Any "
    "excess above 0 refutes independence given the prompt; this is the least that is called one",
)
DISTANCES = (1, 2, 4, 8)
HOW = (
    f"Patches are reduced to {RANK} principal components, the prompt to its linear prediction of "
    "them, both fitted on the other half of the images. I(V_i; V_j) of neighbors and I(V_i; T) are "
    "estimated by the same Gaussian estimator (of normal scores) on the same images in the same "
    "number of dimensions, so that its bias cancels to first order. The effect is the excess of "
    f"the first, averaged over {draws.DRAWS} draws of a place and of a question per image."
)
MEANING = {
    "violated": "Neighbors tell more of each other than the prompt tells of either: no prompt "
    "that carries so little can make them independent. The assumption behind Eq. (40) and the "
    "guarantee of greedy selection is refuted here, without any estimate of a conditional "
    "information.",
    "holds": "This necessary condition is met; independence given the prompt is not shown by it.",
    "inconclusive": "Too few images to tell which of the two is larger.",
    "unassessed": "Neither could have been seen on these data, or there is nothing to compare.",
}


def prepare(samples: Iterator[Sample], context: Context) -> Reductions | None:
    """Projections, each half's fitted on the other."""
    return fit_reductions(samples, context)


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per image, draw and distance: a patch, another, and the prompt, all reduced."""
    reductions: Reductions | None = context.prepared[NAME]
    if reductions is None:
        return pd.DataFrame({"image_id": [s.image_id for s in samples]})
    rows: list[dict[str, Any]] = []
    for draw, seen in draws.by_draw(samples, context, reductions):
        grid = seen.sample.grid or ()
        for distance in DISTANCES:
            offset = draws.at_distance(draw, distance)
            if fits(grid, offset):
                where = draws.where(context, f"distance {distance}", draw)
                tokens = place(grid, where, offset)
                words: dict[str, Any] = {"question": seen.sample.question, "distance": distance}
                rows.append(draws.record(seen, draw, tokens, **words))
    return pd.DataFrame(rows)


def excess(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Contribution of every row to I(V_i; V_j) - I(V_i; T)."""
    pair, prompt = (draws.over_draws(rows, draws.mutual("x", other)) for other in "yz")
    return pair - prompt


def excess_effect(rows: pd.DataFrame) -> Effect:
    """I(V_i; V_j) - I(V_i; T) with its error over images."""
    return mean_effect("I(V_i; V_j) - I(V_i; T)", "nats", excess(rows), rows["image_id"])


@draws.or_unassessed(NAME, KIND)
def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """The interval of the excess of neighbors."""
    if context.prepared[NAME] is None:
        return CLAIM.unassessed(draws.UNREDUCED, context)
    if "distance" not in table or not (table["distance"] == 1).any():
        return CLAIM.unassessed("needs grids of at least 1 x 2 tokens", context)
    lead = table[table["distance"] == 1].reset_index(drop=True)
    if (reason := too_few(lead)) is not None:
        return CLAIM.unassessed(reason, context)
    found = by_distance(table)
    prompts = int(table["question"].nunique())
    fields: dict[str, Any] = {
        "n": lead["image_id"].nunique(),
        "method": "Gaussian informations of normal scores, cross-fitted projections",
        "effect": excess_effect(lead),
        "caveats": (
            "Correlations in a few components only: dependence that does not show there is not "
            "counted, on either side.",
            "The prompt counts through its mean word's linear prediction of a patch; what it says "
            "beyond that would lower the excess. The bound by the number of distinct prompts in "
            "the diagnostics needs no such step, but is far larger.",
        ),
        "diagnostics": {
            "calibration": measured("mi", draws.rows_at_once(lead), RANK),
            "by_distance": found,
            "nearest_neighbors_excess": nearest_neighbors(lead),
            "rigorous": without_bias(lead, prompts, context),
            **described(context.prepared[NAME]),
        },
    }
    verdict = CLAIM.verdict(context, **fields)
    if verdict.decision == "holds" and found[0]["prompt"] < SMALLEST_EFFECT.value:
        return CLAIM.verdict(context, **fields, reason=blindness(lead, context))
    return verdict


def blindness(lead: pd.DataFrame, context: Context) -> str | None:
    """Why "no more than the prompt" says little where the prompt itself says nothing."""
    share = described(context.prepared[NAME])["variance_kept_of_patches"]
    nats = 2 * SMALLEST_EFFECT.value * share
    rng = context.rng(NAME, "planted")
    found = decisions(lead, excess_effect, SMALLEST_EFFECT, nats=nats, rng=rng)
    return why_blind(found, nats)


def without_bias(lead: pd.DataFrame, prompts: int, context: Context) -> dict[str, Any]:
    """A lower bound of I(V_i; V_j) against log of the number of prompts, at least I(V_i; T)."""
    first = lead[lead["draw"] == 0]
    half = max((first[first["fold"] == k] for k in (0, 1)), key=len)
    x, y = draws.values(half, "x"), draws.values(half, "y")
    bound, ceiling = info_nce(x, y, rng=context.rng(NAME, "bound"))
    return {
        "distinct_prompts": prompts,
        "log_distinct_prompts": math.log(prompts),
        "lower_bound_of_pair": bound.value,
        "its_lower_end": bound.low,
        "the_most_it_can_reach": ceiling,
        "refutes": bound.low > math.log(prompts),
    }


def nearest_neighbors(rows: pd.DataFrame) -> float:
    """The same excess by an estimator that assumes no Gaussian, and is biased to zero."""
    pair, prompt = (
        draws.over_draws(rows, draws.mutual("x", other, estimator="ksg")) for other in "yz"
    )
    return float((pair - prompt).mean())


def by_distance(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Both informations per distance, with 95% intervals."""
    found = []
    for distance, rows in table.groupby("distance", sort=True):
        rows = rows.reset_index(drop=True)
        entry: dict[str, Any] = {
            "distance": int(cast(int, distance)),
            "images": rows["image_id"].nunique(),
        }
        for name, other in (("pair", "y"), ("prompt", "z")):
            contribution = draws.over_draws(rows, draws.mutual("x", other))
            entry |= curves.entry(name, contribution, rows["image_id"])
        found.append(entry)
    return found


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """What another patch, and what the prompt, tell of a patch, against distance."""
    found = pd.DataFrame(verdict.diagnostics.get("by_distance", []))
    with theme():
        figure = new_figure(PAGE * 0.6, 2.3)
        axes = figure.subplots()
        for name, color, label in (
            ("pair", VERMILION, "another patch, $I(V_i; V_j)$"),
            ("prompt", BLUE, "the prompt, $I(V_i; T)$"),
        ):
            curves.errorbars(axes, found, "distance", name, color=color, label=label)
        curves.levels(axes, found, "distance", "d")
        axes.legend(title="what tells of a patch")
        axes.set_xlabel("distance of the pair (patches)")
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
