"""The main job: extract -> select -> answer -> results, each step resumable.

Files of a run: ``bundle/`` (embeddings), ``cells/<id>.parquet`` (one setting at one budget, written
atomically, the unit of resumption), ``results.parquet`` (tidy: one row per setting and sample),
``kept.parquet`` (kept sets of the samples that are drawn), ``scenes.parquet`` (their questions and
images), ``run.json`` (provenance and options).
Figures are drawn from these files by `paper_figures`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed

from mitheory import provenance
from mitheory.bundle import Bundle, Sample
from mitheory.io import atomic_write_json, atomic_write_parquet
from mitheory.models.fruitfly import FruitFlyAdapter, examples

from .evaluation import cell
from .extraction import extract
from .progress import console, progress, quiet_restarts
from .settings import BUDGETS, QUICK_BUDGETS, Setting, paper_settings

SAMPLES, QUICK_SAMPLES = 2400, 320
DRAWN_TYPES = ("color", "existence", "relation", "multiple_choice", "counting")
FULL = Setting("method", "full")
LAYOUT = 2  # of a cell's table; cells of another are not reused
OPTIONS: dict[str, type] = {
    "relevance_weight": float,
    "temperature": float,
    "aggregation": object,
    "conditional": object,
    "word_aggregation": object,
}
"""Options that are columns of the results, with their dtype: empty where a method has none."""


@dataclass(frozen=True)
class Run:
    """What is run; its fields are what a cell's identity is made of, with the bundle's."""

    model: str = "fruitfly"
    split: str = "test"
    limit: int = SAMPLES
    seed: int = 0
    budgets: tuple[int, ...] = BUDGETS
    quick: bool = False

    @classmethod
    def make(cls, *, quick: bool, **changes: object) -> Run:
        """The run of `mitheory reproduce`, or its short form."""
        short: dict[str, Any] = {"limit": QUICK_SAMPLES, "budgets": QUICK_BUDGETS} if quick else {}
        return cls(quick=quick, **(short | changes))


def reproduce(
    run: Run, out: Path, *, jobs: int = 2, device: str = "cpu", command: str = ""
) -> pd.DataFrame:
    """Everything up to the tables; the main one, of results.parquet, is given back."""
    out.mkdir(parents=True, exist_ok=True)
    adapter = FruitFlyAdapter(run.model, device=device)
    origin = provenance.collect(
        command=command,
        seed=run.seed,
        device=device,
        dtype="float32",
        model=run.model,
        revision=adapter.revision,
    )
    console.print(f"[bold]1/5[/] extract {run.limit} {run.split} questions with {run.model}")
    source = examples(run.split, limit=run.limit, seed=run.seed)
    bundle = out / "bundle"
    extract(adapter, source, bundle, origin, limit=run.limit, dtype="float32", overwrite=True)
    settings = paper_settings(quick=run.quick)
    console.print(
        f"[bold]2/5[/] select and answer: {len(settings)} settings, budgets {run.budgets}"
    )
    cells = run_cells(run, settings, out, jobs=jobs, device=device)
    console.print("[bold]3/5[/] collect")
    results = collect(settings, cells)
    atomic_write_parquet(out / "results.parquet", results)
    kept = drawn(settings, cells, run)
    atomic_write_parquet(out / "kept.parquet", kept)
    atomic_write_parquet(out / "scenes.parquet", pictures(bundle, sorted(set(kept.sample_id))))
    atomic_write_json(out / "run.json", {"run": asdict(run), "provenance": origin.to_dict()})
    return results


def run_cells(
    run: Run, settings: Sequence[Setting], out: Path, *, jobs: int, device: str
) -> dict[tuple[str, int], Path]:
    """Compute the cells that are missing; paths of all by (selection id, budget)."""
    bundle = out / "bundle"
    n_v = len(Bundle.open(bundle)[0].visual)
    wanted = {(s.selection_id, b): (s, b) for s in _largest(settings) for b in run.budgets}
    wanted[FULL.selection_id, n_v] = (FULL, n_v)
    fingerprint = hashlib.sha256((bundle / "index.json").read_bytes()).hexdigest()
    paths = {
        key: out / "cells" / f"{_cell_id(run, *key, setting.limit, fingerprint)}.parquet"
        for key, (setting, _) in wanted.items()
    }
    missing = [key for key, path in paths.items() if not path.exists()]
    work = (delayed(_run_cell)(*wanted[key], run, bundle, paths[key], device) for key in missing)
    with quiet_restarts(), progress() as bar:
        task = bar.add_task("cells", total=len(paths), completed=len(paths) - len(missing))
        for _ in Parallel(n_jobs=jobs, return_as="generator_unordered")(work):
            bar.advance(task)
    return paths


def _largest(settings: Sequence[Setting]) -> list[Setting]:
    """Of settings that make the same selection, the one of the most questions."""
    found: dict[str, Setting] = {}
    for setting in settings:
        known = found.setdefault(setting.selection_id, setting)
        if known.limit and (not setting.limit or setting.limit > known.limit):
            found[setting.selection_id] = setting
    return list(found.values())


def _cell_id(run: Run, selection_id: str, budget: int, limit: int, fingerprint: str) -> str:
    identity = [LAYOUT, selection_id, budget, limit, run.seed, run.model, fingerprint]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:20]


def _run_cell(
    setting: Setting, budget: int, run: Run, bundle: Path, path: Path, device: str
) -> None:
    import torch

    torch.set_num_threads(1)
    adapter, samples = _loaded(run.model, bundle, device)
    table = cell(setting, adapter, samples, budget, seed=run.seed)
    atomic_write_parquet(path, table)


@lru_cache(maxsize=1)
def _loaded(model: str, bundle: Path, device: str) -> tuple[FruitFlyAdapter, list[Sample]]:
    """Once per worker process."""
    return FruitFlyAdapter(model, device=device), list(Bundle.open(bundle))


def collect(settings: Sequence[Setting], cells: dict[tuple[str, int], Path]) -> pd.DataFrame:
    """One tidy table: the cells of every setting under its family and label."""
    tables = [
        _described(setting, path)
        for setting in (FULL, *settings)
        for (key, _), path in cells.items()
        if key == setting.selection_id
    ]
    return pd.concat(tables, ignore_index=True)


def _described(setting: Setting, path: Path) -> pd.DataFrame:
    """A cell's rows with the columns that say which setting they belong to."""
    table = pd.read_parquet(path).drop(columns="kept")
    table = table.head(setting.limit or len(table))
    options = {t: setting.effective(t) for t in table.question_type.unique()}
    for column, dtype in OPTIONS.items():
        given = [options[t].get(column) for t in table.question_type]
        table[column] = pd.Series(given, index=table.index, dtype=dtype)
    if setting.options.get("redundancy_aggregation") == "global":  # Eq. (21) of both terms
        table["aggregation"] = table["aggregation"] + "+global"
    return table.assign(
        setting=setting.name,
        family=setting.family,
        method=setting.method,
        paper_rule=bool(setting.closed_options),
        layers=",".join(map(str, setting.layers)),
    )


