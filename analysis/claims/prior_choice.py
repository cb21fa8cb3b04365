"""Conclusion, App. A.4: whether another prior than the uniform one refines the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from analysis.style import BLUE, ORANGE, PAGE, new_figure, theme
from mitheory.bundle import Sample
from mitheory.pmi import cross_pmi
from mitheory.priors import PRIORS, PriorContext
from mitheory.verdict import Kind, SmallestEffect, Verdict

from . import keeping
from .base import Claim, mean_effect
from .context import Context

NAME = "prior_choice"
STATEMENT = "A prior of visual tokens other than the uniform one refines the result."
SOURCE = "Limitations (Sec. 6), App. A.4, Eq. (17)"
KIND: Kind = "empirical"
SMALLEST_EFFECT = SmallestEffect(
    0.02,
    "share",
    "at_least",
    "one relevant patch in fifty, as for mi_beats_cosine: a prior has to earn its inputs",
)
UNIFORM = "uniform"
OTHERS = tuple(name for name in PRIORS if name != UNIFORM)
HOW = (
    "MI-Pruner at the audited τ and λ, at the budget nearest to a ninth of all tokens, under every "
    "prior that the library knows: stationary, energy, center-biased, rule of thirds, golden ratio "
    "(the last two are the paper's suggestions). The effect is the paired gain over the uniform "
    "prior, in the share of relevant patches kept, of the prior that is best on the other half of "
    "the images. As a control of the priors of position, each is also moved by half the grid along "
    "both axes (as on a torus): a gain that a moved prior has as well does not come from knowing "
    "where things are. Beside it: the overlap of the kept set with the uniform one's, and the mean "
    "relevance (max PMI under the uniform prior) of what is kept, which is known without masks."
)
MEANING = {
    "holds": "Some other prior keeps more of what is asked about. If it does so when moved by half "
    "the grid as well, it is not because it knows where things are: a peaked prior changes the "
    "scale of the redundancy penalty, which λ does with less ado.",
    "violated": "No prior on offer beats the uniform one by two points: leave it uniform.",
    "inconclusive": "Too few questions to tell the uniform prior from the best of the others.",
}
GRIDLESS = ("stationary", "energy")
MOVED = "moved "  # before the name of a prior of position that was moved


def offered_to(context: Context) -> tuple[str, ...]:
    """Those that can be computed: unless every sample has a grid there is none of position."""
    return OTHERS if "grid" in context.facts.fields else GRIDLESS


def moved(name: str) -> Callable[[Sample], Tensor]:
    """A prior of position (n_v,), moved by half the grid along rows and columns."""

    def prior(sample: Sample) -> Tensor:
        grid = sample.grid or (1, sample.n_v)
        found = PRIORS[name](PriorContext(n_v=sample.n_v, grid=grid, dtype=sample.visual.dtype))
        frames = found.exp().view(-1, *grid[:2])
        return frames.roll((grid[0] // 2, grid[1] // 2), (1, 2)).flatten()

    return prior


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per sample and prior: share of relevant patches kept, mean relevance, overlap."""
    names = (UNIFORM, *offered_to(context))
    kept = {name: keeping.keep(samples, context, prior=name) for name in names}
    for name in sorted({*names} - {UNIFORM, *GRIDLESS}):
        kept[MOVED + name] = keeping.keep(samples, context, prior=moved(name))
    rows: list[dict[str, Any]] = []
    for i, sample in enumerate(samples):
        relevance = cross_pmi(
            sample.visual.double(),
            sample.text.double(),
            temperature=context.temperature,
            zero_norm="uninformative",
        ).pmi.amax(-1)
        row = keeping.identity(sample)
        for name in names:
            mask = kept[name][i]
            row[name] = keeping.share_kept(sample, mask)
            row[f"relevance: {name}"] = float(relevance[mask].mean())
            row[f"overlap: {name}"] = keeping.jaccard(kept[UNIFORM][i], mask)
        row |= {n: keeping.share_kept(sample, kept[n][i]) for n in kept if n.startswith(MOVED)}
        rows.append(row)
    return pd.DataFrame(rows)


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """The interval of the gain of the prior that is best on the other half."""
    offered = list(offered_to(context))
    known = table.dropna(subset=[UNIFORM]).reset_index(drop=True)
    if known["image_id"].nunique() < CLAIM.min_images:
        overlaps = {n: round(float(table[f"overlap: {n}"].mean()), 3) for n in offered}
        return CLAIM.unassessed(
            f"needs {CLAIM.min_images} images with relevant patches to say which prior is better; "
            f"overlap of the kept sets with the uniform prior's: {overlaps}",
            context,
        )
    choice = keeping.choose_on_other_half(known, offered)
    if choice is None:
        return CLAIM.unassessed("needs images in both halves", context)
    images = known["image_id"]
    gain = keeping.values_of(known, choice) - known[UNIFORM]
    return CLAIM.verdict(
        context,
        n=images.nunique(),
        method="paired over questions; prior chosen on the other half of the images",
        effect=mean_effect(
            "relevant kept: best other prior less uniform",
            "share",
            gain,
            images,
            span=2.0,
        ),
        caveats=(
            "A prior also sets the scale of the redundancy penalty: a gain that the same prior, "
            "moved by half the grid, has as well is no knowledge of where things are.",
            "A learned prior, or one of the positions in this very data, is not among them; for "
            "the latter see uniform_prior.",
            f"{len(table) - len(known)} questions without a relevant patch are left out.",
        ),
        diagnostics={
            "by_prior": {name: _of(name, table, known) for name in (UNIFORM, *offered)},
            "chosen": sorted(set(choice)),
            "not_offered": [n for n in OTHERS if n not in offered],
            "ratio": keeping.main_ratio(context),
        },
    )


