"""What a method keeps of many samples, and how much of what matters is in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from mitheory.bundle import Sample
from mitheory.selection import select_batch
from mitheory.verdict import Effect

from .base import mean_effect
from .context import Context, fold

Mask = NDArray[np.bool_]
Gauge = Literal["answers", "patches"]

PAPER_RATIO = 1 / 9  # 64 of 576 tokens, the budget of most of the paper's tables
NUMBERS_AT_A_TIME = 2**24  # of stacked embeddings

GAUGES: dict[Gauge, str] = {
    "answers": "share of correct answers",
    "patches": "share of relevant patches kept",
}
NO_GAUGE = (
    "needs relevant patches in every sample, or answers and the model itself, to tell a good kept "
    "set from a bad one"
)
NOTHING_RELEVANT = "no question has a relevant patch"


def main_ratio(context: Context) -> float:
    """The audited share of tokens that is nearest to the paper's 64 of 576."""
    return min(context.ratios, key=lambda ratio: (abs(ratio - PAPER_RATIO), ratio))


def keep(
    samples: Sequence[Sample], context: Context, method: str = "mi_pruner", **options: Any
) -> list[Mask]:
    """(n_v,) bool per sample: what the method keeps at the main budget.

    MI-Pruner is the audited one, with the context's τ and λ, unless `options` say otherwise. An
    option that is a function is asked for each sample's own value, such as a prior (n_v,).
    """
    if method == "mi_pruner":
        audited = {
            "temperature": context.temperature,
            "relevance_weight": context.relevance_weight,
        }
        options = audited | options
    ratio = options.pop("ratio", main_ratio(context))
    kept: list[Mask] = [np.zeros(s.n_v, dtype=bool) for s in samples]
    for members in _batches(samples):
        part = [samples[i] for i in members]
        text = pad_sequence([s.text for s in part], batch_first=True)
        words = torch.tensor([s.n_t for s in part])
        chosen = select_batch(
            method,
            visual=torch.stack([s.visual for s in part]),
            text=text,
            text_mask=torch.arange(text.shape[1]) < words[:, None],
            budget=float(ratio),
            grid=part[0].grid,
            zero_norm="uninformative",
            **{name: _own(value, part) for name, value in options.items()},
        )
        for i, selection in zip(members, chosen, strict=True):
            kept[i][selection.indices.numpy()] = True
    return kept


def _own(value: Any, samples: Sequence[Sample]) -> Any:
    return torch.stack([value(s) for s in samples]) if callable(value) else value


def _batches(samples: Sequence[Sample]) -> list[list[int]]:
    """Places of samples of one shape, so many that their stacked embeddings fit."""
    groups: dict[object, list[int]] = {}
    for i, sample in enumerate(samples):
        groups.setdefault((sample.visual.shape, sample.grid, sample.visual.dtype), []).append(i)
    batches = []
    for members in groups.values():
        step = max(1, NUMBERS_AT_A_TIME // samples[members[0]].visual.numel())
        batches += [members[i : i + step] for i in range(0, len(members), step)]
    return batches


def relevant_mask(sample: Sample) -> Mask | None:
    """(n_v,) bool: the patches in question; None where the bundle does not say."""
    return None if sample.relevant is None else sample.relevant.numpy().astype(bool)


def share_kept(sample: Sample, kept: Mask) -> float:
    """Share of the relevant patches that are kept; NaN where there is none or none is known."""
    relevant = relevant_mask(sample)
    if relevant is None or not relevant.any():
        return float("nan")
    return float(kept[relevant].mean())


def jaccard(a: Mask, b: Mask) -> float:
    """Size of the intersection over that of the union.

    Examples
    --------
    >>> jaccard(np.array([True, True, False]), np.array([False, True, True]))
    0.3333333333333333
    """
    return float((a & b).sum() / (a | b).sum())


def gauge_of(context: Context) -> Gauge | None:
    """What tells a good kept set: answers of the model itself; else relevant patches; else None."""
    if context.model is not None and "answer" in context.facts.fields:
        return "answers"
    return "patches" if "relevant" in context.facts.fields else None


def gauged(
    gauge: Gauge | None, samples: Sequence[Sample], kept: Sequence[Mask], context: Context
) -> list[float]:
    """1 or 0 for a right or wrong answer, or the share of relevant patches kept; NaN: neither."""
    if gauge is None:
        return [float("nan")] * len(samples)
    if gauge == "answers":
        indices = [torch.from_numpy(np.flatnonzero(k)) for k in kept]
        answers = context.adapter().answer(samples, indices)
        return [float(a.text == s.answer) for a, s in zip(answers, samples, strict=True)]
    return [share_kept(s, k) for s, k in zip(samples, kept, strict=True)]


def identity(sample: Sample) -> dict[str, Any]:
    """The first columns of every row."""
    return {"image_id": sample.image_id, "sample_id": sample.sample_id}


def choose_on_other_half(table: pd.DataFrame, columns: Sequence[str]) -> pd.Series | None:
    """Per row the column with the largest mean over the *other* half of the images; ties: first.

    So the best of several is not taken for good because it was lucky. None where a half has no row.
    """
    halves = table["image_id"].map(fold)
    if halves.nunique() < 2:
        return None
    best = {half: str(table.loc[halves != half, list(columns)].mean().idxmax()) for half in (0, 1)}
    return halves.map(best)


def values_of(table: pd.DataFrame, choice: pd.Series) -> NDArray[np.float64]:
    """(rows,) of each row the column that was chosen for it."""
    found = np.full(len(table), np.nan)
    for name in sorted(set(choice)):
        found = np.where(choice == name, table[name], found)
    return found


def summary(name: str, unit: str, values: Any, images: Any, *, span: float | None = None) -> dict:
    """Mean of rows, both ends of its 95% interval over images, as JSON values."""
    return as_json(mean_effect(name, unit, values, images, span=span))


def as_json(effect: Effect) -> dict[str, float]:
    """Value and both ends at 95%."""
    return {"value": effect.value, "low": effect.low, "high": effect.high}
