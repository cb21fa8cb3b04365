"""Sec. 3.2: a patch grounds in few words, so that its maximum speaks for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from analysis.style import BLUE, GRAY, ORANGE, PAGE, new_figure, theme
from mitheory.bundle import Sample
from mitheory.pmi import cross_pmi
from mitheory.verdict import Kind, SmallestEffect, Verdict

from .base import Claim, mean_effect
from .context import Context

STATEMENT = (
    "A visual token relates to few of the prompt's words, so that one maximum stands for it."
)
SOURCE = "Sec. 3.2, App. C.2"
KIND: Kind = "empirical"
SMALLEST_EFFECT = SmallestEffect(
    0.5,
    "share",
    "at_most",
    "where the words that a patch is spread over, counted by participation ratio, are half of the "
    "prompt or more, most words matter to it and no maximum stands for the rest",
)
HOW = (
    "The participation ratio 1 / Σ_j p(t_j | v_i)² counts the words that a patch's distribution is "
    "spread over: 1 where it has one word, N_T where it has no preference. The effect is its mean "
    "over patches as a share of N_T, prompts of one word left out. Beside it: the same of the "
    "patches that matter where the bundle marks them, and the share of the mass on the best word."
)
MEANING = {
    "holds": "Patches have words of their own at this temperature; taking the maximum over words "
    "loses little of a patch's distribution.",
    "violated": "A patch's distribution is spread over most of the prompt: a maximum over words "
    "picks one of many, and averages such as KL say something else (see max_tracks_global).",
    "inconclusive": "Too few images to tell whether patches ground in few words.",
}


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per sample with two words or more: participation ratio over all and over relevant patches."""
    return pd.DataFrame(
        [_row(sample, context.temperature) for sample in samples if sample.n_t > 1],
        columns=["image_id", "sample_id", "n_words", "share", "relevant", "best", "low", "high"],
    )


def _row(sample: Sample, temperature: float) -> dict[str, object]:
    cross = cross_pmi(sample.visual.double(), sample.text.double(), temperature=temperature)
    p = cross.log_cond.exp()  # (n_v, n_t)
    share = 1 / (p**2).sum(-1) / sample.n_t  # (n_v,)
    marked = sample.relevant is not None and bool(sample.relevant.any())
    return {
        "image_id": sample.image_id,
        "sample_id": sample.sample_id,
        "n_words": sample.n_t,
        "share": float(share.mean()),
        "relevant": float(share[sample.relevant].mean()) if marked else np.nan,
        "best": float(p.max(-1).values.mean()),
        "low": float(share.quantile(0.1)),
        "high": float(share.quantile(0.9)),
    }


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """The mean share of the prompt that a patch is spread over."""
    images = table["image_id"].nunique()
    if images < CLAIM.min_images:
        return CLAIM.unassessed(
            f"needs prompts of two words or more in {CLAIM.min_images} images; has {images}",
            context,
        )
    marked = table.dropna(subset="relevant")
    return CLAIM.verdict(
        context,
        n=images,
        method="participation ratio of p(t | v) over N_T, mean over patches",
        effect=mean_effect(
            "share of the prompt that a patch is spread over",
            "share",
            table["share"],
            table["image_id"],
        ),
        diagnostics={
            "words_per_prompt": float(table["n_words"].mean()),
            "participation_ratio_words": float((table["share"] * table["n_words"]).mean()),
            "share_of_relevant_patches": float(marked["relevant"].mean()) if len(marked) else None,
            "mass_on_best_word": float(table["best"].mean()),
            "temperature": context.temperature,
        },
        caveats=(
            "Function words of the prompt count as words; with a larger temperature every patch is "
            "spread over all of them.",
        ),
    )


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Distribution over samples of the share, all patches and relevant ones."""
    with theme():
        figure = new_figure(PAGE * 0.7, 2.3)
        axes = figure.subplots()
        bins = np.linspace(0, 1, 41)
        for column, color, name in (
            ("share", BLUE, "all patches"),
            ("relevant", ORANGE, "patches asked about"),
        ):
            if table[column].notna().any():
                sns.histplot(
                    table[column].dropna(), bins=bins, ax=axes, color=color, alpha=0.4,
                    stat="density", element="step", label=name,
                )  # fmt: skip
        axes.axvline(0.5, color=GRAY, ls="--", lw=1)
        axes.set(
            xlabel="words that a patch is spread over, share of the prompt",
            ylabel="density over samples",
            xlim=(0, 1),
        )
        axes.legend()
    return figure


CLAIM = Claim(
    name="sparse_grounding",
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