def _of(name: str, table: pd.DataFrame, known: pd.DataFrame) -> dict[str, Any]:
    """What one prior does, against the uniform one."""

    def less(rows: pd.DataFrame, key: str, unit: str) -> dict[str, float]:
        difference = rows[key + name] - rows[key + UNIFORM]
        return keeping.summary(name, unit, difference, rows["image_id"])

    control: dict[str, Any] = {}
    if MOVED + name in known:
        difference = known[name] - known[MOVED + name]
        control["gain_over_itself_moved"] = keeping.summary(
            name, "share", difference, known["image_id"]
        )
        control["share_kept_moved"] = float(known[MOVED + name].mean())
    return {
        **control,
        "share_kept": float(known[name].mean()),
        "gain": less(known, "", "share"),
        "jaccard": keeping.summary(name, "ratio", table[f"overlap: {name}"], table["image_id"]),
        "relevance_gain_nats": less(table, "relevance: ", "nats"),
    }


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """By prior: gain in relevant patches kept, and overlap with the uniform prior's kept set."""
    found = {n: v for n, v in verdict.diagnostics.get("by_prior", {}).items() if n != UNIFORM}
    with theme():
        figure = new_figure(PAGE, 2.1)
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, key, color in ((left, "gain", BLUE), (right, "jaccard", ORANGE)):
            for y, prior in enumerate(found.values()):
                e = prior[key]
                axes.plot([e["low"], e["high"]], [y, y], color=color, linewidth=2.2)
                axes.plot(e["value"], y, "o", color=color)
        for y, prior in enumerate(found.values()):
            if "share_kept_moved" in prior:
                moved_gain = (
                    prior["share_kept_moved"]
                    - verdict.diagnostics["by_prior"][UNIFORM]["share_kept"]
                )
                label = "moved by half the grid" if "thirds" in list(found)[y] else None
                left.plot(moved_gain, y + 0.28, "o", mfc="white", color=BLUE, label=label)
        if left.get_legend_handles_labels()[0]:
            left.legend(loc="lower left")
        left.set_yticks(np.arange(len(found)), [n.replace("_", " ") for n in found])
        left.invert_yaxis()
        left.axvline(0, color="black", linewidth=0.7)
        left.axvspan(SMALLEST_EFFECT.value, max(left.get_xlim()[1], 0.03), color=BLUE, alpha=0.08)
        left.set_xlabel("gain in relevant patches kept\nover the uniform prior (share)")
        right.set_xlabel("overlap with the kept set of\nthe uniform prior (Jaccard)")
        right.set_xlim(0, 1)
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
    max_images=384,
)
evaluate = CLAIM.evaluate
