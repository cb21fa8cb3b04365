"""What could not be encoded: rows of an error log, never the end of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TextIO

import torch

from mitheory.bundle import Sample
from mitheory.bundle.fields import FIELDS
from mitheory.errors import MitheoryError
from mitheory.models.base import Example

STAGES = ("image", "encode")
COSTS_ONE = (MitheoryError, torch.OutOfMemoryError)
"""Errors of one question: anything else is an error of the program, and ends the run."""


@dataclass(frozen=True)
class Failure:
    """One question that has no place in the bundle.

    Parameters
    ----------
    sample_id, image_id : of the question
    stage : "image" if the image could not be read, "encode" if the model did not take it
    error : name of the error
    message : what it says
    origin : file and line of the question, where it comes from files
    """

    sample_id: str
    image_id: str
    stage: str
    error: str
    message: str
    origin: str = ""


class Encodes(Protocol):
    """The one thing that extraction asks of an adapter."""

    def encode(self, examples: Sequence[Example]) -> list[Sample]:
        """Samples of the examples, in order."""
        ...


def log_of(out: Path) -> Path:
    """The error log of the bundle at `out`, beside it.

    Examples
    --------
    >>> log_of(Path("bundles/pope")).as_posix()
    'bundles/pope.errors.jsonl'
    """
    return out.with_name(f"{out.name}.errors.jsonl")


def read_log(path: Path) -> list[Failure]:
    """The rows of an error log; none where there is no such file."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Failure(**json.loads(line)) for line in lines]


class FailureLog:
    """Writes an error log line by line; every run that has work to do begins it anew.

    What failed is tried again by the next run: a file may have come back. A log without rows is no
    file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._file: TextIO | None = None

    def __enter__(self) -> FailureLog:
        self.path.unlink(missing_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, failure: Failure) -> None:
        """Write one row, and see that it leaves this process."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", encoding="utf-8")
        self._file.write(json.dumps(asdict(failure), ensure_ascii=False) + "\n")
        self._file.flush()
        self.count += 1


def encoded(adapter: Encodes, examples: Sequence[Example], log: FailureLog) -> list[Sample]:
    """The samples of those examples that the model takes; the others are rows of the log.

    Where a batch fails it is encoded again image by image, and where an image fails question by
    question, so that one question costs no other.
    """
    if not examples:
        return []
    try:
        return adapter.encode(examples)
    except COSTS_ONE as error:
        if len(examples) == 1:
            (example,) = examples
            name, message = type(error).__name__, str(error)
            origin = str(example.metadata.get("origin", ""))
            ids = example.sample_id, example.image_id
            log.add(Failure(*ids, "encode", name, message, origin))
            return []
    by_image: dict[str, list[Example]] = {}
    for example in examples:
        by_image.setdefault(example.image_id, []).append(example)
    if len(by_image) > 1:
        return [s for members in by_image.values() for s in encoded(adapter, members, log)]
    found = [s for example in examples for s in encoded(adapter, [example], log)]
    return [_with_image_of(found[0], sample) for sample in found]


def _with_image_of(first: Sample, sample: Sample) -> Sample:
    """The sample with the other's tensors of the image: two passes may round differently."""
    shared: dict[str, Any] = {n: t for n, t in first.tensors().items() if FIELDS[n].per_image}
    return replace(sample, **shared)
