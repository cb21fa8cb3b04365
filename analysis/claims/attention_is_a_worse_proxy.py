"""Sec. 1: attention scores do not equal the importance of information."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from mitheory.bundle import Sample
from mitheory.verdict import Kind, SmallestEffect, Verdict

from . import keeping, occlusion, query_awareness
from .base import Claim, mean_effect
from .context import Context
from .mi_finds_answer_tokens import figure_of_scores
from .occlusion import CLS, LAYER, MI

NAME = "attention_is_a_worse_proxy"
STATEMENT = "Attention, of the encoder or the decoder, tells less of a token's importance than MI."
SOURCE = "Sec. 1 (i); App. C.3"
KIND: Kind = "empirical"
SMALLEST_EFFECT = SmallestEffect(
    0.05,
    "share",
    "at_least",
    "half of what random tokens find at this budget (one in nine): less would not decide for a "
    "method on its own",
)
HOW = (
    f"{occlusion.STATED} The effect is the recall of max PMI less that of the best attention, "
    "where the best of the CLS token and of each decoder layer (last word, all words) is chosen on "
    "the other half of the images. The decoder's attention is dynamic: it is had only after the "
    "interaction that pruning is to save, and shown for what it would find."
)
MEANING = {
    "holds": "Mutual information before interaction finds more of what matters than any attention.",
    "violated": "Some attention finds what matters as well or better on this model: cheaper scores "
    "give up something for being early, or the encoder's attention is enough.",
    "inconclusive": "Too few questions to tell mutual information from the best attention.",
}


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per question and score: agreement with what matters."""
    return occlusion.measure(samples, context, NAME)


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """Recall of max PMI less that of the attention chosen on the other half."""
    column = occlusion.main_column(context)
    wide = occlusion.wide(table, column)
    attentions = [str(c) for c in wide if c == CLS or str(c).startswith(LAYER)]
    images = wide["image_id"].nunique()
    if MI not in wide or not attentions or images < CLAIM.min_images:
        needed = f"answers that hang on some token in {CLAIM.min_images} images"
        return CLAIM.unassessed(f"needs {needed}; this bundle has {images}", context)
    choice = keeping.choose_on_other_half(wide, attentions)
    if choice is None:
        return CLAIM.unassessed("needs images in both halves", context)
    best = keeping.values_of(wide, choice)
    return CLAIM.verdict(
        context,
        n=images,
        method="paired difference of recall; the attention chosen on the other half of the images",
        effect=mean_effect(
            "recall of max PMI less that of the best attention",
            "share",
            wide[MI] - best,
            wide["image_id"],
        ),
        diagnostics={
            "recall": occlusion.by_score(table, column),
            "spearman": occlusion.by_score(table, "spearman"),
            "chosen": sorted(set(choice)),
            "less_than_max_pmi": {
                name: keeping.summary(name, "share", wide[MI] - wide[name], wide["image_id"])
                for name in attentions
            },
        },
        caveats=(
            "One token at a time: where neighbors hold the same, none of them matters alone.",
            "Attention is averaged over heads; single heads may do better.",
        ),
    )


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Recall of every score, with 95% intervals."""
    return figure_of_scores(verdict, (("recall", "recall at 11%"), ("spearman", "Spearman")))


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
    needs=("model", "answer"),
    max_images=occlusion.MOST_IMAGES,
    prepare=query_awareness.prepare,
)
evaluate = CLAIM.evaluate
