"""Eq. (16) makes words compete: a patch that matches two words against one that matches one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from analysis.style import BLUE, GRAY, GREEN, PAGE, VERMILION, new_figure, theme
from mitheory.bundle import Sample
from mitheory.distributions import cosine_similarity
from mitheory.verdict import Kind, SmallestEffect, Verdict

from . import keeping
from .base import Claim, mean_effect
from .context import Context
from .query_awareness import auc
from .things import named_pair, things_of
from .word_scores import SCORES

NAME = "conjunction_penalty"
STATEMENT = (
    "Words compete in the softmax over text: a patch that matches two words of the prompt is "
    "outranked by one that matches a single word more often than where words do not compete."
)
SOURCE = "Eqs. (16), (19); not in the paper"
KIND: Kind = "empirical"
SMALLEST_EFFECT = SmallestEffect(
    0.05,
    "rate",
    "at_least",
    "one more pair of a target and a distractor in twenty in the wrong order",
)
TEMPERATURES = (0.01, 0.1, 0.5)
PAPER_SCORE, WITHOUT = "max PMI", "max PMI, p(v|t)"
PLANTED = 8  # background patches turned into targets, and as many into distractors
HOW = (
    "Targets match two words of the prompt, distractors one of them. Where the scenes are known, "
    "questions that name one color and one digit: targets are patches of things with both, "
    "distractors those of things with one of the two (patches of both kinds are left out). Else "
    f"they are planted: up to {PLANTED} pairs of background patches are given, for a target, the "
    "similarity to two words, for a distractor, to one of the two, that the relevant patches have "
    "to their best words. The rate is that of pairs in which the distractor scores higher, ties a "
    "half. The effect is the rate under max PMI with the softmax over words less that with the "
    "softmax over patches, p(v given t), same τ and same maximum: there words do not compete. "
    "Rates of other scores, at three temperatures, are beside it."
)
MEANING = {
    "holds": "The competition of words makes the pruner prefer half-matches: for questions about "
    "conjunctions (a red four) use a conditional in which words do not compete.",
    "violated": "The competition of words does not cost pairs here: max PMI ranks conjunctions as "
    "well as a conditional without competition.",
    "inconclusive": "Too few conjunctions to tell whether the competition of words matters.",
}

Floats = NDArray[np.float64]


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per question with both kinds of patch: rate of wrong order under every score and τ."""
    rows: list[dict[str, Any]] = []
    for sample in samples:
        row = keeping.identity(sample) | {"made": "", rate_name(PAPER_SCORE): np.nan}
        found = in_scene(sample) if things_of(sample) else planted(sample, context)
        if found is not None:
            cosine, target, distractor = found
            row["made"] = "scene" if things_of(sample) else "planted"
            row |= rates(cosine, target, distractor, context.temperature)
        rows.append(row)
    return pd.DataFrame(rows)


def rate_name(score: str, tau: float | None = None) -> str:
    """Column of a score's rate; without τ the audited one."""
    return score if tau is None else f"{score} @ {tau:g}"


def rates(
    cosine: Tensor, target: keeping.Mask, distractor: keeping.Mask, temperature: float
) -> dict[str, float]:
    """Rate at which a distractor outscores a target, by score and temperature."""
    either = target | distractor
    out = {}
    for tau in (None, *TEMPERATURES):
        for name, score in SCORES.items():
            found = torch.round(score(cosine, temperature if tau is None else tau), decimals=9)
            out[rate_name(name, tau)] = auc(found.numpy()[either], distractor[either])
    return out


def in_scene(sample: Sample) -> tuple[Tensor, keeping.Mask, keeping.Mask] | None:
    """Cosine (n_v, n_t), targets, distractors of a question naming one color and one digit."""
    pair = named_pair(sample.tokens)
    if pair is None:
        return None
    words = {sample.tokens[j] for j in pair}
    masks = [np.zeros(sample.n_v, dtype=bool) for _ in range(3)]  # by number of words matched
    for placed in things_of(sample):
        masks[len(words & set(placed.names))] |= placed.mask
    none, one, both = masks
    target, distractor = both & ~one & ~none, one & ~both & ~none
    if not (target.any() and distractor.any()):
        return None
    return _cosine(sample), target, distractor


