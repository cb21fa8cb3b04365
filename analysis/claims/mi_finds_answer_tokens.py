"""Sec. 1, App. C.3: mutual information before any interaction finds the tokens that matter."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.style import BLUE, GRAY, PAGE, SKY, VERMILION, new_figure, theme
from mitheory.bundle import Sample
from mitheory.verdict import Kind, SmallestEffect, Verdict

from . import occlusion, query_awareness
from .base import Claim, mean_effect
from .context import Context
from .occlusion import CLS, COSINE, LAYER, MI, SHUFFLED

NAME = "mi_finds_answer_tokens"
STATEMENT = (
    "Mutual information with the prompt, taken before vision and language interact, finds the "
    "tokens that the answer hangs on."
)
SOURCE = "Sec. 1, Sec. 2.3, App. C.3"
KIND: Kind = "empirical"
SMALLEST_EFFECT = SmallestEffect(
    0.1,
    "share",
    "at_least",
    "as much again as random tokens find at this budget: one token in nine",
)
HOW = (
    f"{occlusion.STATED} The effect is the recall of max PMI less that of max PMI with the prompt "
    "of another image's question of the same type, which would find objects but not those asked "
    "about. Beside it: cosine, CLS attention, and the attention of each decoder layer, all against "
    "the same tokens; and how many of the tokens that each layer attends to max PMI finds."
)
MEANING = {
    "holds": "What the score keeps is what the answer needs, and because of the question: the "
    "premise of pruning before interaction holds on this model.",
    "violated": "The prompt adds little to finding the tokens that the answer hangs on: what such "
    "a pruner wins it wins by spreading or by keeping objects.",
    "inconclusive": "Too few questions to tell whether the score finds what the answer needs.",
}


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per question and score: agreement with what matters."""
    return occlusion.measure(samples, context, NAME)


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """Recall under the own prompt less that under another."""
    column = occlusion.main_column(context)
    wide = occlusion.wide(table, column)
    if not {MI, SHUFFLED} <= set(wide):
        return CLAIM.unassessed("needs answers that hang on some token, and other prompts", context)
    wide = wide.dropna(subset=[MI, SHUFFLED])
    images = wide["image_id"].nunique()
    if images < CLAIM.min_images:
        needed = f"answers that hang on some token in {CLAIM.min_images} images"
        return CLAIM.unassessed(f"needs {needed}; this bundle has {images}", context)
    ratios = {f"{ratio:.1%}": f"recall_{i}" for i, ratio in enumerate(context.ratios)}
    own = table[table["score"] == MI]
    return CLAIM.verdict(
        context,
        n=images,
        method="recall of the tokens that matter most, less that under another prompt",
        effect=mean_effect(
            "recall of max PMI less that with another prompt",
            "share",
            wide[MI] - wide[SHUFFLED],
            wide["image_id"],
        ),
        diagnostics={
            "recall": occlusion.by_score(table, column),
            "spearman": occlusion.by_score(table, "spearman"),
            "what_attention_ranks_highest": {
                name: {
                    "spearman_with_max_pmi": float(rows["spearman_with_mi"].mean()),
                    "share_found_by_max_pmi": float(rows["found_by_mi"].mean()),
                }
                for name, rows in table.groupby("score")
                if str(name) == CLS or str(name).startswith(LAYER)
            },
            "recall_by_ratio": {name: float(own[c].mean()) for name, c in ratios.items()},
            "recall_by_question_type": occlusion.by_type(table, MI, column),
        },
        caveats=(
            "One token at a time: where neighbors hold the same, none of them matters alone.",
            "Of a confident answer single tokens take little; what is ranked may be tiny.",
        ),
    )


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Recall and rank correlation of every score, with 95% intervals."""
    measures = (("recall", "recall at 11%"), ("spearman", "Spearman with what matters"))
    return figure_of_scores(verdict, measures)


def figure_of_scores(verdict: Verdict, measures: Sequence[tuple[str, str]]) -> Figure:
    """Dot plot of what the diagnostics hold by score, one panel per measure."""
    names = [n for n in (MI, SHUFFLED, COSINE, CLS) if n in verdict.diagnostics[measures[0][0]]]
    names += [n for n in verdict.diagnostics[measures[0][0]] if n.startswith(LAYER)]
    colors = {MI: BLUE, SHUFFLED: SKY, COSINE: VERMILION}
    with theme():
        figure = new_figure(PAGE, 0.8 + 0.19 * len(names))
        panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
        for axes, (key, label) in zip(panels, measures, strict=True):
            for y, name in enumerate(names):
                found = verdict.diagnostics[key][name]
                axes.plot([found["low"], found["high"]], [y, y], color=colors.get(name, GRAY))
                axes.plot(found["value"], y, "o", color=colors.get(name, GRAY))
            axes.set_xlabel(label)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].invert_yaxis()
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
    needs=("model", "answer"),
    max_images=occlusion.MOST_IMAGES,
    prepare=query_awareness.prepare,
)
evaluate = CLAIM.evaluate
