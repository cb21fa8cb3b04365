"""After Eq. (40): with less than half of the tokens kept, overlap is trivial beside relevance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.style import BLUE, PAGE, VERMILION, new_figure, theme
from mitheory.bundle import Sample
from mitheory.errors import ParameterError
from mitheory.pmi import cross_pmi, self_pmi
from mitheory.statistics import clustered_mean
from mitheory.verdict import Effect, Kind, SmallestEffect, Verdict

from . import curves, draws
from .base import Claim
from .context import Context
from .dependence_tests import too_few
from .kept import budgets, in_order_of_choice, nearest
from .patches import FIT_IMAGES, RANK, Reductions, fit_reductions

NAME = "cross_dominates_self"
STATEMENT = (
    "With less than half of the tokens kept, the overlap of a kept patch with the others is "
    "trivial beside its relevance to the prompt."
)
SOURCE = "after Eq. (40), App. A.2; terms of Eqs. (19)-(23) and Algorithm 1"
KIND: Kind = "empirical"
HALF = 0.5
SMALLEST_EFFECT = SmallestEffect(
    0.1,
    "ratio",
    "at_most",
    "'trivial' read generously: a tenth of the relevance, which at equal weights could not outvote "
    "a difference in relevance of more than a tenth",
)
HOW = (
    "Of every patch that MI-Pruner keeps, its overlap (the largest PMI with another kept one) and "
    "its relevance (the largest PMI with a word), as Algorithm 1 has them. The effect is the ratio "
    "of their means at the largest ratio below 50%, where the claim is hardest. Beside it, in "
    f"estimated information: a kept patch and the nearest other on the grid, {RANK} components "
    "each, against the prompt."
)
MEANING = {
    "violated": "Even among few kept tokens the overlap weighs like the relevance or more: the "
    "redundancy term decides what is kept, and the step from Eq. (39) to (40) cannot rest on it "
    "being trivial. The figure shows from which ratio on it is.",
    "holds": "Overlap among kept tokens is small beside relevance: λ hardly matters at these "
    "ratios, and ranking by relevance alone would keep nearly the same.",
    "inconclusive": "Too few images to tell whether overlap is below a tenth of relevance.",
}


def prepare(samples: Iterator[Sample], context: Context) -> Reductions | None:
    """Projections, each half's fitted on the other."""
    return fit_reductions(samples, context)


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per sample and ratio both terms of Algorithm 1; per image, draw and ratio a kept pair."""
    kept = {s.sample_id: in_order_of_choice(s, context) for s in samples}
    rows = [row for s in samples for row in terms(s, kept[s.sample_id], context)]
    reductions: Reductions | None = context.prepared[NAME]
    if reductions is not None:
        for draw, seen in draws.by_draw(samples, context, reductions):
            sample = seen.sample
            for ratio, budget in budgets(context, sample.n_v).items():
                chosen = kept[sample.sample_id][:budget]
                if len(chosen) >= 2 and sample.grid is not None:
                    rng = context.rng(NAME, sample.sample_id, draw, str(ratio))
                    here = int(rng.choice(chosen))
                    other = nearest(sample.grid, here, chosen[chosen != here])
                    pair = draws.record(seen, draw, (here, other), ratio=ratio)
                    rows.append({"kind": "pair", **pair})
    return pd.DataFrame(rows)


def terms(sample: Sample, kept: NDArray[np.int64], context: Context) -> list[dict[str, Any]]:
    """Mean relevance and overlap of what is kept, by ratio, nats; no ratio that keeps one only.

    Overlap as it stands at the end: with every other kept patch, not only the earlier ones.
    """
    visual = sample.visual.double()
    options: dict[str, Any] = {"temperature": context.temperature, "zero_norm": "uninformative"}
    relevance = cross_pmi(visual, sample.text.double(), **options).pmi.amax(-1)  # (n_v,)
    chosen = torch.from_numpy(kept)
    overlap = self_pmi(visual, **options).matrix()[chosen][:, chosen]  # (kept, kept)
    overlap.fill_diagonal_(-math.inf)
    found = []
    for ratio, budget in budgets(context, sample.n_v).items():
        if budget >= 2:
            found.append(
                {
                    "kind": "terms",
                    "image_id": sample.image_id,
                    "sample_id": sample.sample_id,
                    "ratio": ratio,
                    "cross": float(relevance[chosen[:budget]].mean()),
                    "self": float(overlap[:budget, :budget].amax(-1).mean()),
                }
            )
    return found


def ratio_effect(name: str, rows: pd.DataFrame) -> Effect | None:
    """Mean overlap over mean relevance, linearized, with its error over images.

    None where the relevance is not positive beyond rounding, as with prompts of one word.
    """
    below = float(rows["cross"].mean())
    if not below > 1e-9:
        return None
    ratio = float(rows["self"].mean()) / below
    residual = (rows["self"] - ratio * rows["cross"]) / below
    mean = clustered_mean(residual, rows["image_id"])
    return Effect(name, "ratio", ratio, mean.se, mean.df, mean.skew)


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """The ratio of both means at the largest ratio below one half."""
    if table.empty:
        return CLAIM.unassessed("needs samples of which at least two tokens are kept", context)
    found = table[table["kind"] == "terms"]
    below = [ratio for ratio in sorted(found["ratio"].unique()) if ratio < HALF]
    if not below:
        return CLAIM.unassessed("needs a ratio below one half that keeps two tokens", context)
    lead = found[found["ratio"] == below[-1]]
    effect = ratio_effect(f"overlap / relevance, {below[-1]:.0%} kept", lead)
    if effect is None or lead["image_id"].nunique() < CLAIM.min_images:
        return CLAIM.unassessed("the relevance is 0: PMI with a single word always is", context)
    return CLAIM.verdict(
        context,
        n=lead["image_id"].nunique(),
        method="PMI of Algorithm 1 on what it keeps",
        effect=effect,
        caveats=(
            "PMI depends on the temperature and on the number of tokens; the informations beside "
            "it do not, but see a few components only.",
            "'Trivial' has no number in the paper; a tenth is ours.",
            "Kept sets were chosen to have little overlap: other selections have more.",
        ),
        diagnostics={
            "terms_by_ratio": terms_by_ratio(found),
            "information_by_ratio": information_by_ratio(table[table["kind"] == "pair"]),
        },
    )


def terms_by_ratio(found: pd.DataFrame) -> list[dict[str, Any]]:
    """Both terms and their ratio at every ratio of tokens kept."""
    rows = []
    for ratio, here in found.groupby("ratio", sort=True):
        entry: dict[str, Any] = {"ratio": float(cast(float, ratio))}
        for name in ("cross", "self"):
            entry |= curves.entry(name, here[name], here["image_id"])
        share = ratio_effect("overlap / relevance", here)
        if share is not None:
            entry |= {"share": share.value, "share_low": share.low, "share_high": share.high}
        rows.append(entry)
    return rows


def information_by_ratio(pairs: pd.DataFrame) -> list[dict[str, Any]]:
    """I(V_i; V_j) with the nearest kept patch and I(V_i; T), at every ratio of tokens kept.

    None with too few images, or where copies of one patch are kept: their information is infinite.
    """
    rows: list[dict[str, Any]] = []
    if pairs.empty or too_few(pairs) is not None:
        return rows
    for ratio, here in pairs.groupby("ratio", sort=True):
        here = here.reset_index(drop=True)
        entry: dict[str, Any] = {"ratio": float(cast(float, ratio))}
        try:
            for name, other in (("self", "y"), ("cross", "z")):
                contribution = draws.over_draws(here, draws.mutual("x", other))
                entry |= curves.entry(name, contribution, here["image_id"])
        except ParameterError:  # one ratio without an estimate
            continue
        rows.append(entry)
    return rows


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Both terms at every ratio, as PMI and as estimated information."""
    panels = (
        ("terms_by_ratio", "Algorithm 1", "PMI (nats),\n95% over images"),
        ("information_by_ratio", "estimated", "information (nats),\n95% over images"),
    )
    with theme():
        figure = new_figure(PAGE * 0.85, 2.5)
        for ax, (key, title, label) in zip(figure.subplots(1, 2), panels, strict=True):
            found = pd.DataFrame(verdict.diagnostics.get(key, []))
            for name, color, text in (
                ("self", VERMILION, "overlap with kept patches"),
                ("cross", BLUE, "relevance to the prompt"),
            ):
                curves.errorbars(ax, found, "ratio", name, color=color, label=text)
            curves.levels(ax, found, "ratio", ".0%")
            ax.axhline(0.0, color="black", linewidth=0.6)
            ax.set_title(title)
            ax.set_xlabel("tokens kept")
            ax.set_ylabel(label)
        figure.legend(
            *figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncol=2
        )
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
    max_images=1024,
    prepare=prepare,
    prepare_images=FIT_IMAGES,
)
evaluate = CLAIM.evaluate
