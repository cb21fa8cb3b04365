"""Running an evaluation: extract, select, answer, grade; what is done is found again."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from analysis.ablation import complete, job_of, prepared, read_results
from analysis.ablation.reporting import (
    compared_of,
    described,
    reference_of,
    storable,
    summary_of,
)
from analysis.datasets import BENCHMARKS
from analysis.extraction import Worker, worker_here
from analysis.extraction.failures import log_of, read_log
from mitheory.errors import ParameterError
from mitheory.io import atomic_write_csv, atomic_write_json, atomic_write_parquet

from ..progress import console
from .grading import Judging, graded
from .plan import Run
from .tables import Wanted

COLUMNS = (
    "table", "model", "keep", "method", "metric", "value", "low", "high", "n", "failed", "draws",
    "checkpoint", "dataset", "convention", "judge", "note",
)  # fmt: skip
"""Of the numbers that stand beside a table of the paper."""


def evaluate(
    runs: Sequence[Run],
    out: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    jobs: int = 1,
    scheduler: str | None = None,
    judging: Judging | None = None,
    reference: str = "",
    table: int = 0,
    worker: Worker | None = None,
) -> pd.DataFrame | None:
    """Run everything that is not done yet, and write the tables; the metrics of every cell.

    Parameters
    ----------
    runs : of `runs_of` or `single_runs`
    out : folder
    seed : of methods that draw, and of intervals
    device : of the models
    jobs, scheduler : as `analysis.ablation.complete` takes them
    judging : of the benchmarks that need a judge
    reference : cell to compare with, as `reference_of` takes it; no comparison without
    table : number of the paper's table that the runs are, to write ``tabN.csv``
    worker : of a launcher; what the environment says without

    Returns
    -------
    Rows of ``scores.csv``; None if other workers of a launcher are not done yet.

    Raises
    ------
    MitheoryError
        If the files of a benchmark, a model or a judge are not there.
    """
    judging = judging or Judging()
    here = worker or worker_here()
    _check_judge(runs, judging)
    if reference:
        for run in runs:
            reference_of(run.cells, reference)
    found = [_one(run, out, seed, device, jobs, scheduler, here) for run in runs]
    if not all(found):
        return None
    parts: dict[str, list[pd.DataFrame]] = {"results": [], "scores": [], "summary": []}
    compared = []
    for run in runs:
        rows, scores = _graded(run, out, seed, judging)
        named = {"model": run.source.model, "dataset": run.source.dataset}
        own = pd.DataFrame([described(c) for c in run.cells])
        parts["results"].append(rows.assign(**named))
        parts["scores"].append(own.merge(scores.drop(columns="dataset", errors="ignore"), on="cell")
                               .assign(**named))  # fmt: skip
        parts["summary"].append(summary_of(rows, run.cells).assign(**named))
        if reference:
            compared.append(compared_of(rows, run.cells, reference).assign(**named))
    tables = {name: pd.concat(tables, ignore_index=True) for name, tables in parts.items()}
    atomic_write_parquet(out / "results.parquet", storable(tables["results"]))
    atomic_write_csv(out / "scores.csv", tables["scores"])
    atomic_write_csv(out / "summary.csv", tables["summary"])
    if compared:
        atomic_write_csv(out / "compared.csv", pd.concat(compared, ignore_index=True))
    if table:
        atomic_write_csv(out / f"tab{table}.csv", beside(table, runs, tables["scores"]))
    return tables["scores"]


def _check_judge(runs: Sequence[Run], judging: Judging) -> None:
    """Refuse, before the work, what could not be graded after it."""
    for run in runs:
        if run.source.dataset not in BENCHMARKS:
            raise ParameterError(
                f"dataset: expected one of {list(BENCHMARKS)}, got {run.source.dataset!r}; "
                "`mitheory ablate` runs on what is made"
            )
        chosen = BENCHMARKS[run.source.dataset]
        if chosen.convention(run.source.convention).rubric is not None and judging.judge is None:
            others = [k for k, c in chosen.conventions.items() if c.rubric is None]
            raise ParameterError(
                f"{chosen.name}: needs a judge (--judge-url, --judge-model)"
                + (f", or --convention, one of {others}" if others else "")
            )


def _one(
    run: Run, out: Path, seed: int, device: str, jobs: int, scheduler: str | None, here: Worker
) -> bool:
    """Extract, select and answer; whether all of it is done."""
    folder = out / run.source.name
    console.print(f"{run.source.name}: {len(run.cells)} cells")
    bundle = prepared(folder, run.source, seed=seed, device=device, jobs=jobs, scheduler=scheduler)
    if bundle is None:
        return False
    atomic_write_json(folder / "bundle.json", {"bundle": bundle.name})
    device = here.device(device, torch.cuda.device_count())
    source = run.source
    job = job_of(bundle, folder, source.model, seed=seed, device=device, loading=source.loading)
    return complete(run.cells, job, jobs=jobs, scheduler=scheduler, worker=here)


def _graded(run: Run, out: Path, seed: int, judging: Judging) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and metrics of a run that is done."""
    source, folder = run.source, out / run.source.name
    benchmark = BENCHMARKS[source.dataset]
    records = benchmark.records(
        source.root, source.split, convention=source.convention, limit=source.limit or None,
        check_media=False,
    )  # fmt: skip
    name = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["bundle"]
    needs = benchmark.convention(source.convention).rubric is not None
    return graded(
        read_results(folder), benchmark, records, read_log(log_of(folder / name)),
        split=source.split, convention=source.convention, judging=judging if needs else None,
        judgements=folder / "judgements.jsonl" if needs else None, seed=seed,
    )  # fmt: skip


