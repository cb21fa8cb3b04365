"""The tables of a finished grid: rows, a summary of every cell, comparisons with a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from rich.table import Column, Table

from mitheory import provenance
from mitheory.errors import ParameterError
from mitheory.io import atomic_write_csv, atomic_write_json, atomic_write_parquet
from mitheory.models.fruitfly.checkpoint import default_device

from .configuration import Configuration
from .running import read_results
from .sources import Source
from .statistics import compared, judged, summary

SMALLEST = 0.02
"""A difference of accuracy that matters: the paper ranks methods by less."""


def reference_of(cells: Sequence[Configuration], text: str) -> list[Configuration]:
    """The cells that a reference names, one for each budget of the grid.

    Parameters
    ----------
    cells : of the grid
    text : "axis=value,axis=value": what the reference has; axes that are not named are at their
        defaults

    Raises
    ------
    ParameterError
        If the text is not of that form, or no cell is the reference.
    """
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name and sign for name, sign, _ in pairs):
        raise ParameterError(f"reference: expected axis=value,axis=value, got {text!r}")
    wanted = {name.strip(): yaml.safe_load(value) for name, _, value in pairs}
    found = []
    for cell in cells:
        meant = Configuration.from_dict({"budget": cell.budget, **wanted})
        if meant.identity == cell.identity:
            found.append(cell)
    if not found:
        raise ParameterError(f"reference: no cell of the grid is {text!r}")
    return found


def write_tables(
    out: Path,
    cells: Sequence[Configuration],
    reference: str,
    runs: Mapping[Source, Path] | None = None,
) -> pd.DataFrame:
    """Write results.parquet, summary.csv and compared.csv; the comparisons are returned.

    A cell is compared with the reference of its own source at its own budget; a reference that
    keeps everything has one budget and is compared with all. Holm's correction is over the cells
    of one source and budget.

    Parameters
    ----------
    out : where to write
    cells : of the grid
    reference : as `reference_of` takes it
    runs : source -> folder of its finished grid; `out` alone without
    """
    parts = []
    for source, folder in (runs or {Source(): out}).items():
        named = {"model": source.model, "dataset": source.dataset, "split": source.split}
        results = read_results(folder)
        tables = (results, summary_of(results, cells), compared_of(results, cells, reference))
        parts.append([table.assign(**named) for table in tables])
    rows, described, found = (pd.concat(p, ignore_index=True) for p in zip(*parts, strict=True))
    atomic_write_parquet(out / "results.parquet", storable(rows))
    atomic_write_csv(out / "summary.csv", described)
    atomic_write_csv(out / "compared.csv", found)
    return found


def write_origin(
    out: Path, sources: Sequence[Source], reference: str, *, seed: int, device: str, command: str
) -> None:
    """Write run.json: what was compared with what, and what made the tables.

    Parameters
    ----------
    out : folder of the tables
    sources : that were run
    reference : as `reference_of` takes it; empty where nothing was compared
    seed, device : of the run
    command : that made it
    """
    ran = {
        "models": list(dict.fromkeys(source.model for source in sources)),
        "datasets": list(dict.fromkeys(source.dataset for source in sources)),
        "reference": reference,
    }
    origin = provenance.collect(command, seed=seed, device=default_device(device))
    atomic_write_json(out / "run.json", {"run": ran, "provenance": origin.to_dict()})


def summary_of(results: pd.DataFrame, cells: Sequence[Configuration]) -> pd.DataFrame:
    """Axes, accuracy and failures of every cell."""
    axes = pd.DataFrame([described(c) for c in cells]).set_index("cell")
    return axes.join(summary(results).set_index("cell")).reset_index()


def compared_of(
    results: pd.DataFrame, cells: Sequence[Configuration], reference: str
) -> pd.DataFrame:
    """Every cell against the reference of its budget, with a verdict."""
    references = {_budget(c): c for c in reference_of(cells, reference)}
    only = next(iter(references.values())) if len(references) == 1 else None
    tables = []
    for budget in dict.fromkeys(_budget(c) for c in cells):
        against = references.get(budget, only)
        if against is None:
            continue
        family = [c.identity for c in cells if _budget(c) == budget and c != against]
        if family:
            tables.append(compared(results, against.identity, family))
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"cell": []})
    axes = pd.DataFrame([described(c) for c in cells]).set_index("cell")
    found = axes.join(found.set_index("cell"), how="inner").reset_index()
    if len(found):
        found["verdict"] = [judged(row, SMALLEST) for _, row in found.iterrows()]
        found["smallest"] = SMALLEST
    return found


def _budget(cell: Configuration) -> tuple[bool, float]:
    """The budget, one token apart from the ratio 1."""
    return isinstance(cell.budget, int), float(cell.budget)


def storable(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows as Parquet takes them: an option that is a word here and a number there is text.

    Examples
    --------
    >>> storable(pd.DataFrame({"option_prior": ["uniform", 0.5, None]})).option_prior.tolist()
    ['uniform', '0.5', None]
    """
    stored = rows.copy()
    for name in rows:
        if str(name).startswith("option_") and rows[name].dropna().map(type).nunique() > 1:
            words = [None if pd.isna(v) else str(v) for v in rows[name]]
            stored[name] = pd.Series(words, index=rows.index, dtype=object)
    return stored


USUAL = {
    f.name: f.default
    for f in fields(Configuration)
    if f.name not in ("method", "budget", "options")
}
"""Axes that are shown only where they are not at their defaults."""


def described(cell: Configuration) -> dict[str, Any]:
    """A cell's axes, and those of its options that are not at their defaults."""
    axes = {k: v for k, v in cell.canonical().items() if k != "options"}
    return {"cell": cell.identity, **axes, "options": dict(sorted(cell.options.items()))}


def printed(found: pd.DataFrame, reference: str) -> Table:
    """The comparisons as the terminal shows them: points of accuracy, and what n could find."""
    title = f"accuracy minus that of {reference}, in points; 95% intervals over scenes"
    whole = [Column(name, no_wrap=True) for name in ("budget", "difference")]
    table = Table(
        "cell", *whole, "p (Holm)", "detectable", "verdict", title=title, box=None, padding=(0, 1)
    )
    several = [c for c in ("model", "dataset", "split") if found[c].nunique() > 1]
    for _, row in found.iterrows():
        values = [str(row[c]) for c in (*several, "method")]
        values += [f"{k}={v}" for k, v in row.options.items()]
        values += [f"{k}={row[k]}" for k, usual in USUAL.items() if row[k] != usual]
        table.add_row(
            " ".join(values),
            f"{row.budget:.3g}",
            f"{100 * row.difference:+.1f} [{100 * row.low:+.1f}, {100 * row.high:+.1f}]",
            f"{row.p_holm:.2g}",
            f"{100 * row.detectable:.1f}",
            str(row.verdict),
        )
    return table
