"""One cell of the grid: select with a setting at a budget, answer, one row per sample."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mitheory import select_batch
from mitheory.budgets import Decoder, Schedule, before_decoder, geometric
from mitheory.bundle import Sample
from mitheory.models.base import Answer, OpenAdapter, Stage, StagedAnswer
from mitheory.selection import SELECTORS
from mitheory.selection.inputs import SHAPES
from mitheory.selection.retention_curve import retention_curve

from .settings import Setting

BATCH = 128


def kept_sets(
    setting: Setting, samples: Sequence[Sample], budget: int, *, seed: int
) -> tuple[list[Tensor], list[float]]:
    """Kept indices, in order of choice, and selection seconds of every sample."""
    kept: list[Tensor] = [torch.empty(0)] * len(samples)
    seconds = [0.0] * len(samples)
    for options, members in _by_options(setting, samples):
        for start in range(0, len(members), BATCH):
            part = members[start : start + BATCH]
            clock = time.perf_counter()
            chosen = _select(setting, [samples[i] for i in part], options, budget, seed)
            spent = (time.perf_counter() - clock) / len(part)
            for i, indices in zip(part, chosen, strict=True):
                kept[i], seconds[i] = indices, spent
    return kept, seconds


def staged_answers(
    setting: Setting, adapter: OpenAdapter, samples: Sequence[Sample], budget: int, *, seed: int
) -> list[StagedAnswer]:
    """Answers when the method prunes inside the decoder, before the blocks of the setting."""
    found: list[StagedAnswer | None] = [None] * len(samples)
    plan = _curves if setting.method == "autoprune" else _shares
    for options, members in _by_options(setting, samples):
        part = [samples[i] for i in members]
        stages = plan(setting, adapter, part, budget, options)
        answers = adapter.answer_staged(part, stages, seed=_seeds(setting, part, seed))
        for i, answer in zip(members, answers, strict=True):
            found[i] = answer
    return [answer for answer in found if answer is not None]


def _shares(
    setting: Setting,
    adapter: OpenAdapter,
    samples: Sequence[Sample],
    budget: int,
    options: Mapping[str, Any],
) -> list[Stage]:
    """Stages that each keep the same share, so that the budget is what is left at the end."""
    budgets = geometric(samples[0].n_v, budget, len(setting.layers))
    pairs = zip(setting.layers, budgets, strict=True)
    return [Stage(layer, setting.method, count, options) for layer, count in pairs]


def _curves(
    setting: Setting,
    adapter: OpenAdapter,
    samples: Sequence[Sample],
    budget: int,
    options: Mapping[str, Any],
) -> list[Stage]:
    """AutoPrune's stages: every sample's own curve, by the attention of block 0 on all tokens.

    The budget is the mean of what comes out of the blocks, as the method counts; pruning to it
    before block 1 has the same. The first stage is the first cut. Nothing is averaged.

    Source: wang2025autoprune.
    """
    curves: list[tuple[int, ...]] = []
    for start in range(0, len(samples), BATCH):
        part = samples[start : start + BATCH]
        words = [inside["text_attention"] for inside in adapter.internals(part, 1)]
        padded = pad_sequence([x.movedim(1, 0) for x in words], batch_first=True).movedim(1, 2)
        there = torch.arange(padded.shape[2]) < torch.tensor([s.n_t for s in part])[:, None]
        found = select_batch(
            setting.method,
            text_attention=padded,
            text_mask=there,
            budget=1,
        )
        curves += [
            retention_curve(
                s.info["information"], budget, samples[0].n_v, n_layers=adapter.n_layers
            )
            for s in found
        ]
    return [
        Stage(
            layer,
            setting.method,
            tuple(curve[layer - 1] for curve in curves),
            {**options, "rating": "cls+text" if layer == setting.layers[0] else "text"},
        )
        for layer in setting.layers
    ]


def _by_options(
    setting: Setting, samples: Sequence[Sample]
) -> list[tuple[dict[str, Any], list[int]]]:
    """Samples with the options that hold for their type of question, those of one kind together."""
    groups: dict[str, tuple[dict[str, Any], list[int]]] = {}
    for i, sample in enumerate(samples):
        options = setting.options_for(sample.question_type)
        groups.setdefault(repr(options), (options, []))[1].append(i)
    return list(groups.values())


def _select(
    setting: Setting, samples: list[Sample], options: dict[str, Any], budget: int, seed: int
) -> list[Tensor]:
    method = SELECTORS[setting.method]
    wanted = {"visual", *method.inputs, *method.required(options)}
    lengths = torch.tensor([s.n_t for s in samples])
    inputs = {name: _stacked(name, samples) for name in SHAPES if name in wanted}
    given: dict[str, Any] = {name: x for name, x in inputs.items() if x is not None}
    selections = select_batch(
        setting.method,
        text_mask=torch.arange(int(lengths.max())) < lengths[:, None],
        budget=budget,
        seed=_seeds(setting, samples, seed),
        **given,
        **options,
    )
    return [s.indices for s in selections]


def _stacked(name: str, samples: Sequence[Sample]) -> Tensor | None:
    """One input of all samples, words padded with zeros; None where some sample lacks it."""
    each = [getattr(sample, name) for sample in samples]
    if any(x is None for x in each):
        return None
    if "n_t" not in SHAPES[name]:
        return torch.stack(each)
    axis = SHAPES[name].index("n_t")
    padded = pad_sequence([x.movedim(axis, 0) for x in each], batch_first=True)
    return padded.movedim(1, axis + 1)


def _seeds(setting: Setting, samples: Sequence[Sample], seed: int) -> list[int]:
    return [_sample_seed(s.sample_id, seed + 1000 * setting.draw) for s in samples]


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
    costs: Sequence[Schedule],
    decoder: Decoder,
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
            "tokens_after": [c.tokens_after_pruning for c in costs],
            "layer_average": [c.layer_average for c in costs],
            "flop_ratio": [
                c.flop_ratio(decoder, s.n_t) for c, s in zip(costs, samples, strict=True)
            ],
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
    adapter: OpenAdapter,
    samples: Sequence[Sample],
    budget: int,
    *,
    seed: int,
) -> pd.DataFrame:
    """Rows of one setting at one budget; method "full" keeps everything.

    Inside the decoder, ``kept`` is what is left at the end, and ``seconds`` is not measured (NaN).
    """
    samples = samples[: setting.limit or len(samples)]
    n_v = len(samples[0].visual)
    if setting.layers:
        found = staged_answers(setting, adapter, samples, budget, seed=seed)
        costs = [Schedule(f.tokens_per_layer, n_v) for f in found]
        kept, answers = [f.kept[-1] for f in found], [f.answer for f in found]
        unknown = [float("nan")] * len(samples)
        return rows(setting, samples, budget, kept, unknown, answers, costs, adapter.decoder)
    if setting.method == "full":
        kept, seconds = [torch.arange(n_v)] * len(samples), [0.0] * len(samples)
    else:
        kept, seconds = kept_sets(setting, samples, budget, seed=seed)
    costs = [before_decoder(n_v, len(k), adapter.n_layers) for k in kept]
    answers = adapter.answer(samples, kept)
    return rows(setting, samples, budget, kept, seconds, answers, costs, adapter.decoder)
