"""Runs of Algorithm 1's programs: every formula checked, every method timed."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from mitheory import select
from mitheory.selection import SELECTORS

from ..settings import CDPRUNER
from . import programs
from .algorithm_1 import Size, algorithm_1, literal_scoring, literal_selection
from .context import Context
from .orders import PAPER, WORDS
from .programs import HEAP, LAZY, LITERAL, OURS

NAME = "stated_complexity"
TIMED = (144, 576, 2304)


def checked(context: Context) -> list[dict[str, object]]:
    """Formula and count of every operation of every program, at sizes where it can be run."""
    rows: list[dict[str, object]] = []

    def add(program: str, size: Size, found: dict[str, int], formula: dict[str, int],
            bound: bool = False) -> None:  # fmt: skip
        rows.extend(
            {"row": "checked", "program": program, "n": size.n, "k": size.k, "operation": name,
             "count": float(found.get(name, 0)), "formula": float(value), "bound": bound}
            for name, value in formula.items()
        )  # fmt: skip

    for size in (Size(9, 4, 3, 5), Size(12, 1, 2, 4), Size(7, 7, 4, 3)):
        visual, text = _tokens(size, context)
        for lam in (1.0, context.relevance_weight):
            _, scoring, selection = algorithm_1(
                visual.tolist(), text.tolist(), temperature=context.temperature, budget=size.k,
                relevance_weight=lam,
            )  # fmt: skip
            add(LITERAL, size, scoring, literal_scoring(size))
            add(LITERAL, size, selection, literal_selection(size))
    for size in (Size(64, 5, 4, 3), Size(1152, 5, 4, 3), Size(1500, 20, 7, 8)):
        for lam in (1.0, 0.5):
            _, scoring, selection = programs.ours(
                *_tokens(size, context), temperature=context.temperature, budget=size.k,
                relevance_weight=lam,
            )  # fmt: skip
            add(OURS, size, scoring, programs.ours_scoring(size, alone=lam == 1))
            add(OURS, size, selection, programs.ours_selection(size, alone=lam == 1))
    for size in (Size(100, 100, 1), Size(1000, 64, 1)):
        scores = context.rng(NAME, size.n).standard_normal(size.n).tolist()
        count = programs.heap_comparisons(scores, size.k)[1]
        add(HEAP, size, {"comparisons": count}, {"comparisons": programs.heap_bound(size)}, True)
    for size in (Size(40, 10, 1), Size(90, 10, 1)):
        count = programs.lazy_worst_case(size.n, size.k, 0.5)
        add(LAZY, size, {"evaluations": count}, {"evaluations": size.scored})
    return rows


def moved(context: Context) -> list[dict[str, object]]:
    """FLOPs of products and bytes that PyTorch reads and writes, at the size of LLaVA-1.5."""
    visual, text = (x.float() for x in _tokens(PAPER, context))
    rows: list[dict[str, object]] = []
    for weight, lam in (("1", 1.0), ("< 1", 0.5)):
        _, *stages = programs.ours(
            visual, text, temperature=context.temperature, budget=PAPER.k, relevance_weight=lam
        )
        rows += [
            {"row": "moved", "program": OURS, "weight": weight, "stage": stage, "n": PAPER.n,
             "k": PAPER.k, "flops": 2.0 * tally["multiplications"], "bytes": float(tally["bytes"])}
            for stage, tally in zip(("scoring", "selection"), stages, strict=True)
        ]  # fmt: skip
    return rows


def _tokens(size: Size, context: Context) -> tuple[torch.Tensor, torch.Tensor]:
    rng = context.rng(NAME, size.n, size.d)
    visual, text = rng.standard_normal((size.n, size.d)), rng.standard_normal((size.words, size.d))
    return torch.from_numpy(visual), torch.from_numpy(text)


def timed(context: Context) -> list[dict[str, object]]:
    """Every method of the front door on the same tokens; milliseconds."""
    variants: dict[str, tuple[str, dict[str, Any]]] = {
        "MI-Pruner, λ = 1": ("mi_pruner", {"relevance_weight": 1.0}),
        "MI-Pruner, λ = ½": ("mi_pruner", {"relevance_weight": 0.5}),
        **{name: (name, {}) for name in SELECTORS if name != "mi_pruner"},
        "cdpruner": ("cdpruner", CDPRUNER),
    }
    rows: list[dict[str, object]] = []
    for n in TIMED:
        inputs = _inputs(n, context)
        for label, (method, options) in variants.items():
            given = {i: inputs[i] for i in {"visual", *SELECTORS[method].required(options)}}
            seconds = []
            for _ in range(3):
                clock = time.perf_counter()
                select(method, budget=n // 9, **given, **options)
                seconds.append(time.perf_counter() - clock)
            rows.append({"row": "timed", "program": label, "n": n, "k": n // 9,
                         "milliseconds": 1000 * float(np.median(seconds))})  # fmt: skip
    return rows


def _inputs(n: int, context: Context) -> dict[str, Any]:
    visual, text = (x.float() for x in _tokens(Size(n, 1, WORDS, 256), context))
    rng = torch.Generator().manual_seed(context.seed_of(NAME, n))
    keys = torch.rand(4, n + WORDS, 32, generator=rng)
    return {
        "visual": visual, "text": text, "encoder_features": visual, "encoder_keys": visual,
        "clip_visual": visual, "clip_text": text,
        "relevant": torch.rand(n, generator=rng) < 0.1,
        "cls_attention": torch.rand(4, n, generator=rng),
        "patch_attention": torch.rand(1, n, n, generator=rng).softmax(-1),
        "text_attention": torch.rand(4, WORDS, n, generator=rng).softmax(-1),
        "llm_visual_states": visual, "llm_text_states": text,
        "llm_visual_keys": keys[:, :n], "llm_text_keys": keys[:, n:],
    }  # fmt: skip
