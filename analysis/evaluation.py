"""One cell of the grid: select with a setting at a budget, answer, one row per sample."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mitheory import select_batch
from mitheory.bundle import Sample
from mitheory.models.base import Answer, ModelAdapter
from mitheory.selection import SELECTORS

from .settings import Setting

BATCH = 128
_SHARED = ("cls_attention", "patch_attention", "encoder_features", "relevant")


def kept_sets(
    setting: Setting, samples: Sequence[Sample], budget: int, *, seed: int
) -> tuple[list[Tensor], list[float]]:
    """Kept indices, in order of choice, and selection seconds of every sample."""
    kept: list[Tensor] = [torch.empty(0)] * len(samples)
    seconds = [0.0] * len(samples)
    groups: dict[str, list[int]] = {}
    for i, sample in enumerate(samples):
        key = repr(setting.options_for(sample.question_type))
        groups.setdefault(key, []).append(i)
    for members in groups.values():
        options = setting.options_for(samples[members[0]].question_type)
        for start in range(0, len(members), BATCH):
            part = members[start : start + BATCH]
            clock = time.perf_counter()
            chosen = _select(setting, [samples[i] for i in part], options, budget, seed)
            spent = (time.perf_counter() - clock) / len(part)
            for i, indices in zip(part, chosen, strict=True):
                kept[i], seconds[i] = indices, spent
    return kept, seconds


def _select(
    setting: Setting, samples: list[Sample], options: dict[str, Any], budget: int, seed: int
) -> list[Tensor]:
    method = SELECTORS[setting.method]
    text = pad_sequence([s.text for s in samples], batch_first=True)
    lengths = torch.tensor([len(s.text) for s in samples])
    extra: dict[str, Any] = {
        name: torch.stack([getattr(s, name) for s in samples])
        for name in _SHARED
        if name in method.requires
    }
    selections = select_batch(
        setting.method,
        visual=torch.stack([s.visual for s in samples]),
        text=text,
        text_mask=torch.arange(text.shape[1]) < lengths[:, None],
        budget=budget,
        seed=[_sample_seed(s.sample_id, seed + 1000 * setting.draw) for s in samples],
        **extra,
        **options,
    )
    return [s.indices for s in selections]


def _sample_seed(sample_id: str, seed: int) -> int:
    """A seed of the sample's own, so that no kept set depends on batch neighbors."""
    from zlib import crc32

    return crc32(f"{seed}:{sample_id}".encode())


def rows(
    setting: Setting,
    samples: Sequence[Sample],
    budget: int,
    kept: Sequence[Tensor],
    seconds: Sequence[float],
    answers: Sequence[Answer],
) -> pd.DataFrame:
    """The tidy table of one cell."""
    return pd.DataFrame(
        {
            "sample_id": [s.sample_id for s in samples],
            "image_id": [s.image_id for s in samples],
            "question_type": [s.question_type for s in samples],
            "negative": [s.negative for s in samples],
            "answer": [s.answer for s in samples],
            "prediction": [a.text for a in answers],
            "correct": [a.text == s.answer for a, s in zip(answers, samples, strict=True)],
            "log_prob": [a.log_prob_truth for a in answers],
            "seconds": list(seconds),
            "kept": [k.tolist() for k in kept],
        }
    ).assign(
        budget=budget,
        ratio=budget / len(samples[0].visual),
        method=setting.method,
        draw=setting.draw,
    )


def cell(
    setting: Setting,
    adapter: ModelAdapter,
    samples: Sequence[Sample],
    budget: int,
    *,
    seed: int,
) -> pd.DataFrame:
    """Rows of one setting at one budget; method "full" keeps everything."""
    if setting.method == "full":
        everything = [torch.arange(len(s.visual)) for s in samples]
        return rows(
            setting, samples, budget, everything, [0.0] * len(samples), adapter.answer(samples)
        )
    kept, seconds = kept_sets(setting, samples, budget, seed=seed)
    return rows(setting, samples, budget, kept, seconds, adapter.answer(samples, kept))
