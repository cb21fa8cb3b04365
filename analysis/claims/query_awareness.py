"""Whether relevance follows the question, or only tells things from background."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from analysis.style import BLUE, GRAY, PAGE, VERMILION, new_figure, theme
from mitheory.bundle import Sample
from mitheory.pmi import cross_pmi
from mitheory.verdict import Kind, SmallestEffect, Verdict

from . import keeping
from .base import Claim, mean_effect
from .context import Context
from .things import things_of

NAME = "query_awareness"
STATEMENT = (
    "The cross-modal score is aware of the query: among the patches of things, those asked about "
    "score higher under the question than under another."
)
SOURCE = "Sec. 1, Sec. 3.2, Eq. (19)"
KIND: Kind = "empirical"
SMALLEST_EFFECT = SmallestEffect(
    0.05,
    "AUC",
    "at_least",
    "one more pair of patches in twenty ranked rightly; a score without the query has 0",
)
DONORS = 8  # prompts of other images per question
PER_TYPE, POOL = 24, 96  # prompts at hand, of one type and in all
HOW = (
    "Among the patches of things (of every known thing, or else of those that any question about "
    "the image is about), the probability that a patch in question has a larger max PMI than one "
    "that is not, ties counting half (AUC). The effect is that AUC under the question's own prompt "
    f"less the mean under {DONORS} prompts of other images, of the same question type where there "
    "are any. Background patches take no part: any score that sees things tells them from "
    "background, whatever is asked. Questions about none or all of the things are left out."
)
MEANING = {
    "holds": "The score follows the question: it prefers the things asked about to other things.",
    "violated": "The score does not follow the question beyond telling things from background: a "
    "prompt-agnostic saliency would serve as well.",
    "inconclusive": "Too few questions to tell whether the score follows the question.",
}


@dataclass(frozen=True, eq=False)
class Prompt:
    """A question's words, to be asked of another image."""

    image_id: str
    question_type: str
    text: Tensor


@dataclass(frozen=True)
class Prepared:
    """Prompts to ask of other images, and nothing that depends on which sample asks."""

    prompts: tuple[Prompt, ...]


def prepare(samples: Iterator[Sample], context: Context) -> Prepared:
    """The first prompts of every type, one per image and type."""
    found: list[Prompt] = []
    seen: set[tuple[str, str]] = set()
    counts: dict[str, int] = {}
    for s in samples:
        kind = s.question_type
        if len(found) < POOL and counts.get(kind, 0) < PER_TYPE and (s.image_id, kind) not in seen:
            seen.add((s.image_id, kind))
            counts[kind] = counts.get(kind, 0) + 1
            found.append(Prompt(s.image_id, kind, s.text))
    return Prepared(tuple(found))


def auc(scores: NDArray[np.float64], positive: keeping.Mask) -> float:
    """Probability that a positive outscores a negative, ties a half.

    Examples
    --------
    >>> auc(np.array([3.0, 1.0, 2.0, 1.0]), np.array([True, True, False, False]))
    0.625
    """
    n, m = int(positive.sum()), int((~positive).sum())
    return float((rankdata(scores)[positive].sum() - n * (n + 1) / 2) / (n * m))


def object_patches(samples: Sequence[Sample]) -> dict[str, keeping.Mask]:
    """By image the patches of its things: of all known, else of all asked about."""
    found: dict[str, keeping.Mask] = {}
    for sample in samples:
        things = things_of(sample)
        masks = [t.mask for t in things] if things else [keeping.relevant_mask(sample)]
        for mask in masks:
            if mask is not None:
                found[sample.image_id] = found.get(sample.image_id, np.zeros_like(mask)) | mask
    return found


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per question about some of the things: AUC under its own prompt and under others."""
    prompts: tuple[Prompt, ...] = context.prepared[NAME].prompts
    things = object_patches(samples)
    rows: list[dict[str, Any]] = []
    for s in samples:
        among = things[s.image_id]
        asked = keeping.relevant_mask(s)
        row = keeping.identity(s) | {"question_type": s.question_type, "own": np.nan}
        row |= {"shuffled": np.nan, "all_patches": np.nan, "all_patches_shuffled": np.nan}
        donors = donors_of(s, prompts, context)
        if asked is not None and asked.any() and (among & ~asked).any() and donors:
            inside = asked[among]
            own = relevance(s, s.text, context)
            others = [relevance(s, p.text, context) for p in donors]
            row["own"] = auc(own[among], inside)
            row["shuffled"] = float(np.mean([auc(o[among], inside) for o in others]))
            row["all_patches"] = auc(own, asked)
            row["all_patches_shuffled"] = float(np.mean([auc(o, asked) for o in others]))
        rows.append(row)
    return pd.DataFrame(rows)


def donors_of(sample: Sample, prompts: Sequence[Prompt], context: Context) -> list[Prompt]:
    """Prompts of other images, of the sample's type if there are any, drawn by its own seed."""
    others = [p for p in prompts if p.image_id != sample.image_id]
    alike = [p for p in others if p.question_type == sample.question_type]
    pool = alike or others
    drawn = context.rng(NAME, sample.sample_id).permutation(len(pool))[:DONORS]
    return [pool[i] for i in drawn]


