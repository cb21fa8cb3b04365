"""Running a grid: select, answer once per distinct kept set, join. Every file is a unit of work.

A file is written atomically under a name that is the hash of all that its content depends on: the
data, the model, the code and what is asked. A run that was killed at any instant therefore loses
the files in flight and nothing else, and what exists is never computed again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import pandas as pd
import torch

from analysis.auditing.spread import processes, steps
from analysis.extraction import Worker, run
from mitheory.bundle import Bundle
from mitheory.bundle.records import Index
from mitheory.errors import ParameterError
from mitheory.io import atomic_write_json, atomic_write_parquet
from mitheory.models.base import StagedAdapter
from mitheory.models.staging import PUBLISHED

from .answering import (
    ANSWERED,
    SHOWN,
    Question,
    answer_all,
    read_answers,
    shown_inside,
    unanswered,
)
from .configuration import Configuration, digest
from .job import Job, adapter_of, loaded, slabs
from .selecting import kept_sets, set_hash, shown_of
from .sources import Source


def prepared(
    out: Path,
    source: Source,
    *,
    seed: int,
    device: str,
    attention: bool = True,
    jobs: int = 1,
    scheduler: str | None = None,
) -> Path | None:
    """The bundle of a source, extracted where it is not there yet.

    Parameters
    ----------
    out : folder of the run
    source : model, dataset, split and number of questions
    seed : of the scenes
    device : of the model
    attention : whether to store the encoder's full attention, the largest array
    jobs, scheduler : as `complete` takes them; so many parts are extracted at a time

    Returns
    -------
    Its path; None if other workers of a launcher have parts of it to finish.

    Raises
    ------
    UnknownNameError, ParameterError
        If the model, the dataset or the split does not exist, or `jobs` is 0.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = prepared(Path(folder), Source(limit=4), seed=0, device="cpu")
    ...     len(Bundle.open(path))
    4
    """
    extraction = source.extraction(seed=seed, device=device, attention=attention)
    path = out / f"bundle-{digest(extraction.command())[:8]}"
    n = processes(jobs)
    bundle = run(extraction, path, parts=n, jobs=n, scheduler=scheduler, overwrite=True)
    return None if bundle is None else path


def ablate(
    cells: Sequence[Configuration],
    job: Job,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    worker: Worker | None = None,
) -> pd.DataFrame | None:
    """Compute what is missing of a grid; a row per cell and sample.

    Parameters
    ----------
    cells, job, jobs, scheduler, worker : as `complete` takes them

    Returns
    -------
    DataFrame
        As `read_results` reads it again from ``job.out``; None if other workers of a launcher are
        not done yet.

    Raises
    ------
    ParameterError
        As `complete`.

    Examples
    --------
    >>> import tempfile
    >>> from analysis.ablation import job_of
    >>> cells = [Configuration("full"), Configuration("random", 16)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bundle = prepared(Path(folder), Source(limit=4), seed=0, device="cpu")
    ...     table = ablate(cells, job_of(bundle, Path(folder), "fruitfly", seed=0))
    >>> table.groupby("method").n_kept.mean().to_dict()
    {'full': 144.0, 'random': 16.0}
    """
    done = complete(cells, job, jobs=jobs, scheduler=scheduler, worker=worker)
    return read_results(job.out) if done else None


def complete(
    cells: Sequence[Configuration],
    job: Job,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    worker: Worker | None = None,
) -> bool:
    """Compute what is missing of a grid; whether every cell has its file then.

    One of several workers answers its share of the questions; the last to finish joins, and for
    the others the grid is not done.

    Parameters
    ----------
    cells : each once
    job : of `job_of`
    jobs : worker processes; -1 takes all cores
    scheduler : address of a Dask scheduler, instead of `jobs`; its workers must see the files
    worker : of a launcher; the only one without

    Raises
    ------
    ParameterError
        If a cell prunes inside the decoder, and the model has no such layer, or cannot; or if
        `jobs` is 0.

    Examples
    --------
    >>> import tempfile
    >>> from analysis.ablation import job_of
    >>> cells = [Configuration("random", budget) for budget in (16, 4)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bundle = prepared(Path(folder), Source(limit=4), seed=0, device="cpu")
    ...     job = job_of(bundle, Path(folder), "fruitfly", seed=0)
    ...     complete(cells, job), [job.result(cell).is_file() for cell in cells]
    (True, [True, True])
    """
    here = worker or Worker()
    missing = [c for c in cells if not job.result(c).exists()]
    _check_inside(missing, job)
    with steps(jobs, scheduler) as spread:
        to_select = {job.kept(c): c for c in missing if not c.inside and not job.kept(c).exists()}
        for _ in spread.each("select", _select, [(c, job) for c in to_select.values()]):
            pass  # what is kept is in the files
        answer_all([q for q in unanswered(missing, job) if _belongs(q, here)], job, spread)
        if here.world > 1 and unanswered(missing, job):
            return False
        answered, index = read_answers(job), Bundle.open(job.bundle).index
        for cell in missing:
            atomic_write_parquet(job.result(cell), joined(cell, job, answered, index))
    atomic_write_json(
        job.out / "grid.json",
        {"common": job.common, "cells": {job.result(c).stem: c.canonical() for c in cells}},
    )
    return True


def _check_inside(cells: Sequence[Configuration], job: Job) -> None:
    """Refuse, before the work, layers that the model does not have."""
    inside = [cell for cell in cells if cell.inside]
    if not inside:
        return
    adapter = adapter_of(job)
    if not isinstance(adapter, StagedAdapter):
        raise ParameterError(f"inside: {job.model} does not prune inside its decoder")
    for cell in inside:
        layers = cell.layers or PUBLISHED[cell.method].layers
        if not 1 <= layers[0] <= layers[-1] < adapter.n_layers:
            raise ParameterError(
                f"inside: {cell.method} is to prune before layers {list(layers)}, and {job.model} "
                f"has layers 1..{adapter.n_layers - 1} to prune before"
            )


def _belongs(question: Question, worker: Worker) -> bool:
    """Whether a worker is the one to ask this, whenever it starts."""
    return crc32("/".join(question[:4]).encode()) % worker.world == worker.rank


def _select(cell: Configuration, job: Job) -> None:
    torch.set_num_threads(1)
    adapter, samples = loaded(job)
    tables = [kept_sets(cell, part, adapter, seed=job.seed) for part in slabs(samples)]
    table = pd.concat(tables, ignore_index=True)
    job.kept(cell).parent.mkdir(parents=True, exist_ok=True)
    atomic_write_parquet(job.kept(cell), table)


def joined(cell: Configuration, job: Job, answers: pd.DataFrame, index: Index) -> pd.DataFrame:
    """The tidy rows of a cell: what was kept, what was answered, and whether it is right.

    `index` is that of the job's bundle.
    """
    kept = _inside(cell, answers, index) if cell.inside else pd.read_parquet(job.kept(cell))
    own = [index.samples[name] for name in kept.sample_id]
    visual = [index.images[entry.image_id].tensors["visual"] for entry in own]
    failed = kept.kept.isna()
    shown = (
        shown_inside(cell)
        if cell.inside
        else [None if own is None else set_hash(own, cell.order) for own in shown_of(kept)]
    )
    counts = [0 if f else len(set(k)) for k, f in zip(kept.kept, failed, strict=True)]
    table = pd.DataFrame(
        {
            "cell": cell.identity,
            "sample_id": kept.sample_id,
            "image_id": [entry.image_id for entry in own],
            "question_type": [entry.question_type for entry in own],
            "negative": [entry.negative for entry in own],
            "n_v": [tensor.shape[0] for tensor in visual],
            "unmerged": kept.unmerged,
            "n_kept": counts,
            "layer_average": kept.layer_average if cell.inside else counts,
            "shown": shown,
            "positions": cell.positions,
            "order": cell.order,
            "answer": [entry.answer for entry in own],
            "seconds": kept.seconds,
            "error": kept.error,
        }
    ).merge(answers[[*SHOWN, *ANSWERED]], on=SHOWN, how="left", validate="one_to_one")
    table["error"] = table.error.fillna(table.pop("answer_error"))
    right = table.prediction == table.answer
    return table.assign(correct=right.where(table.error.isna()).astype("boolean"))


def _inside(cell: Configuration, answers: pd.DataFrame, index: Index) -> pd.DataFrame:
    """What was left at the end, and on how many tokens a layer worked on the average."""
    own = answers[answers.shown == shown_inside(cell)].set_index("sample_id")
    names = list(index.samples)
    there = own.reindex(index=names, columns=["kept", "tokens_per_layer"]).reset_index()
    average = there.tokens_per_layer.map(lambda counts: sum(counts) / len(counts), "ignore")
    return pd.DataFrame(
        {
            "sample_id": there.sample_id,
            "kept": there.kept,
            "unmerged": False,
            "seconds": float("nan"),
            "error": None,
            "layer_average": average.astype(float),
        }
    )


def read_results(out: Path) -> pd.DataFrame:
    """All rows of the last grid that ran in a folder, with one column per axis.

    Raises
    ------
    ParameterError
        If there is no finished grid.

    Examples
    --------
    >>> import tempfile
    >>> from analysis.ablation import job_of
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bundle = prepared(Path(folder), Source(limit=4), seed=0, device="cpu")
    ...     job = job_of(bundle, Path(folder), "fruitfly", seed=0)
    ...     table = ablate([Configuration("random", 16)], job)
    ...     read_results(Path(folder)).equals(table)
    True
    """
    if not (out / "grid.json").exists():
        raise ParameterError(f"results: expected a finished grid in {out}, got no grid.json")
    grid = json.loads((out / "grid.json").read_text(encoding="utf-8"))
    tables = []
    for name, cell in grid["cells"].items():
        options = {f"option_{k}": v for k, v in cell["options"].items()}
        axes = {k: v for k, v in cell.items() if k != "options"}
        table = pd.read_parquet(out / "results" / f"{name}.parquet")
        own = {k: v for k, v in (axes | options).items() if k not in table and v is not None}
        tables.append(table.assign(**own))
    return pd.concat(tables, ignore_index=True)
