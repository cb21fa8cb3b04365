"""Benchmarks with a model in the loop: the ablation runner on official files, graded as the field
grades, and the paper's tables as configurations.

Files of an evaluation: a folder per model and benchmark, as `analysis.ablation` leaves it;
``results.parquet`` (a row per question and cell), ``scores.csv`` (a row per cell and metric),
``summary.csv`` and ``compared.csv`` as of an ablation, and ``tabN.csv`` for a table of the paper.
"""

from __future__ import annotations

from .grading import graded
from .plan import Run, runs_of, single_runs
from .running import Judging, evaluate
from .tables import TABLES, PaperTable, read_table

__all__ = [
    "TABLES",
    "Judging",
    "PaperTable",
    "Run",
    "evaluate",
    "graded",
    "read_table",
    "runs_of",
    "single_runs",
]
