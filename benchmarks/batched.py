"""Ragged batches against a loop over their samples, and one sample with very many tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from mitheory import SELECTORS, select, select_batch

from . import mi
from .contest import Contest, Entrant, Inputs
from .tokens import normal, visual_text

SUITE, LARGE_SUITE = "batches", "many tokens"
METHODS = ("mi_pruner", "divprune", "facility_location", "log_det", "similarity")
SAMPLES, N_V, N_T, D = 16, 576, 32, 256
TINY = {"n_v": 24, "n_t": 4, "samples": 3, "k": 5}


def contests() -> list[Contest]:
    """`select_batch` is to keep 0.8 of linear throughput at least."""
    return [
        Contest(
            SUITE,
            name,
            {"samples": SAMPLES, "n_v": N_V, "n_t": N_T, "d": D, "k": 64, "dtype": "float32"},
            ragged,
            (
                Entrant("mitheory, one batch", together(name), "ours"),
                Entrant("mitheory, one by one", one_by_one(name), target=0.8),
            ),
            TINY,
            quick=name == METHODS[0],
        )
        for name in METHODS
    ]


def large() -> list[Contest]:
    """MI-Pruner without the matrix of all pairs."""
    sizes = {"n_t": 32, "d": 256, "relevance_weight": 0.5, "dtype": "float32"}
    ours = (Entrant("mitheory", mi.ours, "ours"),)
    return [
        Contest(
            LARGE_SUITE,
            "MI-Pruner",
            {"n_v": n, **sizes, "k": 500},
            visual_text,
            ours,
            mi.TINY,
            quick=n < 5000,
        )
        for n in (4096, 100_000)
    ]


def ragged(
    *, samples: int, n_v: int, n_t: int, d: int, dtype: str = "float32", **settings: Any
) -> dict[str, Any]:
    """Padded samples with masks: half to all of n_v tokens, a quarter to all of n_t words."""
    rng = torch.Generator().manual_seed(2)
    lengths = {
        "visual": torch.randint(n_v // 2, n_v + 1, (samples,), generator=rng),
        "text": torch.randint(max(1, n_t // 4), n_t + 1, (samples,), generator=rng),
    }
    masks = {
        f"{name}_mask": torch.arange(n)[None] < lengths[name][:, None]
        for name, n in (("visual", n_v), ("text", n_t))
    }
    visual = normal(0, samples, n_v, d, dtype=dtype)
    text = normal(1, samples, n_t, d, dtype=dtype)
    return {"visual": visual, "text": text, **masks, **settings}


def together(name: str) -> Callable[[Inputs], list[int]]:
    """All samples by one call."""
    textual = "text" in SELECTORS[name].inputs

    def call(inputs: Inputs) -> list[int]:
        words = {k: inputs[k] for k in ("text", "text_mask") if textual}
        found = select_batch(
            name, visual=inputs["visual"], visual_mask=inputs["visual_mask"], budget=inputs["k"],
            **words,
        )  # fmt: skip
        return [i for selection in found for i in selection.indices.tolist()]

    return call


def one_by_one(name: str) -> Callable[[Inputs], list[int]]:
    """Each sample by a call of its own, its padding cut off."""
    textual = "text" in SELECTORS[name].inputs

    def call(inputs: Inputs) -> list[int]:
        kept: list[int] = []
        for row in range(len(inputs["visual"])):
            given = {"visual": inputs["visual"][row, : int(inputs["visual_mask"][row].sum())]}
            if textual:
                given["text"] = inputs["text"][row, : int(inputs["text_mask"][row].sum())]
            kept += select(name, **given, budget=inputs["k"]).indices.tolist()
        return kept

    return call
