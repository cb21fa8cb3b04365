"""The tables of a finished grid: rows, a summary of every cell, comparisons with a reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from mitheory.errors import ParameterError
from mitheory.io import atomic_write_csv, atomic_write_parquet

from .configuration import Configuration
from .running import read_results
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


def write_tables(out: Path, cells: Sequence[Configuration], reference: str) -> pd.DataFrame:
    """Write results.parquet, summary.csv and compared.csv; the comparisons are returned.

    A cell is compared with the reference at its own budget; a reference that keeps everything has
    one budget and is compared with all. Holm's correction is over the cells of one budget.
    """
    results = read_results(out)
    atomic_write_parquet(out / "results.parquet", results)
    described = pd.DataFrame([_described(c) for c in cells]).set_index("cell")
    table = described.join(summary(results).set_index("cell")).reset_index()
    atomic_write_csv(out / "summary.csv", table)
    references = {c.budget: c for c in reference_of(cells, reference)}
    only = next(iter(references.values())) if len(references) == 1 else None
    tables = []
    for budget in dict.fromkeys(c.budget for c in cells):
        against = references.get(budget, only)
        if against is None:
            continue
        family = [c.identity for c in cells if c.budget == budget and c != against]
        if family:
            tables.append(compared(results, against.identity, family))
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"cell": []})
    found = described.join(found.set_index("cell"), how="inner").reset_index()
    if len(found):
        found["verdict"] = [judged(row, SMALLEST) for _, row in found.iterrows()]
    atomic_write_csv(out / "compared.csv", found)
    return found


def _described(cell: Configuration) -> dict[str, Any]:
    """A cell's axes, and those of its options that are not at their defaults."""
    axes = {k: v for k, v in cell.canonical().items() if k != "options"}
    return {"cell": cell.identity, **axes, "options": dict(sorted(cell.options.items()))}
