"""Tab. 6: softmax against MinMax as the conditional."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from analysis.style import BLUE, ORANGE, PAGE, new_figure, theme
from mitheory.bundle import Sample
from mitheory.pmi import cross_pmi
from mitheory.verdict import Kind, SmallestEffect, Verdict

from . import keeping
from .base import Claim, mean_effect
from .context import Context

NAME = "softmax_over_minmax"
STATEMENT = (
    "The softmax conditional outperforms MinMax normalization and is more robust to outliers."
)
SOURCE = "App. B.2, Eqs. (52), (53), Tab. 6, against Eq. (16)"
KIND: Kind = "ablation"
SMALLEST_EFFECT = SmallestEffect(
    0.01,
    "share",
    "at_least",
    "one point; the paper's own gaps are 1.5 to 2.8 points",
)
CONDITIONALS = ("softmax", "minmax")
HOW = (
    "MI-Pruner with either conditional, for words and between patches, at the audited τ and λ and "
    "the budget nearest to a ninth of all tokens. Kept sets are gauged by correct answers where "
    "the bundle's own model is in the loop, else by the share of relevant patches kept; the effect "
    "is the paired difference. Robustness to an outlier: a word pointing away from all patches "
    "(minus their mean direction), which speaks of no patch, is added to the prompt; how much of "
    "the kept set stays. Beside it: Kendall's rank correlation of the two relevances, and how "
    "often MinMax leaves a probability of zero (PMI of minus infinity) or is undefined (one word, "
    "or a row of equal similarities)."
)
MEANING = {
    "holds": "Softmax keeps what MinMax misses: prefer it.",
    "violated": "Softmax does not beat MinMax by a point on these embeddings; MinMax needs no "
    "temperature, but has no PMI for its zeros.",
    "inconclusive": "Too few questions to tell the two normalizations apart at a point.",
}


def with_outlier(sample: Sample) -> Sample:
    """The sample with one more word: minus the mean direction of its patches."""
    visual = sample.visual.double()
    norms = visual.norm(dim=-1, keepdim=True)
    away = -(visual / torch.where(norms > 0, norms, 1.0)).mean(0, keepdim=True)
    text = torch.cat([sample.text, away.to(sample.text.dtype)])
    return replace(sample, text=text, tokens=(*sample.tokens, "<outlier>"))


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per sample: both gauges, overlap with the kept set of the prompt with an outlier, ranks."""
    gauge = keeping.gauge_of(context)
    dirty = [with_outlier(s) for s in samples]
    columns: dict[str, list[Any]] = {}
    for name in CONDITIONALS:
        kept = keeping.keep(samples, context, conditional=name)
        moved = keeping.keep(dirty, context, conditional=name)
        columns[name] = keeping.gauged(gauge, samples, kept, context)
        columns[f"patches: {name}"] = keeping.gauged("patches", samples, kept, context)
        columns[f"stays: {name}"] = [
            keeping.jaccard(a, b) for a, b in zip(kept, moved, strict=True)
        ]
    rows = [{**keeping.identity(s), **ranks(s, context)} for s in samples]
    return pd.DataFrame(rows).assign(**columns)


