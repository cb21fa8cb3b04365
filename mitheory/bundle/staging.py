"""The folder in which a bundle grows: shards and a journal of the steps that are on disk.

``.NAME.partial/`` beside the bundle's place holds ``bundle/`` (shards, at last the index) and
``journal/`` (what the job is, and one record per step). A step's shards reach the disk before its
record, so whatever kills the writer, the records that are whole speak of shards that are whole.
Only a rename of the finished ``bundle/`` makes it readable under its name.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import BundleError, ChecksumError
from ..io import atomic_write_text, remove, sync
from ..provenance import Provenance
from .records import FORMAT, SCHEMA_VERSION, Index, ShardEntry, checksum, to_json
from .schema import check_header, check_index, check_provenance, check_shard, parse, take
from .shards import file_sha256, regular_file, save_tensors

JOB = "job.json"


class Staging:
    """The folder of an unfinished bundle; one writer at a time holds it."""

    def __init__(self, target: Path) -> None:
        self.root = target.parent / f".{target.name}.partial"
        self.bundle = self.root / "bundle"
        self.journal = self.root / "journal"
        self._lock = -1

    def lock(self) -> None:
        """Make the folder ours until `unlock`, or until this process ends, however it ends.

        Raises
        ------
        BundleError
            If another writer is at work.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise BundleError(f"{self.root.name}: another writer is at work here") from error
        self._lock = handle
        if not (self.root / "lock").exists():  # its last holder finished while we waited
            raise BundleError(f"{self.root.name}: another writer has just finished here")

    def unlock(self, *, discard: bool) -> None:
        """Let others have the folder, or remove it with all it holds."""
        if discard:
            remove(self.root)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def start(self, provenance: Provenance, dtype: str) -> None:
        """Begin anew: whatever an earlier writer left is removed."""
        for folder in (self.journal, self.bundle):
            remove(folder)
            folder.mkdir()
        job = _sealed({"dtype": dtype, "provenance": provenance.to_dict()})
        atomic_write_text(self.journal / JOB, to_json(job))

    def resume(self, provenance: Provenance, dtype: str) -> Index | None:
        """What an earlier writer of the same job left, up to its last whole step; None if nothing.

        Raises
        ------
        BundleError
            If what it left comes from another job: other settings, other code.
        """
        try:
            job = self._record(self.journal / JOB)
            earlier = check_provenance(job, JOB)
            earlier_dtype = take(job, "dtype", str, JOB)
        except (BundleError, OSError):
            return None
        differing = earlier.differences(provenance) + ["dtype"] * (earlier_dtype != dtype)
        if differing:
            raise BundleError(
                f"{self.root.name}: unfinished bundle of another job: {', '.join(differing)} "
                "differ; remove it, or start anew with resume=False"
            )
        index = self._last_whole(earlier, dtype)
        if index is not None:
            self._discard_strays(index)
        return index

    def _last_whole(self, provenance: Provenance, dtype: str) -> Index | None:
        """The index of the longest run of steps whose records and shards are whole."""
        steps: list[Any] = []
        while (path := self.journal / f"step-{len(steps):05d}.json").exists():
            try:
                step = self._record(path)
                for name, entry in take(step, "shards", dict, path.name).items():
                    self._check_shard(name, check_shard(name, entry, path.name))
            except (BundleError, OSError):
                break
            steps.append(step)
        return _merged(steps, provenance, dtype) if steps else None

    def _check_shard(self, name: str, entry: ShardEntry) -> None:
        """Refuse a shard that is not as it was written."""
        path = self.bundle / name
        if regular_file(path).st_size != entry.size or file_sha256(path) != entry.sha256:
            raise ChecksumError(f"{name}: is not as it was written")

    def _discard_strays(self, index: Index) -> None:
        """Remove what lies beside the shards of `index`, and the records of later steps."""
        kept = {f"step-{i:05d}.json" for i in range(step_count(index))} | {JOB}
        for folder, names in ((self.bundle, set(index.shards)), (self.journal, kept)):
            for path in folder.iterdir():
                if path.name not in names:
                    remove(path)

    def _record(self, path: Path) -> Any:
        """A journal record that is as it was written."""
        record = parse(path.read_bytes(), path.name)
        check_header(record, path.name)
        return record

    def write_shard(self, name: str, tensors: Mapping[str, torch.Tensor]) -> ShardEntry:
        """Write a shard and wait until it is on disk."""
        path = self.bundle / name
        save_tensors(tensors, path)
        sync(path)
        sync(self.bundle)
        return ShardEntry(path.stat().st_size, file_sha256(path))

    def write_step(self, step: int, record: Mapping[str, Any]) -> None:
        """Note a step whose shards are on disk."""
        atomic_write_text(self.journal / f"step-{step:05d}.json", to_json(_sealed(record)))


def step_count(index: Index) -> int:
    """How many steps an index holds: shards are numbered by step, a step may lack one kind."""
    return max((int(name.split("-")[1].split(".")[0]) + 1 for name in index.shards), default=0)


def _sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with format, version and checksum."""
    sealed = {"format": FORMAT, "schema_version": SCHEMA_VERSION, **record}
    return {**sealed, "checksum": checksum(sealed)}


def _merged(steps: list[Any], provenance: Provenance, dtype: str) -> Index:
    """The index of several steps, checked as any index is."""
    merged: dict[str, Any] = {"shards": {}, "images": [], "samples": []}
    for step in steps:
        merged["shards"].update(take(step, "shards", dict, "journal"))
        merged["images"] += take(step, "images", list, "journal")
        merged["samples"] += take(step, "samples", list, "journal")
    record = _sealed({"dtype": dtype, "provenance": provenance.to_dict(), **merged})
    return check_index(record, "journal")
