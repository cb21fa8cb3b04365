"""What `mitheory datasets` prints and what `mitheory score` does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mitheory import provenance
from mitheory.checks import lookup
from mitheory.errors import ParameterError
from mitheory.io import atomic_write_csv, atomic_write_json, atomic_write_parquet

from . import BENCHMARKS, benchmark
from .answers import Missing, read_answers
from .base import Benchmark

if TYPE_CHECKING:
    import pandas as pd

    from .judging import Judge

MISSING = {"refuse": "refuse", "wrong": "wrong"}


def description() -> Iterator[str]:
    """A paragraph for every benchmark.

    Examples
    --------
    >>> [text.partition(":")[0] for text in description()][:3]
    ['gqa', 'scienceqa', 'textvqa']
    """
    for each in BENCHMARKS.values():
        yield "\n".join(_lines(each)) + "\n"


def _lines(each: Benchmark) -> Iterator[str]:
    sizes = (f"{name} ({size:,})" if size else name for name, size in each.splits.items())
    yield f"{each.name}: {each.title}"
    yield f"  splits       {', '.join(sizes)}"
    for name, convention in each.conventions.items():
        asked = " [needs a judge]" if convention.rubric is not None else ""
        yield f"  convention   {name}: {convention.describes}{asked}"
    for need in each.needs:
        yield f"  needs        {need}"
    for source in each.sources:
        yield f"  from         {source}"
    if each.hub is not None:
        yield f"  or           {each.hub_path} on the Hugging Face Hub (--hub)"


@dataclass(frozen=True)
class Job:
    """What to score: the options of `mitheory score`."""

    dataset: str
    answers: Path
    root: Path | None = None
    hub: bool = False
    split: str = ""
    convention: str = ""
    limit: int = 0
    missing: str = "refuse"
    judge_prompt: Path | None = None
    seed: int = 0


def check_source(dataset: str, root: Path | None, *, hub: bool) -> None:
    """Refuse a benchmark of which it is not said whence it comes; the Hub is never a default.

    Raises
    ------
    ParameterError
        If neither or both of a folder and the Hub are given.

    Examples
    --------
    >>> check_source("pope", None, hub=False)
    Traceback (most recent call last):
    ...
    mitheory.errors.ParameterError: pope: expected a folder (--root) or --hub, got neither
    """
    if dataset in BENCHMARKS and (root is None) != hub:
        raise ParameterError(
            f"{dataset}: expected a folder (--root) or --hub, got {'both' if hub else 'neither'}"
        )


def score_file(job: Job, out: Path, judge: Judge | None, *, command: str) -> pd.DataFrame:
    """Score a file of answers and write the tables; the table of scores.

    Raises
    ------
    ParameterError
        If neither or both of a folder and the Hub are given.
    DatasetError, UnknownNameError, MissingInputError
        As `scoring.score`.
    """
    from .scoring import score

    chosen = benchmark(job.dataset)
    check_source(job.dataset, job.root, hub=job.hub)
    records = chosen.records(
        job.root,
        job.split,
        convention=job.convention,
        limit=job.limit or None,
        check_media=False,
    )
    scores = score(
        chosen,
        records,
        read_answers(job.answers),
        split=job.split,
        convention=job.convention,
        judge=judge,
        judge_prompt=job.judge_prompt,
        judgements=out / "judgements.jsonl",
        missing=cast("Missing", lookup(job.missing, MISSING, "treatment of missing answers")),
        seed=job.seed,
    )
    atomic_write_csv(out / "scores.csv", scores.table)
    atomic_write_parquet(out / "scores.parquet", scores.table)
    atomic_write_parquet(out / "samples.parquet", scores.samples)
    model = None if judge is None else f"judge: {judge.name}"
    origin = provenance.collect(command=command, seed=job.seed, model=model)
    atomic_write_json(out / "provenance.json", origin.to_dict())
    return scores.table