def ranks(sample: Sample, context: Context) -> dict[str, float]:
    """Kendall's τ of the two relevances (NaN where one is constant), zeros and gaps of MinMax."""
    soft, hard = (
        cross_pmi(
            sample.visual.double(),
            sample.text.double(),
            temperature=context.temperature,
            conditional=name,
            zero_norm="uninformative",
        )
        for name in CONDITIONALS
    )
    a, b = (x.pmi.amax(-1).numpy() for x in (soft, hard))
    agreement = kendalltau(a, b).statistic if np.ptp(a) > 0 and np.ptp(b) > 0 else np.nan
    zero = torch.isneginf(hard.log_cond)
    return {
        "kendall": float(agreement),
        "rows_with_zero": float(zero.any(-1).double().mean()),
        "zeros": float(zero.double().mean()),
        "undefined_rows": float((~zero.any(-1)).double().mean()),
        "one_word": float(sample.n_t == 1),
    }


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """The interval of softmax less MinMax."""
    gauge = keeping.gauge_of(context)
    if gauge is None:
        return CLAIM.unassessed(keeping.NO_GAUGE, context)
    known = table.dropna(subset=list(CONDITIONALS))
    images = known["image_id"]
    if images.nunique() < CLAIM.min_images:
        return CLAIM.unassessed(keeping.NOTHING_RELEVANT, context)
    return CLAIM.verdict(
        context,
        n=images.nunique(),
        method=f"paired over questions, {keeping.GAUGES[gauge]}",
        effect=mean_effect(
            f"{keeping.GAUGES[gauge]}: softmax less MinMax",
            "share",
            known["softmax"] - known["minmax"],
            images,
            span=2.0,
        ),
        caveats=(
            "Answers and relevant patches kept need not agree on which is better: both are shown.",
            "MinMax has no temperature; softmax is taken at the audited one.",
            "The paper does not say what it does with MinMax's zeros; the maximum over words "
            "ignores them, and rows where MinMax is undefined are taken as uniform.",
            f"{len(table) - len(known)} questions without a relevant patch are left out.",
        ),
        diagnostics=_diagnostics(table, context, gauge),
    )


def _diagnostics(table: pd.DataFrame, context: Context, gauge: keeping.Gauge) -> dict[str, Any]:
    def over(column: pd.Series) -> dict[str, float] | None:
        column = column.dropna()
        images = table["image_id"][column.index]
        return keeping.summary("x", "share", column, images) if images.nunique() > 1 else None

    less = {
        f"{what}_softmax_less_minmax": over(table[f"{key}softmax"] - table[f"{key}minmax"])
        for what, key in (("relevant_kept", "patches: "), ("stays_with_outlier", "stays: "))
    }
    return {
        "gauge": keeping.GAUGES[gauge],
        **{f"{gauge}_{name}": over(table[name]) for name in CONDITIONALS},
        **{f"kept_set_stays_with_outlier_{n}": over(table[f"stays: {n}"]) for n in CONDITIONALS},
        **less,
        "kendall_of_relevance": over(table["kendall"]),
        "rows_with_a_zero_probability": float(table["rows_with_zero"].mean()),
        "zero_probabilities": float(table["zeros"].mean()),
        "rows_undefined": float(table["undefined_rows"].mean()),
        "questions_of_one_word": int(table["one_word"].sum()),
        "ratio": keeping.main_ratio(context),
    }


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """The gauge of each, what stays of the kept set with an outlier, and rank agreement."""
    with theme():
        figure = new_figure(PAGE, 2.2)
        left, middle, right = figure.subplots(1, 3)
        label = str(verdict.diagnostics.get("gauge", "gauge"))
        for axes, key, text in (
            (left, "", label),
            (middle, "stays: ", "overlap of kept sets with and\nwithout an outlier (Jaccard)"),
        ):
            shown = {name: table[key + name].dropna() for name in CONDITIONALS}
            for x, (name, color) in enumerate(zip(CONDITIONALS, (BLUE, ORANGE), strict=True)):
                rows = shown[name]
                images = table["image_id"][rows.index]
                if images.nunique() > 1:
                    e = keeping.summary(name, "share", rows, images)
                    axes.bar(x, e["value"], color=color, width=0.6, alpha=0.85)
                    axes.plot([x, x], [e["low"], e["high"]], color="black", linewidth=1)
            axes.set_xticks([0, 1], ["softmax", "MinMax"])
            axes.set_ylabel(f"{text}\n95% over images" if not key else text)
        sns.histplot(table["kendall"].dropna(), ax=right, color=BLUE, bins=20, linewidth=0.3)
        right.set_xlabel("rank agreement of relevance\n(Kendall's τ)")
        right.set_ylabel("questions")
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
