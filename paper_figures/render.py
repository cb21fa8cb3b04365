"""From the tables of a run to PNG, PDF, CSV and one page to read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mitheory.errors import MitheoryError
from mitheory.io import atomic_write_csv, atomic_write_text, remove, replacing

from . import audit, claims, page
from .claims import Comparison
from .registry import FIGURES
from .results import Results, load
from .spec import FigureSpec
from .style import DPI, theme

FOLDER = "figures"
# Without dates in the files the same tables give the same bytes.
METADATA: Mapping[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": "mitheory", "Producer": None},
}


@dataclass(frozen=True)
class Rendered:
    """A figure that was drawn, or the reason why it was not.

    Attributes
    ----------
    spec : FigureSpec
    reason : str
        Why it could not be drawn; empty if it was.
    table : DataFrame or None
        What was drawn.
    comparisons : tuple of Comparison
    """

    spec: FigureSpec
    reason: str = ""
    table: pd.DataFrame | None = None
    comparisons: tuple[Comparison, ...] = ()

    @property
    def is_drawn(self) -> bool:
        """Whether there are files."""
        return not self.reason


def render_all(
    results_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str] | None = None,
    *,
    figures: Mapping[str, FigureSpec] = FIGURES,
) -> list[Rendered]:
    """Draw every figure whose input the run holds, and write index.html.

    Parameters
    ----------
    results_dir : folder of a run, with results.parquet
    out_dir : where figures/ and index.html are written; by default beside the results
    figures : which

    Returns
    -------
    list of Rendered
        All of `figures`, in their order; those whose input is missing with the reason.

    Raises
    ------
    MissingInputError
        If there are no results at all.
    """
    results = load(results_dir)
    out = Path(results_dir if out_dir is None else out_dir)
    rendered = [render(spec, results, out / FOLDER) for spec in figures.values()]
    comparisons = [c for figure in rendered for c in figure.comparisons]
    if comparisons:
        atomic_write_csv(out / FOLDER / "comparisons.csv", claims.table(comparisons))
    else:
        remove(out / FOLDER / "comparisons.csv")
    verdicts = audit.summary(out)
    html = page.html(rendered, results, folder=FOLDER, audit=verdicts)
    atomic_write_text(out / "index.html", html)
    return rendered


def render(spec: FigureSpec, results: Results, folder: Path) -> Rendered:
    """Draw one figure; what refuses its input is a result with the reason, a bug is raised."""
    try:
        table = spec.data(results)
        comparisons = tuple(spec.claims(results))
    except MitheoryError as error:
        for kind in ("png", "pdf", "csv"):  # of an earlier run: no longer true
            remove(folder / f"{spec.name}.{kind}")
        return Rendered(spec, reason=str(error))
    with theme():
        save(spec.draw(table, results.scenes), folder, spec.name)
    atomic_write_csv(folder / f"{spec.name}.csv", table)
    return Rendered(spec, table=table, comparisons=comparisons)


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as PNG and PDF, each whole or not at all."""
    for kind, metadata in METADATA.items():
        with replacing(folder / f"{name}.{kind}") as temporary:
            figure.savefig(temporary, format=kind, dpi=DPI, metadata=metadata)
