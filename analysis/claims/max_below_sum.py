"""Eq. (48): the maximum of PMI over words is at most its sum."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from analysis.style import BLUE, PAGE, VERMILION, new_figure, theme
from mitheory.bundle import Sample
from mitheory.pmi import cross_pmi
from mitheory.verdict import Kind, Verdict

from .base import Claim, mean_effect
from .context import Context

STATEMENT = "The maximum of the PMI over the words is bounded by its sum over the words."
SOURCE = "Eq. (48), App. A.3"
KIND: Kind = "theorem"
SMALLEST_EFFECT = None  # a theorem: one counter-example decides
HOW = (
    "For every patch, the largest PMI with a word is compared with the sum of its PMI over all "
    "words. Where all words are equally probable the sum can never be positive; the maximum never "
    "is negative. A tolerance of 1e-5 nats absorbs rounding."
)
MEANING = {
    "refuted": "Max aggregation is not a lower bound of the summed score: it cannot be defended by "
    "Eq. (48). It is the Rényi divergence of infinite order, an upper bound of the global score.",
    "verified": "On these words the bound happens to hold; it is no theorem.",
}
TOLERANCE = 1e-5


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per sample: share of patches that violate the bound, and the worst of them."""
    rows = []
    for sample in samples:
        pmi = cross_pmi(
            sample.visual.double(), sample.text.double(), temperature=context.temperature
        ).pmi  # (n_v, n_t)
        excess = pmi.max(-1).values - pmi.sum(-1)  # (n_v,)
        worst = int(excess.argmax())
        rows.append(
            {
                "image_id": sample.image_id,
                "sample_id": sample.sample_id,
                "violated": float((excess > TOLERANCE).double().mean()),
                "excess": float(excess.mean()),
                "patch": worst,
                "max": float(pmi[worst].max()),
                "sum": float(pmi[worst].sum()),
                "n_words": sample.n_t,
            }
        )
    return pd.DataFrame(rows)


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """Refuted by the patch with the largest excess."""
    gap = table["max"] - table["sum"]
    worst = table.iloc[int(gap.to_numpy().argmax())]
    example = {
        "sample": str(worst["sample_id"]),
        "patch": int(worst["patch"]),
        "words": int(worst["n_words"]),
        "max_pmi": float(worst["max"]),
        "sum_pmi": float(worst["sum"]),
    }
    return CLAIM.verdict(
        context,
        n=table["image_id"].nunique(),
        method="every patch of every sample",
        effect=mean_effect(
            "share of patches whose maximum exceeds the sum",
            "share",
            table["violated"],
            table["image_id"],
            span=1.0,
        ),
        checked=len(table),
        counter_example=example if gap.max() > TOLERANCE else None,
    )


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Distribution over samples of the two sides of the bound, at the worst patch."""
    with theme():
        figure = new_figure(PAGE * 0.6, 2.2)
        axes = figure.subplots()
        for column, color in (("max", BLUE), ("sum", VERMILION)):
            sns.kdeplot(table[column], ax=axes, color=color, fill=True, alpha=0.25, label=column)
        axes.set_xlabel("PMI of the worst patch with its words (nats)")
        axes.set_ylabel("density over samples")
        axes.legend(title="over words")
    return figure


CLAIM = Claim(
    name="max_below_sum",
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