def drawn(
    settings: Sequence[Setting], cells: dict[tuple[str, int], Path], run: Run
) -> pd.DataFrame:
    """Kept sets of the samples that are drawn, at every budget.

    Nothing is picked by hand: the first question of each kind, each about another scene.
    """
    full = pd.read_parquet(next(p for (k, _), p in cells.items() if k == FULL.selection_id))
    chosen = first_of_each_kind(full)
    answers = full.set_index("sample_id").prediction.rename("full_prediction")
    tables = []
    for setting in settings:
        if setting.family == "method" and setting.draw == 0:
            for budget in run.budgets:
                table = pd.read_parquet(cells[setting.selection_id, budget])
                rows = table.set_index("sample_id").loc[chosen].reset_index()
                tables.append(rows.assign(setting=setting.name, method=setting.method))
    return pd.concat(tables, ignore_index=True).join(answers, on="sample_id")


def pictures(bundle: Path, sample_ids: Sequence[str]) -> pd.DataFrame:
    """Questions and images of samples, as what draws them reads them: without torch.

    Returns
    -------
    DataFrame
        ``sample_id``, ``question``, ``rows`` and ``columns`` of the grid of patches, ``height`` and
        ``width`` of the image and its ``pixels``: height x width x 3 bytes, row by row. Samples
        stored without an image are left out.
    """
    with Bundle.open(bundle) as opened:
        return pd.DataFrame(
            [
                {
                    "sample_id": sample.sample_id,
                    "question": sample.question,
                    "rows": sample.grid[0],
                    "columns": sample.grid[1],
                    "height": sample.image.shape[0],
                    "width": sample.image.shape[1],
                    "pixels": sample.image.numpy().tobytes(),
                }
                for sample in opened.select(sample_ids)
                if sample.image is not None and sample.grid is not None
            ],
            columns=["sample_id", "question", "rows", "columns", "height", "width", "pixels"],
        )


def first_of_each_kind(table: pd.DataFrame) -> list[str]:
    """Ids of the first question of each drawn type about a scene that no earlier one is about."""
    chosen: dict[str, str] = {}  # image -> sample
    for kind in DRAWN_TYPES:
        free = table[(table.question_type == kind) & ~table.image_id.isin(list(chosen))]
        for row in free.head(1).itertuples():
            chosen[str(row.image_id)] = str(row.sample_id)
    return list(chosen.values())
