"""Eqs. (42)-(47): the maximum bounds LogSumExp from below, to within log N."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from analysis.style import BLUE, GRAY, PAGE, VERMILION, new_figure, theme
from mitheory.aggregation import lse_below_max_plus_log, max_below_lse
from mitheory.bundle import Sample
from mitheory.pmi import cross_pmi
from mitheory.verdict import Kind, Verdict

from .base import Claim, mean_effect
from .context import Context

STATEMENT = (
    "Over the words, max PMI <= LogSumExp PMI <= max PMI + log N, and exponentiated the largest "
    "likelihood ratio is at most their sum."
)
SOURCE = "Eqs. (42)-(47), App. A.3"
KIND: Kind = "theorem"
SMALLEST_EFFECT = None  # a theorem: one counter-example decides
HOW = (
    "Both sides of both inequalities for every patch and its prompt, in float64; a violation by "
    "more than 1e-9 nats would be a counter-example. How far LogSumExp lies from the maximum, as a "
    "share of the room of log N that the bound leaves, says how good a proxy the maximum is."
)
MEANING = {
    "verified": "The inequality is sound, so max aggregation misses LogSumExp by at most log N. It "
    "bounds LogSumExp and ratios; of the sum or the average of PMI it says nothing (see "
    "max_below_sum, max_tracks_global).",
    "refuted": "The arithmetic failed on these embeddings: see the counter-example.",
}
TOLERANCE = 1e-9
BINS = np.linspace(0, 1, 51)


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per sample: the worst slack of both bounds, and where LSE lies between them."""
    return pd.DataFrame([_row(sample, context.temperature) for sample in samples])


def _row(sample: Sample, temperature: float) -> dict[str, object]:
    cross = cross_pmi(sample.visual.double(), sample.text.double(), temperature=temperature)
    low = max_below_lse(cross.pmi, cross.log_cond)
    high = lse_below_max_plus_log(cross.pmi, cross.log_cond)
    slack = torch.stack([low.gap(), high.gap()])  # (2, n_v)
    worst = int(slack.min(0).values.argmin())
    room = math.log(sample.n_t)
    used = low.gap() / room if sample.n_t > 1 else torch.zeros(sample.n_v)
    ratios = cross.pmi.exp()
    return {
        "image_id": sample.image_id,
        "sample_id": sample.sample_id,
        "slack": float(slack.min()),
        "ratio_slack": float((ratios.sum(-1) - ratios.max(-1).values).min()),
        "patch": worst,
        "max": float(low.lower[worst]),
        "lse": float(low.upper[worst]),
        "n_words": sample.n_t,
        "used": float(used.mean()),
        "used_low": float(used.quantile(0.1)),
        "used_high": float(used.quantile(0.9)),
    }


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """Verified unless a patch is outside its bounds."""
    worst = table.iloc[int(table["slack"].to_numpy().argmin())]
    example = {
        "sample": str(worst["sample_id"]),
        "patch": int(worst["patch"]),
        "words": int(worst["n_words"]),
        "max_pmi": float(worst["max"]),
        "lse_pmi": float(worst["lse"]),
        "max_plus_log_n": float(worst["max"] + math.log(worst["n_words"])),
        "smallest_slack": float(table["slack"].min()),
        "smallest_slack_of_ratios": float(table["ratio_slack"].min()),
    }
    failed = bool(table["slack"].min() < -TOLERANCE or table["ratio_slack"].min() < -TOLERANCE)
    several = table[table["n_words"] > 1]
    spread = None
    if several["image_id"].nunique() > 1:
        spread = mean_effect(
            "(LSE - max) / log N, mean over patches", "share", several["used"], several["image_id"]
        )
    return CLAIM.verdict(
        context,
        n=table["image_id"].nunique(),
        method="both inequalities at every patch of every sample",
        effect=spread,
        checked=len(table),
        counter_example=example if failed else None,
        diagnostics={
            "smallest_slack_nats": float(table["slack"].min()),
            "smallest_slack_of_ratios": float(table["ratio_slack"].min()),
        },
    )


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Where LSE lies between its bounds, against the number of words."""
    with theme():
        figure = new_figure(PAGE * 0.7, 2.4)
        axes = figure.subplots()
        groups = table[table["n_words"] > 1].groupby("n_words")
        words = np.array(list(groups.groups), dtype=float)
        axes.fill_between(
            words,
            groups["used_low"].mean(),
            groups["used_high"].mean(),
            color=BLUE,
            alpha=0.2,
            lw=0,
            label="patches, 10th to 90th percentile",
        )
        axes.plot(words, groups["used"].mean(), "o-", color=BLUE, label="mean over patches")
        for level, name in ((0.0, "max"), (1.0, "max + log N")):
            axes.axhline(level, color=VERMILION if level else GRAY, lw=1, ls="--")
            axes.annotate(
                name, (0.995, level), xycoords=("axes fraction", "data"), ha="right",
                va="bottom" if not level else "top", fontsize=7,
            )  # fmt: skip
        axes.set(xlabel="words in the prompt", ylabel="(LSE − max) / log N", ylim=(-0.05, 1.08))
        axes.legend(loc="lower left")
    return figure


CLAIM = Claim(
    name="lse_bound",
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
