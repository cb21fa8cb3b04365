"""Which methods keep the same tokens: overlap of the kept sets of every two, beyond chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray

from analysis.ablation import Configuration
from analysis.ablation.configuration import PAPER_WEIGHT
from analysis.ablation.selecting import kept_sets
from analysis.settings import CDPRUNER, INTERNALS
from mitheory.bundle import Bundle, Sample
from mitheory.errors import ParameterError
from mitheory.models.fruitfly import FruitFlyAdapter
from mitheory.models.staging import FINAL_NORM
from mitheory.selection import SELECTORS
from mitheory.statistics import cluster_bootstrap_table

from .base import Context, Study
from .measuring import LIMIT, QUICK_LIMIT, beyond_chance, chance_overlap, masks, overlap

QUESTIONS, QUICK_QUESTIONS = 400, 80
RATIO = 1 / 9  # of the tokens: the paper's 64 of 576
BLOCK = 2  # of the decoder, before which the methods that read it prune here
OPTIONS: Mapping[str, dict[str, object]] = {
    "mi_pruner": {"relevance_weight": PAPER_WEIGHT},
    "mi_attention": {"relevance_weight": PAPER_WEIGHT},
    "cdpruner": CDPRUNER,
}
WORDS = ("max", "mean")  # how similarity is taken over words: two methods


def cells() -> dict[str, Configuration]:
    """Every method at its place, under the key of its curve in the figures."""
    found: dict[str, Configuration] = {}
    for name in SELECTORS:
        options = OPTIONS.get(name, {})
        if name == "similarity":
            found |= {
                f"{name}:{w}": Configuration(name, RATIO, {"word_aggregation": w}) for w in WORDS
            }
            continue
        key = f"{name}@{BLOCK}" if reads_decoder(name) else name
        # the oracle fills up at random, by the seed of the sample: not by the draw of Random too
        found[key] = Configuration(name, RATIO, options, draw=int(name == "random"))
    return found


def reads_decoder(method: str) -> bool:
    """Whether a method prunes inside the decoder.

    Examples
    --------
    >>> reads_decoder("fastv"), reads_decoder("mi_pruner")
    (True, False)
    """
    return any(name in INTERNALS for name in SELECTORS[method].requires)


def run(context: Context) -> dict[str, pd.DataFrame]:
    """Table ``agreement``: a row for every two methods."""
    limit, most = (QUICK_LIMIT, QUICK_QUESTIONS) if context.quick else (LIMIT, QUESTIONS)
    bundle = context.bundle("test", limit)
    inside = {key: cell for key, cell in cells().items() if reads_decoder(cell.method)}
    before = {key: cell for key, cell in cells().items() if key not in inside}
    work = [delayed(_kept)(part, bundle, most, context) for part in (inside, before)]
    found = Parallel(n_jobs=1 if context.quick else context.jobs)(work)
    kept = {key: sets for part in found for key, sets in part.items()}
    with Bundle.open(bundle) as opened:
        samples = [opened[i] for i in range(most)]
    images = np.array([s.image_id for s in samples])
    ordered = {key: kept[key] for key in cells()}
    return {"agreement": pairs(ordered, samples[0].n_v, images, seed=context.seed)}


def _kept(
    part: Mapping[str, Configuration], bundle: Path, most: int, context: Context
) -> dict[str, NDArray[np.bool_]]:
    """What every method of a part keeps of every sample (m, n_v)."""
    torch.set_num_threads(1)
    adapter = FruitFlyAdapter(context.model, device=context.device)
    with Bundle.open(bundle) as opened:
        samples = [opened[i] for i in range(most)]

    @cache
    def inside(final_norm: bool) -> list[Sample]:
        return with_internals(samples, adapter, final_norm=final_norm)

    found = {}
    for key, cell in part.items():
        own = inside(cell.method in FINAL_NORM) if reads_decoder(cell.method) else samples
        table = kept_sets(cell, own, adapter, seed=context.seed)
        if len(failed := table[table.error.notna()]):
            raise ParameterError(f"{key}: {len(failed)} failed, first {failed.error.iloc[0]}")
        found[key] = masks(table.kept.tolist(), samples[0].n_v)
    return found


def with_internals(
    samples: Sequence[Sample], adapter: FruitFlyAdapter, *, final_norm: bool
) -> list[Sample]:
    """The samples with what the decoder holds before block `BLOCK`, all tokens in it."""
    inside = adapter.internals(samples, BLOCK, final_norm=final_norm)
    return [replace(s, **cast(Any, fields)) for s, fields in zip(samples, inside, strict=True)]


def pairs(
    kept: Mapping[str, NDArray[np.bool_]], n: int, images: NDArray[np.str_], *, seed: int = 0
) -> pd.DataFrame:
    """Agreement of every two methods, its interval over scenes, and what stands behind it.

    Columns: first, second, overlap (mean Jaccard), chance (of random sets), estimate with low and
    high (overlap beyond chance, 95% cluster bootstrap), questions, scenes, budget, n.

    Parameters
    ----------
    kept : per method (m, n), True where kept; k of every row
    n : tokens
    images : (m,) scene of every row
    seed : of the resamples
    """
    budget = int(next(iter(kept.values()))[0].sum())
    found = list(combinations(kept, 2))
    shared = np.stack([overlap(kept[one], kept[other]) for one, other in found], axis=1)
    rng = np.random.default_rng(seed)
    intervals = cluster_bootstrap_table(beyond_chance(shared, n, budget), images, rng=rng)
    return pd.DataFrame(
        [
            {
                "first": one,
                "second": other,
                "overlap": float(values.mean()),
                "chance": chance_overlap(n, budget),
                "estimate": interval.estimate,
                "low": interval.low,
                "high": interval.high,
                "questions": interval.n,
                "scenes": interval.n_clusters,
                "budget": budget,
                "n": n,
            }
            for (one, other), values, interval in zip(found, shared.T, intervals, strict=True)
        ]
    )


STUDY = Study("agreement", "Which methods keep the same tokens?", ("agreement",), run)
