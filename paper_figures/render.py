"""From the tables of a run to PNG, PDF, CSV and one page to read."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mitheory.errors import MitheoryError
from mitheory.io import atomic_write_csv, atomic_write_text, remove, replacing

from . import audit, claims, page, stamps
from .claims import Comparison
from .registry import figures_of
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
    """A figure with its files, or the reason why there are none.

    Attributes
    ----------
    spec : FigureSpec
    reason : str
        Why it could not be drawn; empty if it was.
    table : DataFrame or None
        What was drawn, if it was drawn now.
    comparisons : tuple of Comparison
    caption, html : str
        As on the page.
    state : str
        What was done and why, in words, such as "drawn: results.parquet changed" or "fresh".
    """

    spec: FigureSpec
    reason: str = ""
    table: pd.DataFrame | None = None
    comparisons: tuple[Comparison, ...] = ()
    caption: str = ""
    html: str = ""
    state: str = ""

    @property
    def is_drawn(self) -> bool:
        """Whether there are files."""
        return not self.reason


def render_all(
    results_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str] | None = None,
    *,
    figures: Mapping[str, FigureSpec] | None = None,
    only: Collection[str] | None = None,
    force: bool = False,
) -> list[Rendered]:
    """Draw every figure whose input the run holds and that is out of date; write index.html.

    Parameters
    ----------
    results_dir : folder of a run, with results.parquet
    out_dir : where figures/ and index.html are written; by default beside the results
    figures : which are on the page; those of `registry.figures_of` without
    only : names of those that are drawn where out of date; all without. The others stay as they are
    force : whether those that are not out of date are drawn too

    Returns
    -------
    list of Rendered
        All figures, in their order; those whose input is missing with the reason.

    Raises
    ------
    MissingInputError
        If there are no results at all.
    """
    results = load(results_dir)
    out = Path(results_dir if out_dir is None else out_dir)
    figures = figures_of(results) if figures is None else figures
    rendered = [
        render(spec, results, out / FOLDER, force=force)
        if only is None or name in only
        else as_it_stands(spec, results, out / FOLDER)
        for name, spec in figures.items()
    ]
    comparisons = [c for figure in rendered for c in figure.comparisons]
    if comparisons:
        atomic_write_csv(out / FOLDER / "comparisons.csv", claims.table(comparisons))
    else:
        remove(out / FOLDER / "comparisons.csv")
    verdicts = audit.summary(out) if results.grid is None else ""
    html = page.html(rendered, results, folder=FOLDER, audit=verdicts)
    atomic_write_text(out / "index.html", html)
    return rendered


def render(spec: FigureSpec, results: Results, folder: Path, *, force: bool = False) -> Rendered:
    """Draw one figure if it is out of date; what refuses its input is a result with the reason.

    A bug is raised.
    """
    path = folder / f"{spec.name}.json"
    stamp = stamps.read(path)
    why = stamp.why_stale(spec, results, folder) if stamp else "not drawn before"
    if stamp and not why and not force:
        return _stamped(spec, stamp, "fresh")
    remove(path)  # until the new files are whole there is none
    results.read.clear()
    try:
        table = spec.data(results)
        comparisons = tuple(spec.claims(results))
    except MitheoryError as error:
        for kind in spec.kinds:  # of an earlier run: no longer true
            remove(folder / f"{spec.name}.{kind}")
        return Rendered(spec, reason=str(error), state=f"missing: {error}")
    with theme():
        save(spec.draw(table, results.scenes), folder, spec.name)
    atomic_write_csv(folder / f"{spec.name}.csv", table)
    if spec.latex:
        atomic_write_text(folder / f"{spec.name}.tex", spec.latex(table))
    html = spec.html(table) if spec.html else ""
    made = stamps.stamp(
        spec, results, folder, caption=spec.caption(table), html=html, comparisons=comparisons
    )
    stamps.write(path, made)
    return replace(_stamped(spec, made, f"drawn: {why or 'asked for'}"), table=table)


def as_it_stands(spec: FigureSpec, results: Results, folder: Path) -> Rendered:
    """The figure as it was drawn before, out of date or not, as `state` says."""
    stamp = stamps.read(folder / f"{spec.name}.json")
    if stamp is None:
        return Rendered(spec, reason="not drawn yet", state="not drawn yet")
    why = stamp.why_stale(spec, results, folder)
    return _stamped(spec, stamp, f"stale, not asked for: {why}" if why else "fresh")


def _stamped(spec: FigureSpec, stamp: stamps.Stamp, state: str) -> Rendered:
    return Rendered(
        spec,
        comparisons=stamp.comparisons,
        caption=stamp.caption,
        html=stamp.html,
        state=state,
    )


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as PNG and PDF, each whole or not at all."""
    for kind, metadata in METADATA.items():
        with replacing(folder / f"{name}.{kind}") as temporary:
            figure.savefig(temporary, format=kind, dpi=DPI, metadata=metadata)