def planted(sample: Sample, context: Context) -> tuple[Tensor, keeping.Mask, keeping.Mask] | None:
    """The same with background patches made to match two words, or one of them.

    The words are the two that relevant patches are most similar to; a planted similarity is the
    mean over the relevant patches of that to their best word.
    """
    relevant = keeping.relevant_mask(sample)
    background = np.flatnonzero(~relevant) if relevant is not None else np.array([], dtype=int)
    if relevant is None or not relevant.any() or sample.n_t < 2 or len(background) < 4:
        return None
    cosine = _cosine(sample)
    matched = cosine[torch.from_numpy(relevant)]  # (n_relevant, n_t)
    words = matched.mean(0).argsort(descending=True, stable=True)[:2].tolist()
    strength = matched.amax(-1).mean()
    n = min(PLANTED, len(background) // 2)
    drawn = context.rng(NAME, sample.sample_id).permutation(background)[: 2 * n]
    target, distractor = (np.zeros(sample.n_v, dtype=bool) for _ in range(2))
    target[drawn[:n]], distractor[drawn[n:]] = True, True
    for word in words:
        cosine[torch.from_numpy(drawn[:n]), word] = strength
    for i, patch in enumerate(drawn[n:]):
        cosine[int(patch), words[i % 2]] = strength
    return cosine, target, distractor


def _cosine(sample: Sample) -> Tensor:
    return cosine_similarity(
        sample.visual.double(), sample.text.double(), zero_norm="uninformative"
    )


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """The interval of the rate under max PMI less that without competition."""
    known = table.dropna(subset=[PAPER_SCORE])
    images = known["image_id"]
    if images.nunique() < CLAIM.min_images:
        return CLAIM.unassessed(
            f"needs {CLAIM.min_images} images with patches that match two words of a prompt and "
            f"others that match one; this bundle has {images.nunique()}",
            context,
        )
    scene = (known["made"] == "scene").mean()
    return CLAIM.verdict(
        context,
        n=images.nunique(),
        method=f"paired over {len(known)} questions, {scene:.0%} of known scenes, the rest planted",
        effect=mean_effect(
            "wrong order: softmax over words less over patches",
            "rate",
            known[PAPER_SCORE] - known[WITHOUT],
            images,
            span=2.0,
        ),
        caveats=(
            "Planted patches show what the score does with a conjunction, not how often real "
            "patches are one."
            if scene < 1
            else "Patches at the rim of a thing show little of it and count as matches.",
            "The two conditionals also differ in their marginals: over words and over patches.",
            f"{len(table) - len(known)} questions without a conjunction are left out.",
        ),
        diagnostics={
            "rate_by_score": {
                name: keeping.summary(name, "rate", known[name], images) for name in SCORES
            },
            "rate_by_score_and_temperature": {
                name: {f"{t:g}": float(known[rate_name(name, t)].mean()) for t in TEMPERATURES}
                for name in SCORES
            },
            "max_pmi_less": {
                name: keeping.summary(name, "rate", known[PAPER_SCORE] - known[name], images)
                for name in SCORES
                if name != PAPER_SCORE
            },
            "questions": len(known),
        },
    )


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """By score: rate at which half-matches outrank conjunctions, at three temperatures."""
    audited = verdict.diagnostics.get("rate_by_score", {})
    by_tau = verdict.diagnostics.get("rate_by_score_and_temperature", {})
    with theme():
        figure = new_figure(PAGE * 0.85, 2.9)
        axes = figure.subplots()
        for y, name in enumerate(audited):
            e = audited[name]
            axes.plot([e["low"], e["high"]], [y, y], color=GRAY, linewidth=6, alpha=0.35)
            for tau, color, marker in zip(
                TEMPERATURES, (BLUE, GREEN, VERMILION), ("v", "o", "^"), strict=True
            ):
                label = f"τ = {tau:g}" if y == 0 else None
                value = by_tau[name][f"{tau:g}"]
                axes.plot(value, y, marker, color=color, label=label, linestyle="none")
        axes.set_yticks(np.arange(len(audited)), list(audited))
        axes.invert_yaxis()
        axes.axvline(0.5, color="black", linewidth=0.7, linestyle="--")
        axes.set_xlabel(
            "rate at which a patch matching one word outranks one matching two\n"
            "(dashed: chance; gray: 95% over images at the audited τ)"
        )
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
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
    needs=("relevant",),
    max_images=256,
)
evaluate = CLAIM.evaluate
