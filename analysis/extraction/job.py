"""One extraction from its options: the command that makes a bundle, and a worker's part of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch

from analysis.datasets import BENCHMARKS, DATASETS
from analysis.datasets.forms import form_of
from mitheory import provenance
from mitheory.bundle import Bundle, BundleWriter
from mitheory.checks import lookup
from mitheory.errors import BundleError, EmptyInputError, ParameterError
from mitheory.io import atomic_write_json, remove
from mitheory.models.base import OpenAdapter
from mitheory.models.resolving import NamedAdapter, load_adapter, load_encoder
from mitheory.provenance import Provenance

from ..progress import console, progress
from .failures import FailureLog, log_of, read_log
from .items import Item, of_examples, of_records, share
from .ranks import Worker
from .space import Sizes, check_space
from .writing import JOB, extract, is_same_job

SAME = JOB | {"command"}
"""Fields of the provenance that tell an extraction from another."""

DEFAULT_LIMIT = 512
"""Questions of a dataset that is made, not read, and has no end."""


@dataclass(frozen=True)
class Extraction:
    """What a bundle is made of; travels to the workers.

    Parameters
    ----------
    model : as `load_adapter` takes it
    dataset : a name of `DATASETS`
    split : of the dataset; its default one without
    limit : the first so many questions; 0 takes all of a benchmark, `DEFAULT_LIMIT` of others
    root : folder with a benchmark's official files; None reads from the Hugging Face Hub
    convention : of a benchmark, which fixes the prompts; the default one without
    seed : of the scenes
    device : as `load_adapter` takes it; "auto" and "cuda" deal out GPUs to the workers
    dtype : of floating-point tensors on disk
    attention : whether to store the encoder's full attention, the largest array
    internals : store what the decoder holds before this block; 0 does not
    loading : further options of `load_adapter`

    Raises
    ------
    UnknownNameError
        If there is no such dataset.
    ParameterError
        If a folder or a convention is given for a dataset that has none.
    """

    model: str = "fruitfly"
    dataset: str = "fruitfly"
    split: str = ""
    limit: int = 0
    root: Path | None = None
    convention: str = ""
    seed: int = 0
    device: str = "cpu"
    dtype: str = "float16"
    attention: bool = True
    internals: int = 0
    loading: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lookup(self.dataset, DATASETS, "dataset")
        if self.dataset not in BENCHMARKS and (self.root is not None or self.convention):
            raise ParameterError(
                f"{self.dataset}: is made, not read, and has neither folder nor convention; "
                f"got root {self.root}, convention {self.convention!r}"
            )
        if self.limit < 0:
            raise ParameterError(f"limit: expected 0 or more, got {self.limit}")

    def items(self) -> list[Item]:
        """The questions in the order of the bundle; images of a benchmark are not read yet.

        Raises
        ------
        DatasetError
            If the files of a benchmark are not as they should be.
        """
        if self.dataset in BENCHMARKS:
            chosen = BENCHMARKS[self.dataset]
            records = chosen.records(
                self.root, self.split, convention=self.convention, limit=self.limit or None
            )
            return of_records(records, form_of(self.dataset), is_video=chosen.is_video)
        stream = DATASETS[self.dataset]
        limit = self.limit or DEFAULT_LIMIT
        return list(of_examples(stream(self.split or "test", limit=limit, seed=self.seed)))

    def adapter(self, worker: Worker | None = None) -> NamedAdapter:
        """The model, on the device of this worker; without its decoder where nothing needs it."""
        here = worker or Worker()
        device = here.device(self.device, torch.cuda.device_count())
        load = load_adapter if self.internals else load_encoder
        return load(self.model, device=device, **self.loading)

    def command(self, worker: Worker | None = None) -> str:
        """The command line that makes the same bundle, wherever to; equal jobs have equal ones.

        Examples
        --------
        >>> Extraction(dataset="pope", root=Path("data/pope"), limit=500).command()
        'mitheory extract --model fruitfly --dataset pope --root data/pope --limit 500'
        """
        given = {
            "model": self.model,
            "dataset": self.dataset,
            "root": "" if self.root is None else self.root.as_posix(),
            "split": self.split,
            "convention": self.convention,
            "limit": self.limit or "",
            "seed": self.seed or "",
            "dtype": "" if self.dtype == "float16" else self.dtype,
            "internals": self.internals or "",
        }
        words = [w for k, v in given.items() if v != "" for w in (f"--{k}", str(v))]
        for name in sorted(self.loading):
            words += ["--with", f"{name}={json.dumps(self.loading[name])}"]
        words += [] if self.attention else ["--no-attention"]
        parts = f"  # part {worker.rank} of {worker.world}" if worker and worker.world > 1 else ""
        return shlex.join(["mitheory", "extract", *words]) + parts

    def origin(self, adapter: NamedAdapter, worker: Worker | None = None) -> Provenance:
        """Where the bundle comes from."""
        return provenance.collect(
            command=self.command(worker),
            seed=self.seed,
            device=str(adapter.device).partition(":")[0],  # any of several equal GPUs
            dtype=str(getattr(adapter, "dtype", "float32")).removeprefix("torch."),
            model=self.model,
            revision=adapter.revision,
        )


def part_of(out: Path, worker: Worker) -> Path:
    """Where a worker writes: the bundle's own place if it is the only one.

    Examples
    --------
    >>> part_of(Path("bundles/pope"), Worker(rank=2, world=8)).as_posix()
    'bundles/pope.parts/2-of-8'
    """
    if worker.world == 1:
        return out
    return out.with_name(f"{out.name}.parts") / f"{worker.rank}-of-{worker.world}"


def _done(part: Path) -> Path:
    return part.with_name(f"{part.name}.done.json")


def _state(part: Path) -> dict[str, Any]:
    """What a worker left when it had finished; nothing before."""
    path = _done(part)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def extract_part(
    job: Extraction, out: Path, worker: Worker | None = None, *, overwrite: bool = False
) -> Path | None:
    """A worker's part of a bundle, or the whole where it is the only one.

    Returns its path; None if the worker has no question, or none that could be encoded.

    Raises
    ------
    EmptyInputError
        If it is the only worker, and no question could be encoded.
    BundleError, SpaceError
        As `extract`.
    """
    worker = worker or Worker()
    everything = job.items()
    items = list(share(everything, worker))
    is_alone = worker.world == 1
    part = part_of(out, worker)
    written: Path | None = None
    if items:
        adapter = job.adapter(worker)
        whole = job.origin(adapter)
        if not is_alone and is_same_job(out, whole, len(everything), bool(job.internals), SAME):
            return out  # joined before: this worker was started once more
        _done(part).unlink(missing_ok=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            written = extract(
                cast("OpenAdapter", adapter), items, part, job.origin(adapter, worker),
                limit=len(items), dtype=job.dtype, attention=job.attention,
                internals=job.internals, overwrite=overwrite or not is_alone,
                retry=overwrite, same=SAME, copies=1 if is_alone else 2 * worker.world,
            ).path  # fmt: skip
        except EmptyInputError:
            if is_alone:
                raise
    if not is_alone:
        part.parent.mkdir(parents=True, exist_ok=True)
        failed = len(read_log(log_of(part)))
        state = {"command": job.command(worker), "questions": len(items), "failed": failed}
        atomic_write_json(_done(part), state | {"is_bundle": written is not None})
    return written


def joined_if_done(
    job: Extraction, out: Path, world: int, *, overwrite: bool = False
) -> Bundle | None:
    """The whole bundle out of the parts of `world` workers, if all of them are there.

    Whoever comes last joins them; of two that come together one does, and the other gets None, or
    the bundle if it is there by then. It is the one that a single worker would have written, in
    the same order.

    Raises
    ------
    BundleError
        If something else stands at `out` and `overwrite` is False.
    EmptyInputError
        If no part has a sample.
    """
    try:
        return _joined(job, out, world, overwrite=overwrite)
    except (BundleError, OSError):
        if not _is_joined(job, out, world):
            raise
        return Bundle.open(out)  # by another worker meanwhile


def _is_joined(job: Extraction, out: Path, world: int) -> bool:
    """Whether the parts are gone, and the bundle is there."""
    if not out.exists() or part_of(out, Worker(0, world)).parent.exists():
        return False
    return Bundle.open(out).provenance.command == job.command()


def _joined(job: Extraction, out: Path, world: int, *, overwrite: bool) -> Bundle | None:
    workers = [Worker(rank, world) for rank in range(world)]
    parts = [part_of(out, worker) for worker in workers]
    states = {w: _state(p) for w, p in zip(workers, parts, strict=True)}
    if any(state.get("command") != job.command(w) for w, state in states.items()):
        return None
    bundles = {
        w.rank: Bundle.open(part_of(out, w), dtype=None)
        for w, state in states.items()
        if state["is_bundle"]
    }
    if not bundles:
        raise EmptyInputError(f"{out.name}: no question could be encoded; see {parts[0].parent}")
    order = _order(job.items(), bundles)
    first = next(iter(bundles.values()))
    origin = Provenance.from_dict(first.provenance.to_dict() | {"command": job.command()})
    size = sum(p.stat().st_size for part in parts if part.exists() for p in part.iterdir())
    check_space(out, Sizes(size, 0).total(images=1, questions=0))
    try:
        with BundleWriter(out, origin, dtype=job.dtype, overwrite=overwrite) as writer:
            with progress() as bar:
                task = bar.add_task("join", total=len(order))
                for rank, name in order:
                    writer.add(bundles[rank].sample(name))
                    bar.advance(task)
            with FailureLog(log_of(out)) as log:
                for part in parts:
                    for failure in read_log(log_of(part)):
                        log.add(failure)
    except BundleError as error:
        if "another writer" not in str(error):
            raise
        console.print(f"{out.name}: another worker joins the parts")
        return None
    remove(parts[0].parent)
    return Bundle.open(out)


def _order(items: Sequence[Item], bundles: Mapping[int, Bundle]) -> list[tuple[int, str]]:
    """Part and id of every sample that is there, in the order of the questions."""
    found = {name: rank for rank, bundle in bundles.items() for name in bundle.sample_ids}
    return [(found[i.sample_id], i.sample_id) for i in items if i.sample_id in found]
