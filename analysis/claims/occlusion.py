"""Which tokens an answer hangs on: drop one, ask again. And how well cheap scores find them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from mitheory.bundle import Sample
from mitheory.checks import check_budget

from . import keeping, query_awareness
from .base import one_per_image
from .context import Context

Floats = NDArray[np.float64]
MI, SHUFFLED, COSINE, CLS = "MI", "MI, other prompts", "cosine", "CLS attention"
LAYER = "decoder layer "
MOST_IMAGES = 48
BATCH = 16  # questions at a time: what a cache holds
STATED = (
    "One question per image is asked again with each token dropped; a token matters by what its "
    "absence takes from the log-probability of the true answer. Of the tokens that matter most, "
    "as many as the budget keeps, the share that a score finds among its own best as many is its "
    "recall; by chance it is the budget's ratio."
)


def measure(samples: Sequence[Sample], context: Context, name: str) -> pd.DataFrame:
    """Per question and score: rank correlation with what matters, recall at every ratio."""
    rows = []
    for sample in one_per_image(samples):
        importance = _importance(_Key(sample, context))
        if importance is None:
            continue
        scores = scores_of(sample, context, name)
        budget = check_budget(keeping.main_ratio(context), sample.n_v)
        for score, values in scores.items():
            rows.append(keeping.identity(sample) | {
                "question_type": sample.question_type,
                "score": score,
                "spearman": correlation(values, importance),
                "sensitivity": float(np.clip(importance, 0, None).sum()),
                "spearman_with_mi": correlation(scores[MI], values),
                "found_by_mi": recall(scores[MI], values, budget),
                **{f"recall_{i}": recall(values, importance, check_budget(ratio, sample.n_v))
                   for i, ratio in enumerate(context.ratios)},
            })  # fmt: skip
    columns = ["image_id", "sample_id", "question_type", "score", "spearman", "sensitivity"]
    columns += ["spearman_with_mi", "found_by_mi"]
    columns += [f"recall_{i}" for i in range(len(context.ratios))]
    return pd.DataFrame(rows, columns=columns)


class _Key:
    """A sample as the key of the memory: two claims ask the same 145 questions of it."""

    def __init__(self, sample: Sample, context: Context) -> None:
        self.sample, self.context = sample, context
        self.identity = (sample.sample_id, sample.question, context.model)

    def __hash__(self) -> int:
        return hash(self.identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and (
            self.identity == other.identity and torch.equal(self.sample.visual, other.sample.visual)
        )


@lru_cache(maxsize=256)
def _importance(key: _Key) -> Floats | None:
    return importance_of(key.sample, key.context)


def importance_of(sample: Sample, context: Context) -> Floats | None:
    """(n_v,) nats that the true answer's log-probability loses without each token.

    None where nothing is lost or gained by any.
    """
    everything = torch.arange(sample.n_v)
    without = [everything[everything != i] for i in range(sample.n_v)]
    keep = [everything, *without]
    parts = [keep[i : i + BATCH] for i in range(0, len(keep), BATCH)]
    model = context.adapter()
    answers = [a for part in parts for a in model.answer([sample] * len(part), part)]
    full, *dropped = (a.log_prob_truth for a in answers)
    lost = full - np.array(dropped)
    return None if np.ptp(lost) == 0 or not np.isfinite(lost).all() else lost


def scores_of(sample: Sample, context: Context, name: str) -> dict[str, Floats]:
    """Scores (n_v,) that can be had without asking again."""
    prepared: query_awareness.Prepared = context.prepared[name]
    donors = query_awareness.donors_of(sample, prepared.prompts, context)
    found = {MI: query_awareness.relevance(sample, sample.text, context)}
    if donors:
        found[SHUFFLED] = query_awareness.relevance(sample, donors[0].text, context)
    unit = torch.nn.functional.normalize
    cosine = unit(sample.visual.double(), dim=-1) @ unit(sample.text.double(), dim=-1).T
    found[COSINE] = cosine.amax(-1).numpy()
    if sample.cls_attention is not None:
        found[CLS] = sample.cls_attention.double().mean(0).numpy()
    (seen,) = context.adapter().attention([sample])  # (layers, heads, n_t, n_v)
    for layer, weights in enumerate(seen.double().mean(1)):
        found[f"{LAYER}{layer + 1}, last word"] = weights[-1].numpy()
        found[f"{LAYER}{layer + 1}, all words"] = weights.mean(0).numpy()
    return found


def correlation(scores: Floats, importance: Floats) -> float:
    """Spearman's; 0 where the scores rank nothing."""
    if np.ptp(scores) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(scores), rankdata(importance))[0, 1])


def recall(scores: Floats, importance: Floats, budget: int) -> float:
    """Share of the `budget` tokens that matter most among the `budget` best by score.

    Examples
    --------
    >>> recall(np.array([3.0, 2.0, 1.0]), np.array([0.5, 0.1, 0.2]), 2)
    0.5
    """
    first, second = (np.argsort(-v, kind="stable")[:budget] for v in (scores, importance))
    return len(np.intersect1d(first, second)) / budget


def wide(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """One row per question, one column per score."""
    return table.pivot_table(
        index=["image_id", "sample_id", "question_type"], columns="score", values=column
    ).reset_index()


def main_column(context: Context) -> str:
    """Recall at the ratio nearest a ninth."""
    return f"recall_{context.ratios.index(keeping.main_ratio(context))}"


def by_score(table: pd.DataFrame, column: str) -> dict[str, dict[str, float]]:
    """Mean of every score with its 95% interval over images."""
    return {
        str(score): keeping.summary(column, "share", rows[column], rows["image_id"])
        for score, rows in table.groupby("score")
        if rows["image_id"].nunique() > 1
    }


def by_type(table: pd.DataFrame, score: str, column: str) -> dict[str, float]:
    """Mean of a score for each type of question."""
    rows = table[table["score"] == score]
    means: dict[Any, float] = rows.groupby("question_type")[column].mean().to_dict()
    return {str(kind): float(value) for kind, value in means.items()}
