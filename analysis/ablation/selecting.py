"""Kept sets of a configuration: one row per sample, failures included."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from analysis.priors import prior_of
from mitheory import select, select_batch
from mitheory.bundle import Sample
from mitheory.checks import check_budget
from mitheory.errors import MitheoryError
from mitheory.models.fruitfly.questions import CLOSED_TYPES
from mitheory.selection import SELECTORS, Selection

from .configuration import FULL, Configuration
from .scopes import Words, text_of
from .searching import searched

BATCH = 128


@dataclass(frozen=True)
class Merged:
    """Kept tokens into which others are averaged: what a `Merge` holds, hashable."""

    kept: tuple[int, ...]
    into: tuple[int, ...]
    rule: str


def kept_sets(
    configuration: Configuration, samples: Sequence[Sample], model: Words, *, seed: int
) -> pd.DataFrame:
    """What is kept of every sample.

    Columns: sample_id, kept (indices in order of choice, None where it failed), into and merge_rule
    (of the `Merge`, where the method averages dropped tokens into kept ones and the model can be
    shown the averages), unmerged (whether it averages and the model cannot), seconds (of this
    sample's batch, shared equally), error.

    A batch in which one sample fails is done again sample by sample, so that one bad sample
    costs no other.
    """
    rows: list[dict[str, Any]] = []
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        options = options_of(configuration, sample)
        groups.setdefault(repr((options, sample.n_v)), []).append(sample)
    for members in groups.values():
        for start in range(0, len(members), BATCH):
            part = members[start : start + BATCH]
            try:
                rows += _selected(configuration, part, model, seed)
            except MitheoryError:
                for sample in part:
                    rows += _alone(configuration, sample, model, seed)
    return (
        pd.DataFrame(rows).set_index("sample_id").loc[[s.sample_id for s in samples]].reset_index()
    )


def _alone(
    configuration: Configuration, sample: Sample, model: Words, seed: int
) -> list[dict[str, Any]]:
    try:
        return _selected(configuration, [sample], model, seed)
    except MitheoryError as error:
        message = f"{type(error).__name__}: {error}"
        return [{"sample_id": sample.sample_id, "kept": None, "into": None, "merge_rule": None,
                 "unmerged": False, "seconds": float("nan"), "error": message}]  # fmt: skip


def _selected(
    configuration: Configuration, samples: Sequence[Sample], model: Words, seed: int
) -> list[dict[str, Any]]:
    clock = time.perf_counter()
    kept = _choose(configuration, samples, model, seed)
    seconds = (time.perf_counter() - clock) / len(samples)
    can_merge = getattr(model, "can_merge", False)
    merges = [k.merge if can_merge else None for k in kept]
    return [
        {"sample_id": s.sample_id, "kept": k.indices.tolist(),
         "into": m and m.into.tolist(), "merge_rule": m and m.rule,
         "unmerged": k.merge is not None and m is None, "seconds": seconds, "error": None}
        for s, k, m in zip(samples, kept, merges, strict=True)
    ]  # fmt: skip


def _choose(
    configuration: Configuration, samples: Sequence[Sample], model: Words, seed: int
) -> Sequence[Selection]:
    if configuration.method == FULL:
        return [
            Selection(torch.arange(s.n_v), torch.zeros(s.n_v), FULL, s.n_v, s.n_v) for s in samples
        ]
    options = options_of(configuration, samples[0])
    if "prior" in options:
        options["prior"] = prior_of(options["prior"], samples, model)
    method = SELECTORS[configuration.method]
    text = [text_of(s, configuration.scope, model) for s in samples]
    seeds = [sample_seed(s.sample_id, seed, configuration.draw) for s in samples]
    if configuration.search != "eager":
        everything = method.defaults | options
        return [
            searched(
                configuration.search, s.visual.double(), t.double(), _own(everything, i),
                check_budget(configuration.budget, s.n_v), own, s.grid,
            )
            for i, (s, t, own) in enumerate(zip(samples, text, seeds, strict=True))
        ]  # fmt: skip
    there = samples[0].tensors()
    needed = set(method.required(options, configuration.mode, given=there)) - {"visual", "text"}
    if {"text_attention", "llm_text_states"} & needed:  # ragged along words
        return [
            select(
                configuration.method, visual=s.visual, text=t, budget=configuration.budget,
                seed=own, grid=s.grid, mode=configuration.mode,
                **{n: getattr(s, n) for n in needed}, **_own(options, i),
            )
            for i, (s, t, own) in enumerate(zip(samples, text, seeds, strict=True))
        ]  # fmt: skip
    padded = pad_sequence(text, batch_first=True)
    lengths = torch.tensor([len(t) for t in text])
    return select_batch(
        configuration.method,
        visual=torch.stack([s.visual for s in samples]),
        text=padded,
        text_mask=torch.arange(padded.shape[1]) < lengths[:, None],
        budget=configuration.budget,
        seed=seeds,
        grid=samples[0].grid,
        mode=configuration.mode,
        **_stacked(samples, needed),
        **options,
    )


def options_of(configuration: Configuration, sample: Sample) -> dict[str, Any]:
    """The options that hold for a question: of a benchmark by its form, else by its type."""
    form = sample.metadata.get("form", "closed" if sample.question_type in CLOSED_TYPES else "open")
    return configuration.options_for(form, ("closed",))


def _own(options: dict[str, Any], i: int) -> dict[str, Any]:
    """The options with the i-th sample's own prior, where they hold one per sample."""
    prior = options.get("prior")
    return options | {"prior": prior[i]} if isinstance(prior, Tensor) else options


def _stacked(samples: Sequence[Sample], names: set[str]) -> dict[str, Any]:
    """Inputs that every sample holds; the front door names one that is missing."""
    found = {}
    for name in names:
        own = [getattr(s, name) for s in samples]
        if all(x is not None for x in own):
            found[name] = torch.stack(own)
    return found


def sample_seed(sample_id: str, seed: int, draw: int) -> int:
    """A seed of the sample's own, so that no kept set depends on batch neighbors.

    Methods and budgets share it: what `random` keeps at a small budget is part of what it keeps at
    a large one, so that its budgets are compared on nested draws. Other draws, and other seeds, are
    independent of it.

    Examples
    --------
    >>> len({sample_seed("a", seed, draw) for seed in (0, 1, 1000) for draw in (0, 1, 2)})
    9
    """
    own = f"{seed}:{sample_id}" if draw == 0 else f"{seed}/{draw}:{sample_id}"
    return crc32(own.encode())


def shown_of(kept: pd.DataFrame) -> list[tuple[int, ...] | Merged | None]:
    """What the model is shown of every row of `kept_sets`; None where there is nothing."""
    found: list[tuple[int, ...] | Merged | None] = []
    for own, into, rule in zip(kept.kept, kept.into, kept.merge_rule, strict=True):
        if not pd.api.types.is_list_like(own):
            found.append(None)
        elif not pd.api.types.is_list_like(into):
            found.append(tuple(map(int, own)))
        else:
            found.append(Merged(tuple(sorted(map(int, own))), tuple(map(int, into)), rule))
    return found


def set_hash(kept: Sequence[int] | Merged, order: str) -> str:
    """Names what the model is shown: the set, or the sequence where it is shown in pick order; of
    merged tokens also what they are averages of.

    Examples
    --------
    >>> set_hash([3, 1], "raster") == set_hash([1, 3], "raster")
    True
    >>> set_hash([3, 1], "pick") == set_hash([1, 3], "pick")
    False
    """
    if isinstance(kept, Merged):
        named = f"{kept.rule}:" + ",".join(map(str, kept.into))
    else:
        named = ",".join(map(str, kept if order == "pick" else sorted(kept)))
    return hashlib.sha256(named.encode()).hexdigest()[:16]