def beside(table: int, runs: Sequence[Run], scores: pd.DataFrame) -> pd.DataFrame:
    """What stands beside a table of the paper: a row for each printed number that was measured.

    Of a method that draws the value is the mean over its draws, and has no interval.

    Parameters
    ----------
    table : its number
    runs : of `runs_of`
    scores : of `evaluate`

    Returns
    -------
    DataFrame
        `COLUMNS`, in the paper's units.
    """
    rows: list[dict[str, Any]] = []
    for run in runs:
        source = run.source
        own = scores[(scores["model"] == source.model) & (scores["dataset"] == source.dataset)]
        for place in dict.fromkeys(run.places.values()):
            cells = [cell for cell, where in run.places.items() if where == place]
            for printed, wanted in run.wanted.items():
                metrics = [_metric(own[own.cell == cell], wanted) for cell in cells]
                there = [m for m in metrics if m is not None]
                if there:
                    rows.append(
                        {"table": table, "model": place.model, "keep": place.keep,
                         "method": place.method, "metric": printed,
                         **_mean(there, wanted.times), "checkpoint": source.model,
                         "dataset": source.dataset, "convention": there[0]["convention"],
                         "judge": there[0]["judge"]}
                    )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _metric(scores: pd.DataFrame, wanted: Wanted) -> Mapping[Hashable, Any] | None:
    """The row of a metric; of MM-Vet's two the one with samples resampled, as in the paper."""
    found = scores[(scores.metric == wanted.metric) & (scores.group == wanted.group)]
    return None if found.empty else found.to_dict("records")[0]


def _mean(metrics: Sequence[Mapping[Hashable, Any]], times: float) -> dict[str, Any]:
    """The mean over draws, with the interval of a single one."""
    alone = metrics[0] if len(metrics) == 1 else {"low": float("nan"), "high": float("nan")}
    return {
        "value": times * sum(m["value"] for m in metrics) / len(metrics),
        "low": times * alone["low"],
        "high": times * alone["high"],
        "n": int(metrics[0]["n"]),
        "failed": int(sum(m["failed"] for m in metrics)),
        "draws": len(metrics),
        "note": "; ".join(dict.fromkeys(str(m["note"]) for m in metrics if m["note"])),
    }
