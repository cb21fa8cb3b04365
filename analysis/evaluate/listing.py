"""What an evaluation would do, and what it needs: `mitheory evaluate --dry-run`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from analysis.ablation import Configuration
from analysis.ablation.configuration import FULL
from analysis.datasets import BENCHMARKS
from mitheory.errors import MitheoryError
from mitheory.models.staging import PUBLISHED
from mitheory.selection import SELECTORS

from .plan import Run

GIVEN = {"visual", "text"}
"""What every model has."""


def description(runs: Sequence[Run]) -> Iterator[str]:
    """A paragraph for each run."""
    for run in runs:
        yield "\n".join(_lines(run)) + "\n"


def plan(run: Run) -> dict[str, Any]:
    """A run as machines read it."""
    count, state = _state(run)
    source = run.source
    return {
        "model": source.model,
        "dataset": source.dataset,
        "convention": source.convention,
        "files": state,
        "questions": count,
        "cells": [cell.canonical() for cell in run.cells],
        "loading": dict(source.loading),
    }


def _lines(run: Run) -> Iterator[str]:
    source = run.source
    chosen = BENCHMARKS[source.dataset]
    name = source.convention or next(iter(chosen.conventions))
    asked = chosen.convention(source.convention)
    split = source.split or next(iter(chosen.splits))
    yield f"{source.model} on {chosen.title}"
    yield f"  data         {source.dataset}, split {split}, convention {name}"
    count, state = _state(run)
    yield f"  files        {state}"
    if count is None:
        for need in chosen.needs:
            yield f"  needs        {need}"
        for where in chosen.sources:
            yield f"  from         {where}"
    if asked.rubric is not None:
        yield "  judge        needed: --judge-url, --judge-model"
    for key, value in source.loading.items():
        yield f"  {key:12} {value}"
    for cell in run.cells:
        yield f"  cell         {_cell(cell)}"
    n = chosen.splits[split] if count is None else count
    n = min(n, source.limit) if source.limit and n else n or source.limit
    if n:
        yield f"  answers      {len(run.cells) * n:,} at most ({len(run.cells)} cells, {n:,} each)"


def _state(run: Run) -> tuple[int | None, str]:
    """Number of questions, if the files are there, and what there is to say of them."""
    source = run.source
    if source.root is None:
        return None, f"from the Hugging Face Hub ({BENCHMARKS[source.dataset].hub_path})"
    try:
        records = BENCHMARKS[source.dataset].records(
            source.root, source.split, convention=source.convention, limit=source.limit or None
        )
    except MitheoryError as error:
        return None, f"not ready in {source.root}: {error}"
    media = len({record.image_id for record in records})
    return len(records), f"ready: {len(records):,} questions about {media:,} images or videos"


def _cell(cell: Configuration) -> str:
    """A cell in words, with what its method asks of the model besides V and T."""
    if cell.method == FULL:
        return "full: all tokens"
    given = dict(sorted(cell.options.items()))
    options = "".join(f", {k}={v}" for k, v in given.items())
    draw = f", draw {cell.draw}" if cell.draw else ""
    method = SELECTORS[cell.method]
    weight = {"relevance_weight": 0.5} if given.get("relevance_weight") == "paper" else {}
    needs = [
        n for n in method.required({**method.defaults, **given, **weight}, cell.mode)
        if n not in GIVEN
    ]  # fmt: skip
    if cell.inside:
        layers = cell.layers or PUBLISHED[cell.method].layers
        where = ", before layers " + ", ".join(map(str, layers)) + " of the decoder"
        return f"{cell.method}, keep {cell.budget:.4g}{where}{options}{draw}"
    asked = f" [needs {', '.join(needs)}]" if needs else ""
    return f"{cell.method}, keep {cell.budget:.4g}{options}{draw}{asked}"
