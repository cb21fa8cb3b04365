"""Extraction: encode a dataset with a model and write it down, shard by shard, by any number of
workers.

Files: the bundle at OUT; ``OUT.errors.jsonl``, a row per question that has no place in it; and
while several workers are at it ``OUT.parts/``, their parts with what each has done.
"""

from __future__ import annotations

from .job import Extraction, extract_part, joined_if_done, part_of
from .ranks import Worker, worker_here
from .running import run
from .writing import chunks, extract, with_internals

__all__ = [
    "Extraction",
    "Worker",
    "chunks",
    "extract",
    "extract_part",
    "joined_if_done",
    "part_of",
    "run",
    "with_internals",
    "worker_here",
]
