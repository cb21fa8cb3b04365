"""Where a grid runs: its files, its model and its samples, loaded once in each process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from analysis.auditing.plan import code_digest
from mitheory.bundle import Bundle, Sample
from mitheory.errors import ParameterError
from mitheory.models.resolving import NamedAdapter, checkpoint_identity, load_adapter

from .configuration import Configuration, digest

BATCHES_PER_FILE = 32
"""Answers are written down after so many batches: what a kill can cost."""
IN_MEMORY = 4 << 30
"""Bytes of a bundle up to which all of it is held in memory."""
AT_A_TIME = 128
"""Samples of a larger bundle that are."""


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

    Parameters
    ----------
    bundle : path of the questions, such as `prepared` gives
    out : folder of the run
    model : as `mitheory.models.resolving.load_adapter` takes it
    seed : of methods that draw
    device : of the model
    loading : further options of `load_adapter`

    Raises
    ------
    BundleError
        If the bundle cannot be read.
    ParameterError
        If it has no sample, or there is no such model.

    Examples
    --------
    >>> import tempfile
    >>> from analysis.ablation import Source, prepared
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bundle = prepared(Path(folder), Source(limit=4), seed=0, device="cpu")
    ...     job = job_of(bundle, Path(folder), "fruitfly", seed=0)
    >>> job.result(Configuration("random", 16)).parent.name
    'results'
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


def loaded(job: Job) -> tuple[NamedAdapter, Mapping[str, Sample]]:
    """The model and the samples, loaded once in each process."""
    return adapter_of(job), samples_of(job.bundle)


def adapter_of(job: Job) -> NamedAdapter:
    """The model, loaded once in each process."""
    return _adapter(job.model, job.device, json.dumps(dict(job.loading), sort_keys=True))


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
