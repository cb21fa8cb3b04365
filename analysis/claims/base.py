"""Claim: a sentence of the paper as measure -> judge -> draw, and how it is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from mitheory.bundle import Bundle, Sample
from mitheory.statistics import clustered_mean
from mitheory.verdict import Effect, Kind, SmallestEffect, Verdict, unassessed

from .context import Context, runnable_model
from .source import Facts, Source

MIN_IMAGES = 10
CALIBRATED_IMAGES = 25
FEW_IMAGES = (
    f"With fewer than {CALIBRATED_IMAGES} images the decision can be wrong up to twice as often as "
    "stated (calibration of the decision rule)."
)
NO_INPUT = Facts(0, 0, 0, frozenset())

Measure = Callable[[Sequence[Sample], Context], pd.DataFrame]
Judge = Callable[[pd.DataFrame, Context], Verdict]
Draw = Callable[[pd.DataFrame, Verdict], Figure]
Prepare = Callable[[Iterator[Sample], Context], Any]


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and how it is tested.

    Attributes
    ----------
    name : str
        Stable; the name of its file.
    statement : str
        The paper's sentence in our words.
    source : str
        Equation and section.
    kind : {"theorem", "empirical", "ablation", "efficiency", "bookkeeping"}
    smallest_effect : SmallestEffect or None
        None for theorems and bookkeeping, which a counter-example decides.
    how : str
        What is done, in a paragraph for the report.
    meaning : mapping from decision to str
        What each outcome means for someone choosing a pruner.
    measure : (samples of some images, context) -> DataFrame
        Rows of a chunk, pure: the same for a sample whatever its neighbors. Columns `image_id` and
        `sample_id` first; the rest numbers and words. Called once, with no samples, where
        `needs_bundle` is False.
    judge : (all rows, context) -> Verdict
    draw : (all rows, verdict) -> Figure
    needs : tuple of str
        Optional fields of `Sample` that every sample must have; "grid", "answer"; "model" for the
        model itself.
    needs_bundle : bool
    min_images : int
        With fewer the claim is unassessed.
    max_images : int or None
        With more, the first in order of a hash of their ids are taken; `judge` says so.
    prepare : (samples, context) -> anything picklable, or None
        One pass before `measure`, such as fitting a projection; found in `context.prepared[name]`.
    prepare_images : int or None
        How many images that pass sees.
    """

    name: str
    statement: str
    source: str
    kind: Kind
    how: str
    measure: Measure
    judge: Judge
    draw: Draw
    smallest_effect: SmallestEffect | None = None
    meaning: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    needs_bundle: bool = True
    min_images: int = MIN_IMAGES
    max_images: int | None = None
    prepare: Prepare | None = None
    prepare_images: int | None = 256

    def evaluate(
        self,
        data: Bundle | Sequence[Sample] | None = None,
        *,
        seed: int = 0,
        model: str | None = None,
        **options: Any,
    ) -> Verdict:
        """The verdict on `data`, in this process; `analysis.audit` does many, in parallel.

        Parameters
        ----------
        data : Bundle or sequence of Sample; None where the claim needs no bundle
        seed : int
        model : checkpoint, where a claim needs the model and `data` does not name it
        **options : `temperature`, `relevance_weight`, `ratios` of the `Context`
        """
        return self.evaluate_table(data, seed=seed, model=model, **options)[1]

    def evaluate_table(
        self,
        data: Bundle | Sequence[Sample] | None = None,
        *,
        seed: int = 0,
        model: str | None = None,
        **options: Any,
    ) -> tuple[pd.DataFrame, Verdict]:
        """The rows measured, and the verdict on them."""
        source = Source.of(data) if data is not None and self.needs_bundle else None
        facts = source.facts if source else NO_INPUT
        context = Context(facts, seed, model=model or runnable_model(facts), **options)
        if (reason := self.why_not(context)) is not None:
            return pd.DataFrame(), self.unassessed(reason, context)
        if source is None:
            table = self.measure((), context)
        else:
            context = self.with_prepared(source, context)
            table = collect(
                self.measure(source.load(c), context) for c in source.chunks(self.max_images)
            )
        return table, self.judge(table, context)

    def why_not(self, context: Context) -> str | None:
        """Why the claim cannot be assessed on this input; None if it can."""
        if not self.needs_bundle:
            return None
        facts = context.facts
        if facts.n_images == 0:
            return "needs a bundle"
        missing = [name for name in self.needs if name != "model" and name not in facts.fields]
        if missing:
            return f"needs {' and '.join(missing)}, which not every sample of this bundle has"
        if "model" in self.needs and context.model is None:
            made_by = f"the bundle was made by {facts.model!r}" if facts.model else "none is named"
            return f"needs the model in the loop, with the bundle's own weights; {made_by}"
        if facts.n_images < self.min_images:
            return f"needs at least {self.min_images} images; this bundle has {facts.n_images}"
        return None

    def unassessed(self, reason: str, context: Context) -> Verdict:
        """A verdict that says why there is none."""
        return unassessed(self.name, self.kind, reason, seed=context.seed, n=context.facts.n_images)

    def with_prepared(self, source: Source, context: Context) -> Context:
        """The context with what this claim's preparation found."""
        if self.prepare is None:
            return context
        found = self.prepare(source.iterate(self.prepare_images), context)
        return replace(context, prepared={**context.prepared, self.name: found})

    def verdict(self, context: Context, *, n: int, **fields: Any) -> Verdict:
        """A verdict of this claim: its name, kind and smallest effect are filled in."""
        filled = {"unit": "images", "smallest_effect": self.smallest_effect, **fields}
        if (
            filled["unit"] == "images"
            and self.smallest_effect is not None
            and n < CALIBRATED_IMAGES
        ):
            filled["caveats"] = (*filled.get("caveats", ()), FEW_IMAGES)
        return Verdict(self.name, self.kind, n=n, seed=context.seed, **filled)


def collect(tables: Iterator[pd.DataFrame] | Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Chunks as one table, in an order that no worker and no file decides."""
    table = pd.concat(list(tables), ignore_index=True)
    keys = [name for name in ("image_id", "sample_id") if name in table]
    return table.sort_values(keys, kind="stable", ignore_index=True) if keys else table


def one_per_image(samples: Sequence[Sample], most: int = 1) -> list[Sample]:
    """The first `most` questions about each image, in an order that hangs on their ids alone."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.image_id, []).append(sample)
    rank = {s.sample_id: (crc32(s.sample_id.encode()), s.sample_id) for s in samples}
    return [
        sample
        for group in groups.values()
        for sample in sorted(group, key=lambda s: rank[s.sample_id])[:most]
    ]


def mean_effect(
    name: str,
    unit: str,
    values: ArrayLike,
    images: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    span: float | None = None,
) -> Effect:
    """Mean of rows with its error over images; see `mitheory.statistics.clustered_mean`."""
    mean = clustered_mean(np.asarray(values, dtype=np.float64), images, weights=weights, span=span)
    return Effect(name, unit, *mean)
