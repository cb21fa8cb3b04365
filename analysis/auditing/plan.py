"""What an audit will do: which claims, on which runs of images, under which names on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import analysis
import mitheory
from analysis.claims import CLAIMS
from analysis.claims.base import Claim
from analysis.claims.source import Source
from mitheory.bundle import Bundle, Sample
from mitheory.checks import lookup


@dataclass(frozen=True)
class OnDisk:
    """Samples of a bundle, by path: what a worker needs to open it again."""

    path: Path
    ids: tuple[str, ...]


Input = OnDisk | tuple[Sample, ...] | None  # None: the claim needs no bundle


@dataclass(frozen=True)
class Task:
    """One read: a run of images and the claims whose rows on it are still missing, with files."""

    images: tuple[str, ...]
    claims: tuple[str, ...]
    files: tuple[Path, ...]
    limits: tuple[int, ...]  # how many of the images each claim takes

    def without(self, failed: Container[str]) -> Task:
        """The same read, less the claims that failed already."""
        parts = zip(self.claims, self.files, self.limits, strict=True)
        return _task(self.images, [part for part in parts if part[0] not in failed])


def _task(images: tuple[str, ...], parts: Sequence[tuple[str, Path, int]]) -> Task:
    return Task(
        images,
        claims=tuple(name for name, _, _ in parts),
        files=tuple(path for _, path, _ in parts),
        limits=tuple(limit for _, _, limit in parts),
    )


def input_of(data: Bundle | Sequence[Sample] | None) -> Input:
    """What travels to the workers: never an open file."""
    if isinstance(data, Bundle):
        return OnDisk(data.path.resolve(), data.sample_ids)
    return None if data is None else tuple(data)


def ids(data: Input) -> tuple[str, ...]:
    """Ids of the samples, sorted: the same samples in another order are the same input."""
    if data is None:
        return ()
    return tuple(sorted(data.ids if isinstance(data, OnDisk) else (s.sample_id for s in data)))


@lru_cache(maxsize=1)
def source_of(data: Input) -> Source | None:
    """The source behind an input; once per process."""
    if data is None:
        return None
    if isinstance(data, OnDisk):
        return Source.of(Bundle.open(data.path).select(data.ids))
    return Source.of(data)


def chosen(names: Iterable[str] | None) -> dict[str, Claim]:
    """Claims by name, in the order of the paper; all of them without names.

    Raises
    ------
    UnknownNameError
        If a claim has no such name.
    """
    if names is None:
        return dict(CLAIMS)
    wanted = [lookup(name, CLAIMS, "claim").name for name in names]
    return {name: claim for name, claim in CLAIMS.items() if name in wanted}


def tasks(
    claims: dict[str, Claim], source: Source | None, identity: Sequence[object], work: Path
) -> tuple[list[Task], dict[str, list[Path]]]:
    """The reads that are missing, and all files of every claim in order."""
    files: dict[str, list[Path]] = {name: [] for name in claims}
    todo: list[Task] = []
    free = [name for name, claim in claims.items() if not claim.needs_bundle]
    reads: list[tuple[tuple[str, ...], list[str]]] = [((), free)] if free else []
    if source is not None:
        bound = [name for name, claim in claims.items() if claim.needs_bundle]
        reads += [(chunk, bound) for chunk in source.chunks()]
    seen = 0
    common = _key(*identity)  # names every sample: once, not for each of a thousand files
    for images, names in reads:
        missing: list[tuple[str, Path, int]] = []
        for name in names:
            limit = claims[name].max_images
            take = len(images) if limit is None else max(0, min(len(images), limit - seen))
            if claims[name].needs_bundle and take == 0:
                continue
            file = work / name / f"{_key(common, name, images[:take])}.parquet"
            files[name].append(file)
            if not file.exists():
                missing.append((name, file, take))
        seen += len(images)
        if missing:
            todo.append(_task(images, missing))
    return todo, files


def _key(*identity: object) -> str:
    return hashlib.sha256(json.dumps(identity, default=str).encode()).hexdigest()[:20]


@cache
def code_digest() -> str:
    """Of the sources that rows are made by: rows of other code are not reused."""
    digest = hashlib.sha256()
    roots = [Path(str(module.__file__)).parent for module in (mitheory, analysis)]
    for path in sorted(path for root in roots for path in root.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