def relevance(sample: Sample, text: Tensor, context: Context) -> NDArray[np.float64]:
    """(n_v,) max PMI in nats under a prompt, rounded so that copies of a patch tie."""
    found = cross_pmi(
        sample.visual.double(),
        text.double(),
        temperature=context.temperature,
        zero_norm="uninformative",
    ).pmi.amax(-1)
    return torch.round(found, decimals=9).numpy()


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """The interval of the AUC under the own prompt less that under others."""
    known = table.dropna(subset=["own"])
    images = known["image_id"]
    if images.nunique() < CLAIM.min_images:
        return CLAIM.unassessed(
            f"needs {CLAIM.min_images} images with questions about some of their things and not "
            f"about others; this bundle has {images.nunique()}",
            context,
        )
    by_type = {
        str(kind): keeping.summary("gain", "AUC", rows["own"] - rows["shuffled"], rows["image_id"])
        | {"questions": len(rows)}
        for kind, rows in known.groupby("question_type")
        if rows["image_id"].nunique() > 1
    }
    return CLAIM.verdict(
        context,
        n=images.nunique(),
        method=f"paired over questions; control: {DONORS} prompts of other images",
        effect=mean_effect(
            "AUC among things, own prompt less shuffled",
            "AUC",
            known["own"] - known["shuffled"],
            images,
            span=2.0,
        ),
        caveats=(
            "Prompts of other images may name the same things by chance: the gain is understated.",
            f"{len(table) - len(known)} questions about none or all of the things are left out.",
        ),
        diagnostics={
            "auc_own": keeping.summary("own", "AUC", known["own"], images),
            "auc_shuffled": keeping.summary("shuffled", "AUC", known["shuffled"], images),
            "against_all_patches_own": float(known["all_patches"].mean()),
            "against_all_patches_shuffled": float(known["all_patches_shuffled"].mean()),
            "gain_by_question_type": by_type,
        },
    )


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """AUC under the own and under shuffled prompts, and the gain by question type."""
    known = table.dropna(subset=["own"])
    found = verdict.diagnostics.get("gain_by_question_type", {})
    with theme():
        figure = new_figure(PAGE, 2.3)
        left, right = figure.subplots(1, 2)
        for name, color in (("own", BLUE), ("shuffled", VERMILION)):
            sns.histplot(
                known[name], ax=left, color=color, bins=np.linspace(0, 1, 21).tolist(), alpha=0.45,
                label=f"{name} prompt", linewidth=0.3,
            )  # fmt: skip
        left.axvline(0.5, color=GRAY, linewidth=0.7, linestyle="--")
        left.set_xlabel("AUC of asked-for patches among those of things")
        left.set_ylabel("questions")
        left.legend()
        for y, e in enumerate(found.values()):
            right.plot([e["low"], e["high"]], [y, y], color=BLUE, linewidth=2.2)
            right.plot(e["value"], y, "o", color=BLUE)
        right.set_yticks(
            np.arange(len(found)),
            [f"{n.replace('_', ' ')} ({e['questions']})" for n, e in found.items()],
        )
        right.invert_yaxis()
        right.axvline(0, color="black", linewidth=0.7)
        right.axvline(SMALLEST_EFFECT.value, color=GRAY, linewidth=0.9, linestyle="--")
        right.set_xlabel("gain in AUC over shuffled prompts\n(dashed: smallest of interest)")
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
    prepare=prepare,
)
evaluate = CLAIM.evaluate
