"""Ablations with a model in the loop: change one thing and see what it does to the answers.

A grid is a list of `Configuration`, each with an identity that is the hash of its canonical form.
A run selects with every configuration, asks the model once about every distinct kept set of a
sample, and joins both to one tidy table. Whatever is done is never done again.

Files of a run: ``bundle-<hash>/``, ``kept/<identity>.parquet`` (kept sets of a configuration),
``answers/<hash>.parquet`` (answers to distinct kept sets), ``results/<identity>.parquet`` (one row
per sample), ``grid.json``.
"""

from __future__ import annotations

from .configuration import Configuration, expand
from .grids import GRIDS, load_grid
from .job import job_of
from .running import ablate, complete, prepared, read_results
from .sources import Source, sources

__all__ = [
    "GRIDS",
    "Configuration",
    "Source",
    "ablate",
    "complete",
    "expand",
    "job_of",
    "load_grid",
    "prepared",
    "read_results",
    "sources",
]
