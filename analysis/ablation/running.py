"""Running a grid: select, answer once per distinct kept set, join. Every file is a unit of work.

A file is written atomically under a name that is the hash of all that its content depends on: the
data, the model, the code and what is asked. A run that was killed at any instant therefore loses
the files in flight and nothing else, and what exists is never computed again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast
from zlib import crc32

import pandas as pd
import torch

from analysis.auditing.plan import code_digest
from analysis.auditing.spread import Steps, processes, steps
from analysis.extraction import Worker, run
from mitheory.bundle import Bundle, Sample
from mitheory.bundle.records import Index
from mitheory.errors import MitheoryError, ParameterError
from mitheory.io import atomic_write_json, atomic_write_parquet
from mitheory.models.base import Order, PositionIds, StagedAdapter
from mitheory.models.resolving import NamedAdapter, checkpoint_identity, load_adapter
from mitheory.models.staging import PUBLISHED, stages_of
from mitheory.selection import Merge

from .configuration import Configuration, digest
from .selecting import Merged, kept_sets, options_of, sample_seed, set_hash, shown_of
from .sources import Source

BATCHES_PER_FILE = 32
"""Answers are written down after so many batches: what a kill can cost."""
IN_MEMORY = 4 << 30
"""Bytes of a bundle up to which all of it is held in memory."""
AT_A_TIME = 128
"""Samples of a larger bundle that are."""
SHOWN = ["sample_id", "positions", "order", "shown"]
"""What an answer depends on, besides the model."""
ANSWERED = ["prediction", "log_prob", "answer_error"]


@dataclass(frozen=True)
class Job:
    """Where a grid runs and what is common to its cells; travels to the workers."""

    out: Path
    bundle: Path
    model: str
    seed: int
    device: str
    common: str  # hash of data, model, seed and code
    per_file: int = 4096  # answers
    loading: Mapping[str, Any] = field(default_factory=dict)  # options of `load_adapter`

    def kept(self, cell: Configuration) -> Path:
        """Kept sets of a configuration."""
        return self.out / "kept" / f"{digest([self.common, cell.selection_identity])}.parquet"

    def result(self, cell: Configuration) -> Path:
        """Rows of a configuration."""
        return self.out / "results" / f"{digest([self.common, cell.identity])}.parquet"

    def answers(self, questions: Sequence[tuple[str, ...]]) -> Path:
        """Answers to these, whatever their order."""
        name = digest([self.common, sorted(map(list, questions))])
        return self.out / "answers" / self.common / f"{name}.parquet"


def job_of(
    bundle: Path,
    out: Path,
    model: str,
    *,
    seed: int,
    device: str = "cpu",
    loading: Mapping[str, Any] | None = None,
) -> Job:
    """The job of a bundle, a model and the code that is there now.

    Of a checkpoint of `transformers` the revision is read and no weights are loaded; any other
    model is, and stays loaded in this process.

    Raises
    ------
    BundleError
        If the bundle cannot be read.
    """
    opened = Bundle.open(bundle)
    if not len(opened):
        raise ParameterError(f"bundle: expected samples, got none in {bundle}")
    options = dict(loading or {})
    known = checkpoint_identity(model, device=device, **options)
    if known is None:
        adapter = _adapter(model, device, json.dumps(options, sort_keys=True))
        known = adapter.revision, adapter.batch_size
    revision, batch_size = known
    index = (Path(bundle) / "index.json").read_text(encoding="utf-8")
    made_of = [index, model, revision, seed, code_digest(), *([options] if options else [])]
    return Job(
        Path(out).resolve(), Path(bundle).resolve(), model, seed, device, digest(made_of),
        BATCHES_PER_FILE * batch_size, options,
    )  # fmt: skip


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
        _run(spread.each("select", _select, [(c, job) for c in to_select.values()]))
        _ask([q for q in unanswered(missing, job) if _belongs(q, here)], job, spread)
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
    adapter = _adapter(job.model, job.device, json.dumps(dict(job.loading), sort_keys=True))
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


def _ask(asked: Sequence[Question], job: Job, spread: Steps) -> None:
    """Answer the questions, some to a file."""
    size = job.per_file
    chunks = [tuple(asked[i : i + size]) for i in range(0, len(asked), size)]
    _run(spread.each("answer", _answer, [(chunk, job) for chunk in chunks]))


def _run(results: Iterable[Any]) -> None:
    for _ in results:
        pass


def _select(cell: Configuration, job: Job) -> None:
    torch.set_num_threads(1)
    adapter, samples = loaded(job)
    tables = [kept_sets(cell, part, adapter, seed=job.seed) for part in slabs(samples)]
    table = pd.concat(tables, ignore_index=True)
    job.kept(cell).parent.mkdir(parents=True, exist_ok=True)
    atomic_write_parquet(job.kept(cell), table)


Question = tuple[str, PositionIds, Order, str, tuple[int, ...] | Merged | Configuration]
"""Sample, positions, order, hash of what is shown, and what is shown: tokens, tokens with what is
averaged into them, or, where a method prunes inside the decoder, the cell that says how."""


def questions_of(cell: Configuration, job: Job) -> list[Question]:
    """What a cell asks of the model; samples whose selection failed ask nothing."""
    if cell.inside:
        names = Bundle.open(job.bundle).sample_ids
        return [(name, cell.positions, cell.order, _shown_inside(cell), cell) for name in names]
    table = pd.read_parquet(job.kept(cell))
    return [
        (name, cell.positions, cell.order, set_hash(shown, cell.order), shown)
        for name, shown in zip(table.sample_id, shown_of(table), strict=True)
        if shown is not None
    ]


def _shown_inside(cell: Configuration) -> str:
    return f"inside-{cell.selection_identity}"


def answers_to(questions: Sequence[Question], job: Job, *, jobs: int = 1) -> pd.DataFrame:
    """All answers of a job once these questions have theirs; none is asked twice.

    Columns `SHOWN`, prediction, log_prob (of the truth), answer_error.
    """
    with steps(jobs, None) as spread:
        _ask(_new(questions, job), job, spread)
    return read_answers(job)


def unanswered(cells: Sequence[Configuration], job: Job) -> list[Question]:
    """Distinct questions of the cells that no file answers yet."""
    return _new((q for cell in cells for q in questions_of(cell, job)), job)


def _new(questions: Iterable[Question], job: Job) -> list[Question]:
    """Those that no file answers yet, each once."""
    known = read_answers(job)
    seen = set(known[SHOWN].itertuples(index=False, name=None)) if len(known) else set()
    found: dict[tuple[str, ...], Question] = {}
    for question in questions:
        if question[:4] not in seen:
            found.setdefault(question[:4], question)
    return list(found.values())


def _answer(questions: Sequence[Question], job: Job) -> None:
    torch.set_num_threads(1)
    adapter, samples = loaded(job)
    rows: list[dict[str, Any]] = []
    groups: dict[tuple[str, ...], list[Question]] = {}
    for question in questions:
        _, positions, order, shown, what = question
        alone = shown if isinstance(what, Configuration) else ""
        groups.setdefault((positions, order, alone), []).append(question)
    for members in groups.values():
        ask = _asker(adapter, members[0], job.seed)
        for i in range(0, len(members), adapter.batch_size):
            rows += _answered(ask, samples, members[i : i + adapter.batch_size])
    path = job.answers([q[:4] for q in questions])
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_parquet(path, pd.DataFrame(rows))


Ask = Callable[[list[Sample], Sequence[Question]], list[dict[str, Any]]]
"""From samples with their questions to rows."""


def _asker(adapter: NamedAdapter, question: Question, seed: int) -> Ask:
    _, positions, order, _, shown = question
    if isinstance(shown, Configuration):
        return partial(_staged, cast("StagedAdapter", adapter), shown, seed)

    def ask(samples: list[Sample], members: Sequence[Question]) -> list[dict[str, Any]]:
        shown = [q[4].kept if isinstance(q[4], Merged) else q[4] for q in members]
        keep = [torch.tensor(own, dtype=torch.long) for own in shown]
        merges = [_merge(q[4]) for q in members]
        more: dict[str, Any] = {"merges": merges} if any(merges) else {}
        found = adapter.answer(samples, keep, positions=positions, order=order, **more)
        return [{"prediction": a.text, "log_prob": a.log_prob_truth} for a in found]

    return ask


def _merge(shown: object) -> Merge | None:
    return Merge(torch.tensor(shown.into), shown.rule) if isinstance(shown, Merged) else None


def _staged(
    adapter: StagedAdapter,
    cell: Configuration,
    seed: int,
    samples: list[Sample],
    _: Sequence[Question],
) -> list[dict[str, Any]]:
    """Answers under pruning inside the decoder, with what is left and what every layer works on."""
    rows: list[dict[str, Any]] = [{}] * len(samples)
    groups: dict[str, list[int]] = {}
    for i, sample in enumerate(samples):
        groups.setdefault(repr(options_of(cell, sample)), []).append(i)
    for places in groups.values():
        own = [samples[i] for i in places]
        stages = stages_of(
            cell.method,
            cell.budget,
            [s.n_v for s in own],
            layers=cell.layers,
            options=options_of(cell, own[0]),
            mode=cell.mode,
        )
        seeds = [sample_seed(s.sample_id, seed, cell.draw) for s in own]
        for i, found in zip(places, adapter.answer_staged(own, stages, seed=seeds), strict=True):
            rows[i] = {
                "prediction": found.answer.text,
                "log_prob": found.answer.log_prob_truth,
                "kept": found.kept[-1].tolist(),
                "tokens_per_layer": list(found.tokens_per_layer),
            }
    return rows


def _answered(
    ask: Ask, samples: Mapping[str, Sample], members: Sequence[Question]
) -> list[dict[str, Any]]:
    """One row per question; where a batch fails, its questions are asked one by one."""
    try:
        answers = ask([samples[q[0]] for q in members], members)
    except MitheoryError as error:
        if len(members) > 1:
            return [row for q in members for row in _answered(ask, samples, [q])]
        named = dict(zip(SHOWN, members[0][:4], strict=True))
        failure = f"{type(error).__name__}: {error}"
        return [named | {"prediction": None, "log_prob": None, "answer_error": failure}]
    return [
        dict(zip(SHOWN, q[:4], strict=True)) | a | {"answer_error": None}
        for q, a in zip(members, answers, strict=True)
    ]


def read_answers(job: Job) -> pd.DataFrame:
    """All answers that files hold, each once."""
    files = sorted((job.out / "answers" / job.common).glob("*.parquet"))
    if not files:
        return pd.DataFrame(columns=[*SHOWN, *ANSWERED])
    return pd.concat([pd.read_parquet(f) for f in files], ignore_index=True).drop_duplicates(SHOWN)


def joined(cell: Configuration, job: Job, answers: pd.DataFrame, index: Index) -> pd.DataFrame:
    """The tidy rows of a cell: what was kept, what was answered, and whether it is right.

    `index` is that of the job's bundle.
    """
    kept = _inside(cell, answers, index) if cell.inside else pd.read_parquet(job.kept(cell))
    own = [index.samples[name] for name in kept.sample_id]
    visual = [index.images[entry.image_id].tensors["visual"] for entry in own]
    failed = kept.kept.isna()
    shown = (
        _shown_inside(cell)
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
    own = answers[answers.shown == _shown_inside(cell)].set_index("sample_id")
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


def loaded(job: Job) -> tuple[NamedAdapter, Mapping[str, Sample]]:
    """The model and the samples, loaded once in each process."""
    options = json.dumps(dict(job.loading), sort_keys=True)
    return _adapter(job.model, job.device, options), samples_of(job.bundle)


@lru_cache(maxsize=1)
def _adapter(model: str, device: str, loading: str) -> NamedAdapter:
    return load_adapter(model, device=device, **json.loads(loading))


@lru_cache(maxsize=1)
def samples_of(path: Path) -> Mapping[str, Sample]:
    """The samples of a bundle by id: in memory if they have room there, else read when asked."""
    bundle = Bundle.open(path)
    if sum(shard.size for shard in bundle.index.shards.values()) <= IN_MEMORY:
        return {s.sample_id: s for s in bundle}
    return OnDisk(bundle)


class OnDisk(Mapping[str, Sample]):
    """Samples of a bundle that are read when they are asked for."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def __getitem__(self, sample_id: str) -> Sample:
        return self.bundle.sample(sample_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self.bundle.sample_ids)

    def __len__(self) -> int:
        return len(self.bundle)


def slabs(samples: Mapping[str, Sample]) -> Iterator[list[Sample]]:
    """The samples in lists that are in memory one at a time."""
    if not isinstance(samples, OnDisk):
        yield list(samples.values())
        return
    names = list(samples)
    for start in range(0, len(names), AT_A_TIME):
        yield [samples[name] for name in names[start : start + AT_A_TIME]]


def read_results(out: Path) -> pd.DataFrame:
    """All rows of the last grid that ran in a folder, with one column per axis.

    Raises
    ------
    ParameterError
        If there is no finished grid.

    Examples
    --------
    >>> import tempfile
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
