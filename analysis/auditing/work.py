"""What a worker does: prepare a claim, measure a run of images, judge, draw. Errors are results."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

from analysis.claims import CLAIMS
from analysis.claims.base import collect
from analysis.claims.context import Context
from mitheory.errors import BundleError
from mitheory.io import atomic_write_parquet, replacing
from mitheory.verdict import Verdict

from .plan import Input, Task, source_of


@dataclass(frozen=True)
class Outcome:
    """What became of a step of a claim: its value, or its error with the traceback."""

    claim: str
    value: Any = None
    seconds: float = 0.0
    error: str | None = None
    trace: str = ""


def attempt(claim: str, step: Callable[[], Any]) -> Outcome:
    """Run a step of a claim. A bundle that cannot be read is no fault of the claim, and raised."""
    torch.set_num_threads(1)
    clock = time.process_time()
    try:
        value = step()
    except BundleError:
        raise
    except Exception as error:  # any error of a claim is a row, and never stops the others
        line = f"{type(error).__name__}: {error}".strip()
        return Outcome(claim, None, time.process_time() - clock, line, traceback.format_exc())
    return Outcome(claim, value, time.process_time() - clock)


def prepare(claim: str, data: Input, context: Context) -> Outcome:
    """What the claim's preparation finds."""
    source = source_of(data)
    found = CLAIMS[claim].prepare
    if source is None or found is None:
        raise RuntimeError(f"{claim} has nothing to prepare")
    limit = CLAIMS[claim].prepare_images
    return attempt(claim, lambda: found(source.iterate(limit), context))


def measure(task: Task, data: Input, context: Context) -> list[Outcome]:
    """Rows of every claim of the task, each in its file; the samples are read once."""
    source = source_of(data)
    samples = source.load(task.images) if source is not None and task.images else []
    last: dict[str, int] = {}
    for i, sample in enumerate(samples):
        last[sample.image_id] = i + 1
    ends = [0, *(last[image] for image in task.images)] if samples else [0]
    return [
        attempt(claim, partial(_write, claim, samples[: ends[take]], context, file))
        for claim, file, take in zip(task.claims, task.files, task.limits, strict=True)
    ]


def _write(claim: str, samples: Sequence[Any], context: Context, file: Path) -> None:
    clock = time.process_time()
    table = CLAIMS[claim].measure(samples, context)
    table.attrs["seconds"] = time.process_time() - clock
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_parquet(file, table)


def judge(claim: str, files: Sequence[Path], context: Context) -> Outcome:
    """The verdict on all rows, with the seconds that measuring them took."""

    def step() -> tuple[Verdict, float]:
        parts = [pd.read_parquet(file) for file in files]
        seconds = sum(part.attrs.get("seconds", 0.0) for part in parts)
        verdict = CLAIMS[claim].judge(collect(parts), context)
        json.dumps(verdict.to_dict(), allow_nan=False)  # what cannot be written is known now
        return verdict, seconds

    return attempt(claim, step)


def draw(claim: str, files: Sequence[Path], verdict: Verdict, folder: Path) -> Outcome:
    """The claim's figure as SVG for the page, PDF and PNG for a paper."""

    def step() -> str:
        figure = CLAIMS[claim].draw(collect([pd.read_parquet(file) for file in files]), verdict)
        return save(figure, folder / claim)

    return attempt(claim, step)


def save(figure: Figure, stem: Path) -> str:
    """Write the figure in three formats; the name of the SVG."""
    from analysis.report.svg import save_svg

    stem.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (".pdf", ".png"):
        with replacing(stem.with_suffix(suffix)) as temporary:
            metadata = {"CreationDate": None} if suffix == ".pdf" else None
            figure.savefig(temporary, format=suffix[1:], metadata=metadata)
    save_svg(figure, stem.with_suffix(".svg"))
    return stem.with_suffix(".svg").name
