"""Calibration of the estimators: every variant on every ground truth, dimension and size.

A cell (ground truth, planted information, d, n) draws its samples once, and all variants see the
same ones. What fails is a row with its error. Finished cells are files in ``cells/``: a
variant found there is not run again.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from mitheory.estimators import Estimate
from mitheory.io import atomic_write_csv
from mitheory.statistics import clustered_mean
from mitheory.verdict import Effect

from ..progress import progress
from .plan import Cell, cells
from .variants import VARIANTS, Variant, applicable

TABLE = "estimators.csv"
COLUMNS = (
    "variant", "estimator", "options", "quantity", "truth", "structure", "planted", "d", "n",
    "true", "mean", "bias", "spread", "rmse", "coverage", "seconds", "n_repeats", "error",
)  # fmt: skip
ROUNDED = ("true", "mean", "bias", "spread", "rmse", "coverage", "seconds")
MOST_MESSAGE = 120  # characters of an error kept


def covers(estimate: Estimate, true: float) -> float:
    """1 if the 95% interval from the pointwise contributions holds `true`, else 0; NaN if none.

    Rows are independent here, so every row is its own cluster.
    """
    if estimate.pointwise is None or len(estimate.pointwise) < 2:
        return float("nan")
    mean = clustered_mean(estimate.pointwise, np.arange(len(estimate.pointwise)))
    low, high = Effect("mutual information", "nats", *mean).interval()
    return float(low <= true <= high)


def summary(values: Sequence[float], covered: Sequence[float], true: float) -> dict[str, float]:
    """Mean, bias, spread (standard deviation over repeats), root mean square error, coverage.

    Examples
    --------
    >>> summary([1.0, 3.0], [1.0, 0.0], 1.0)
    {'mean': 2.0, 'bias': 1.0, 'spread': 1.414, 'rmse': 1.414, 'coverage': 0.5}
    """
    v = np.asarray(values, dtype=np.float64)
    return {
        "mean": float(v.mean()),
        "bias": float(v.mean() - true),
        "spread": float(v.std(ddof=1)) if len(v) > 1 else float("nan"),
        "rmse": float(np.sqrt(((v - true) ** 2).mean())),
        "coverage": float(np.mean(covered)),
    }


def run_cell(cell: Cell, variants: Sequence[Variant], seed: int) -> pd.DataFrame:
    """One row per variant."""
    truth = cell.make()
    trials = {v.name: Trial(v, cell, truth.value) for v in variants}
    for repeat in range(max((t.repeats for t in trials.values()), default=0)):
        waiting = [t for t in trials.values() if t.error is None and repeat < t.repeats]
        if waiting:
            sample = truth.sample(cell.n, cell.rng(seed, repeat))
            for trial in waiting:
                trial.once(sample, cell.rng(seed, repeat, trial.variant.name))
    return pd.DataFrame([t.row(truth.structure) for t in trials.values()], columns=list(COLUMNS))


class Trial:
    """One variant in one cell, repeat after repeat, until it fails."""

    def __init__(self, variant: Variant, cell: Cell, true: float) -> None:
        self.variant, self.cell, self.true = variant, cell, true
        self.error = variant.why_not(cell.d, cell.n)
        self.repeats = 0 if self.error else variant.repeats(cell.d, cell.n)
        self.values: list[float] = []
        self.covered: list[float] = []
        self.seconds = 0.0

    def once(self, sample: Sequence[Any], rng: np.random.Generator) -> None:
        """One estimate; any exception, or a value that is not finite, ends the trial."""
        clock = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a fit that does not converge; the row tells
                estimate = self.variant.estimate(sample, rng)
            if not np.isfinite(estimate.value):
                raise FloatingPointError(f"the estimate is {estimate.value}")
            covered = covers(estimate, self.true)
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"[:MOST_MESSAGE].replace("\n", " ")
            return
        self.seconds += time.perf_counter() - clock
        self.values.append(estimate.value)
        self.covered.append(covered)

    def row(self, structure: str) -> dict[str, object]:
        """The trial as a row; a failed one has no numbers, only how many repeats went well."""
        numbers: dict[str, float] = {}
        if self.error is None:
            numbers = summary(self.values, self.covered, self.true)
            numbers["seconds"] = self.seconds / len(self.values)
        return {
            "variant": self.variant.name,
            "estimator": self.variant.estimator,
            "options": self.variant.label,
            "quantity": self.variant.quantity,
            "truth": self.cell.truth,
            "structure": structure,
            "planted": self.cell.total,
            "d": self.cell.d,
            "n": self.cell.n,
            "true": self.true,
            "n_repeats": len(self.values),
            "error": self.error,
            **numbers,
        }


def _stored_cell(cell: Cell, folder: Path, seed: int) -> pd.DataFrame:
    """The cell's table; only variants that its file does not hold are run."""
    path = folder / f"{seed}-{cell.key}.csv"
    wanted = applicable(cell, VARIANTS.values())
    stored = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=list(COLUMNS))
    missing = [v for v in wanted if v.name not in set(stored["variant"])]
    if missing:
        new = rounded(run_cell(cell, missing, seed))
        atomic_write_csv(path, pd.concat([stored, new]) if len(stored) else new)
        stored = pd.read_csv(path)
    names = [v.name for v in wanted]
    return stored.set_index("variant", drop=False).loc[names].reset_index(drop=True)


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers to four significant digits: the committed table stays small."""
    table = table.copy()
    for name in ROUNDED:
        table[name] = [float(f"{float(v):.4g}") for v in table[name]]
    return table


def run(out: Path, quick: bool = False, jobs: int = 1, seed: int = 0) -> Path:
    """Run every cell that has no file yet and write ``estimators.csv`` into `out`."""
    plan = cells(quick)
    folder = Path(out) / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    tables = []
    with progress() as bar:
        task = bar.add_task("estimators", total=len(plan))
        tasks = (delayed(_stored_cell)(cell, folder, seed) for cell in plan)
        for table in Parallel(n_jobs=jobs, return_as="generator")(tasks):
            tables.append(table)
            bar.advance(task)
    path = Path(out) / TABLE
    atomic_write_csv(path, pd.concat([t for t in tables if len(t)], ignore_index=True))
    return path
