"""Samples whose distributions over words are given, for the claims on aggregation and greedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from claim_samples import gaussian_samples
from torch import Tensor

from mitheory.bundle import Sample

TEMPERATURE = 0.1


def embedded(probability: Tensor) -> tuple[Tensor, Tensor]:
    """Unit patches and words whose softmax at τ = 0.1 is this (n_v, n_t) table, exactly.

    Words are the first coordinate axes and v_ij = τ log p_ij + c_i; one more coordinate makes the
    norm one.
    """
    logits = TEMPERATURE * probability.log()
    logits = logits - logits.mean(-1, keepdim=True)
    rest = 1 - logits.square().sum(-1, keepdim=True)
    assert bool((rest > 0).all()), "probabilities too far apart for unit vectors"
    visual = torch.cat([logits, rest.sqrt()], 1)
    text = torch.eye(probability.shape[1], probability.shape[1] + 1, dtype=probability.dtype)
    return visual, text


def with_tables(tables: Sequence[Tensor]) -> list[Sample]:
    """One sample per (16, n_t) table of p(t given v)."""
    plain = gaussian_samples(images=len(tables), questions=1)
    made = []
    for sample, table in zip(plain, tables, strict=True):
        visual, text = embedded(table)
        tokens = tuple(f"word{j}" for j in range(table.shape[1]))
        made.append(replace(sample, visual=visual.float(), text=text.float(), tokens=tokens))
    return made


def peaked(images: int = 12, *, mass: float = 0.9, n_t: int = 6) -> list[Sample]:
    """Each patch gives `mass` to one word of its own."""
    tables = []
    for image in range(images):
        rng = torch.Generator().manual_seed(image)
        word = torch.randint(n_t, (16,), generator=rng)
        table = torch.full((16, n_t), (1 - mass) / (n_t - 1), dtype=torch.float64)
        table[torch.arange(16), word] = mass
        tables.append(table)
    return with_tables(tables)


def rare_words(images: int = 12) -> list[Sample]:
    """Max and KL rank patches otherwise.

    Patches split between two frequent words; the less sure of one, the larger their trace of a
    rare word, which sets the maximum of a third of them and hardly counts in any divergence.
    """
    tables = []
    for image in range(images):
        rng = torch.Generator().manual_seed(100 + image)
        trace = torch.linspace(0.004, 0.06, 16, dtype=torch.float64)
        sure = torch.linspace(0.93, 0.6, 16, dtype=torch.float64)
        side = torch.randperm(16, generator=rng) < 8
        table = torch.empty(16, 3, dtype=torch.float64)
        table[:, 2] = trace
        table[:, 0] = torch.where(side, sure, 1 - sure) * (1 - trace)
        table[:, 1] = torch.where(side, 1 - sure, sure) * (1 - trace)
        tables.append(table)
    return with_tables(tables)
