"""Eq. (22): λ balances relevance and redundancy, at 1/2 evenly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from analysis.style import BLUE, GRAY, PAGE, VERMILION, new_figure, theme
from mitheory.bundle import Sample
from mitheory.checks import check_budget
from mitheory.selection.search import greedy
from mitheory.verdict import Kind, SmallestEffect, Verdict

from .base import Claim, mean_effect
from .context import Context
from .greedy_score import jaccard, parts, rule

NAME = "score_scale"
STATEMENT = "λ balances the two terms of the score; at λ = 1/2 each has half of the say."
SOURCE = "Eqs. (22)-(23), Sec. 3.2"
KIND: Kind = "empirical"
SMALLEST_EFFECT = SmallestEffect(
    0.1,
    "share",
    "negligible",
    "a nominal half that is really 40 to 60% would be called balanced; beyond, λ has to be set by "
    "experiment and its value carries no meaning of its own",
)
RATIO = 1 / 9
HOW = (
    "At every step of greedy selection at λ = 1/2 (11% kept) the candidates' scores differ by "
    "relevance and by redundancy. The say of a term is its standard deviation over candidates, as "
    "a share of both; the effect is relevance's share less one half. The λ that would make "
    "both even, by deviation or by range, is given, and how far the kept set agrees with that of "
    "either term alone."
)
MEANING = {
    "holds": "Both terms vary alike among candidates: λ can be read as a weight.",
    "violated": "One term decides most choices at λ = 1/2: compare methods at a λ tuned on "
    "held-out data, or normalize both terms by their spread first.",
    "inconclusive": "Too few images to tell whether the terms are balanced at λ = 1/2.",
}


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per sample of two words or more: spread of both terms over the steps of greedy."""
    columns = ["image_id", "sample_id", "relevance", "redundancy", "share", "cross_range",
               "self_range", "self_highest", "with_relevance", "with_redundancy"]  # fmt: skip
    usable = [s for s in samples if s.n_t > 1 and s.n_v >= 8]  # a spread, and a few steps of it
    return pd.DataFrame([_row(sample, context) for sample in usable], columns=columns)


def _row(sample: Sample, context: Context) -> dict[str, object]:
    found = parts(sample, context)
    budget = max(2, check_budget(RATIO, sample.n_v))
    scores = {lam: rule(found, context, relevance_weight=lam) for lam in (0.5, 1.0, 0.0)}
    kept = {lam: greedy(score, budget).indices.tolist() for lam, score in scores.items()}
    relevance, self_pmi = found.relevance.numpy(), found.pmi.numpy()
    order = kept[0.5]
    running = np.maximum.accumulate(self_pmi[:, order[:-1]], axis=1)  # (n_v, steps)
    spreads = []
    for step in range(budget - 1):
        left = np.setdiff1d(np.arange(len(relevance)), order[: step + 1])
        spreads.append((relevance[left].std(), running[left, step].std()))
    cross, own = np.mean(spreads, axis=0)
    return {
        "image_id": sample.image_id,
        "sample_id": sample.sample_id,
        "relevance": float(cross),
        "redundancy": float(own),
        "share": float(cross / (cross + own)) if cross + own > 0 else 0.5,
        "cross_range": float(np.ptp(relevance)),
        "self_range": float(np.ptp(self_pmi[~np.eye(len(self_pmi), dtype=bool)])),
        "self_highest": float(self_pmi.max()),
        "with_relevance": jaccard(order, kept[1.0]),
        "with_redundancy": jaccard(order, kept[0.0]),
    }


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """Relevance's share of the say, less one half."""
    images = table["image_id"].nunique()
    if images < CLAIM.min_images:
        needed = f"8 patches and prompts of two words or more in {CLAIM.min_images} images"
        return CLAIM.unassessed(f"needs {needed}; this bundle has them in {images}", context)
    even = table["redundancy"] / (table["redundancy"] + table["relevance"])
    by_range = table["self_range"] / (table["self_range"] + table["cross_range"])
    return CLAIM.verdict(
        context,
        n=images,
        method="standard deviation of each term over candidates, mean over greedy's steps",
        effect=mean_effect(
            "relevance's share of the say less 1/2",
            "share",
            table["share"] - 0.5,
            table["image_id"],
        ),
        diagnostics={
            "sd_of_relevance_nats": float(table["relevance"].mean()),
            "sd_of_redundancy_nats": float(table["redundancy"].mean()),
            "lambda_that_balances": float(even.mean()),
            "lambda_that_balances_ranges": float(by_range.mean()),
            "range_of_relevance_nats": float(table["cross_range"].mean()),
            "range_of_self_pmi_of_two_patches_nats": float(table["self_range"].mean()),
            "highest_self_pmi_nats": float(table["self_highest"].mean()),
            "kept_as_with_relevance_alone_jaccard": float(table["with_relevance"].mean()),
            "kept_as_with_redundancy_alone_jaccard": float(table["with_redundancy"].mean()),
        },
        caveats=("The first choice, by relevance alone, is left out of the say.",),
    )


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Say of relevance, and agreement of kept sets with either term alone."""
    with theme():
        figure = new_figure(PAGE, 2.3)
        left, right = figure.subplots(1, 2)
        sns.histplot(100 * table["share"], ax=left, color=BLUE, element="step", alpha=0.35, bins=40)
        left.axvspan(40, 60, color=GRAY, alpha=0.15, lw=0)
        left.set(xlabel="say of relevance at λ = ½ (%)", ylabel="samples", xlim=(0, 100))
        for column, color, name in (
            ("with_relevance", BLUE, "relevance alone (λ = 1)"),
            ("with_redundancy", VERMILION, "redundancy alone (λ = 0)"),
        ):
            sns.histplot(
                table[column], ax=right, color=color, element="step", alpha=0.3, label=name,
                bins=np.linspace(0, 1, 26),
            )  # fmt: skip
        right.set(xlabel="overlap of kept sets with λ = ½ (Jaccard)", ylabel="samples")
        right.legend()
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
)
evaluate = CLAIM.evaluate
