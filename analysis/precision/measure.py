"""`mitheory dtypes`: the fruit-fly's test questions, every method, three budgets, every variant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

import pandas as pd
import torch
from torch import Tensor

from mitheory import SELECTORS
from mitheory.bundle import Sample
from mitheory.models.base import Example
from mitheory.models.fruitfly import FruitFlyAdapter, examples
from mitheory.statistics import clustered_mean
from mitheory.verdict import Effect

from ..extraction import chunks
from ..progress import progress
from .variants import Refused, Variant, kept

__all__ = ["BUDGETS", "REFERENCE", "VARIANTS", "Variant", "precision"]

BUDGETS = (36, 16, 8)  # 25, 11 and 5.6% of 144
REFERENCE = Variant("float32", "float64")
VARIANTS = (
    Variant("float32", "float32"),
    Variant("float16", "float64"),
    Variant("float16", "float32"),
    Variant("float16", "float16"),
    Variant("bfloat16", "float64"),
    Variant("bfloat16", "float32"),
    Variant("bfloat16", "bfloat16"),
)
AT_ONCE = 192
LAYER = 2  # of the decoder; methods inside the language model look at what stands before it
ENCODED = (
    "visual", "text", "cls_attention", "patch_attention", "encoder_features", "encoder_keys",
    "relevant",
)  # fmt: skip
COLUMNS = (
    "method", "budget", "ratio", "inputs", "arithmetic", "changed", "low", "high", "identical",
    "questions", "images", "status",
)  # fmt: skip


def precision(model: str = "fruitfly", *, images: int = 300, seed: int = 0) -> pd.DataFrame:
    """Share of the kept set that changes against the model's own float32 embeddings in float64.

    All floating-point inputs of a method are rounded: embeddings, and attention or keys where it
    looks at them. Questions about one image are one cluster of the 95% intervals, which end at 0
    and 1 where Student's would go beyond. `identical` is the share of questions whose kept set is
    the same to the last token. Half-precision arithmetic is that of PyTorch on a CPU, ties being as
    wide as its rounding. Methods with an input that the model has not are left out.

    Parameters
    ----------
    model : a checkpoint's name or file
    images : of the test split, two questions about each
    seed : of the scenes, and of methods that draw

    Returns
    -------
    DataFrame
        One row per method, budget and variant.
    """
    fly = FruitFlyAdapter(model)
    counts: dict[tuple[str, int, Variant], list[Tensor]] = {}
    refused: dict[tuple[str, int, Variant], str] = {}
    clusters: list[str] = []
    with progress() as bar:
        task = bar.add_task("questions", total=2 * images)
        for chunk in chunks(_questions(images, seed), AT_ONCE):
            for samples, inputs in _shapes(fly, fly.encode(chunk)):
                clusters += [sample.image_id for sample in samples]
                _count(samples, inputs, seed, counts, refused)
            bar.advance(task, len(chunk))
    rows = []
    for (method, budget, variant), shares in counts.items():
        reason = refused.get((method, budget, variant))
        values = [] if reason else torch.cat(shares).tolist()
        rows.append(_row(method, budget, variant, values, clusters, reason))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _questions(images: int, seed: int) -> Iterator[Example]:
    """Two of every image, of kinds that turn from image to image."""
    stream = examples("test", limit=12 * images, seed=seed)
    for number, (_, group) in enumerate(groupby(stream, key=lambda e: e.image_id)):
        if number == images:
            return
        asked = list(group)
        yield asked[number % len(asked)]
        yield asked[(number + len(asked) // 2) % len(asked)]


def _shapes(
    fly: FruitFlyAdapter, samples: Sequence[Sample]
) -> Iterator[tuple[list[Sample], dict[str, Tensor]]]:
    """Samples with equally many words, and their inputs by the names of `select`, batched."""
    for _, group in groupby(sorted(samples, key=lambda s: s.n_t), key=lambda s: s.n_t):
        same = list(group)
        inside = fly.internals(same, LAYER)
        own = {name: torch.stack([getattr(s, name) for s in same]) for name in ENCODED}
        yield same, own | {name: torch.stack([x[name] for x in inside]) for name in inside[0]}


def runnable(inputs: Sequence[str]) -> list[str]:
    """Methods that need nothing else.

    Examples
    --------
    >>> "divprune" in runnable(["visual"]), "similarity" in runnable(["visual"])
    (True, False)
    """
    return [name for name, method in SELECTORS.items() if set(method.requires) <= set(inputs)]


def _count(
    samples: Sequence[Sample],
    inputs: dict[str, Tensor],
    seed: int,
    counts: dict[tuple[str, int, Variant], list[Tensor]],
    refused: dict[tuple[str, int, Variant], str],
) -> None:
    """Add the changed shares (b,) of these samples under every method, budget and variant."""
    seeds, grid = [seed] * len(samples), samples[0].grid
    assert grid is not None
    for method in runnable(list(inputs)):
        for budget in BUDGETS:
            masks = partial(kept, method, inputs, budget=budget, seeds=seeds, grid=grid)
            before = masks(REFERENCE)
            assert isinstance(before, Tensor)
            for variant in VARIANTS:
                key, after = (method, budget, variant), masks(variant)
                own = counts.setdefault(key, [])
                if isinstance(after, Refused):
                    refused[key] = after.reason
                else:
                    own.append(1 - (before & after).sum(-1).double() / budget)


def _row(
    method: str,
    budget: int,
    variant: Variant,
    values: Sequence[float],
    clusters: Sequence[str],
    reason: str | None,
) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(COLUMNS)
    row |= {"method": method, "budget": budget, "ratio": budget / 144}
    row |= {"inputs": variant.inputs, "arithmetic": variant.arithmetic}
    row |= {"questions": len(clusters), "images": len(set(clusters)), "status": reason or "ok"}
    if reason is None:
        effect = Effect("changed", "ratio", *clustered_mean(values, clusters, span=1.0))
        row |= {"changed": effect.value, "low": max(0.0, effect.low)}
        row |= {"high": min(1.0, effect.high)}
        row["identical"] = sum(v == 0 for v in values) / len(values)
    return row
