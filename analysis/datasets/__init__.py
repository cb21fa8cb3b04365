"""Datasets by name: streams of examples, and benchmarks with records and scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mitheory.checks import lookup
from mitheory.models.base import Example
from mitheory.models.fruitfly import examples as fruitfly_examples
from mitheory.models.fruitfly.questions import CLOSED_TYPES, OPEN_TYPES

from .base import Benchmark, Convention, Grade, Graded, Metric, Record
from .folder import FOLDER
from .forms import only
from .gqa import GQA
from .mme import MME
from .mmvet import MMVET
from .pope import POPE
from .scienceqa import SCIENCEQA
from .textvqa import TEXTVQA, TEXTVQA_OCR
from .videoqa import MSRVTT, MSVD, TGIF

BENCHMARKS: dict[str, Benchmark] = {
    b.name: b
    for b in (
        GQA, SCIENCEQA, TEXTVQA, TEXTVQA_OCR, MMVET, MME, POPE, TGIF, MSVD, MSRVTT, FOLDER,
    )
}  # fmt: skip
"""name -> benchmark, read from official files."""

DATASETS: dict[str, Callable[..., Iterator[Example]]] = {
    "fruitfly": fruitfly_examples,
    "fruitfly-open": only(OPEN_TYPES, fruitfly_examples),
    "fruitfly-closed": only(CLOSED_TYPES, fruitfly_examples),
    **BENCHMARKS,
}
"""name -> stream(split, limit=..., seed=...); a benchmark also takes `root`."""


def benchmark(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises
    ------
    UnknownNameError
        If there is none; the fruit-fly's scenes are made, not read, and are scored by
        ``mitheory ablate``.

    Examples
    --------
    >>> benchmark("pope").name
    'pope'
    """
    return lookup(name, BENCHMARKS, "benchmark")


__all__ = [
    "BENCHMARKS",
    "DATASETS",
    "Benchmark",
    "Convention",
    "Grade",
    "Graded",
    "Metric",
    "Record",
    "benchmark",
]
