"""What is to be run: a source with its cells, and where the cells stand in the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from analysis.ablation import Configuration, Source, expand
from analysis.ablation.configuration import FULL as FULL_METHOD
from analysis.ablation.configuration import PAPER_WEIGHT, WHERE_PUBLISHED
from analysis.ablation.grids import parse_axes
from analysis.ablation.reporting import reference_of
from analysis.datasets import BENCHMARKS
from mitheory.checks import lookup
from mitheory.errors import ParameterError
from mitheory.models.staging import OBSERVED
from mitheory.selection import SELECTORS

from .tables import PaperModel, PaperTable, Wanted

SHARED = {"textvqa_ocr": "textvqa"}
"""Benchmarks that read the files of another."""


@dataclass(frozen=True)
class Place:
    """Where a cell stands in a table of the paper."""

    model: str
    keep: str
    method: str


@dataclass(frozen=True)
class Run:
    """One model on one benchmark.

    Parameters
    ----------
    source : model, benchmark, split, files
    cells : of the grid, each once
    places : by the cell's identity, where the paper prints it; the draws of a method share one
    wanted : by the printed column, what stands in it
    """

    source: Source
    cells: tuple[Configuration, ...]
    places: Mapping[str, Place] = field(default_factory=dict)
    wanted: Mapping[str, Wanted] = field(default_factory=dict)


def folder_of(root: Path | None, dataset: str) -> Path | None:
    """A benchmark's folder: one inside `root` of its name, or of the one whose files it shares, or
    else `root` itself.

    Examples
    --------
    >>> folder_of(None, "pope") is None
    True
    """
    if root is None:
        return None
    names = (dataset, SHARED.get(dataset, dataset))
    return next((root / name for name in names if (root / name).is_dir()), root)


def convention_of(dataset: str, wished: str) -> str:
    """The convention of that name if the benchmark has it, else its first.

    Examples
    --------
    >>> convention_of("pope", "lmms-eval"), convention_of("mme", "llava")
    ('lmms-eval', 'official')
    """
    known = BENCHMARKS[dataset].conventions
    return wished if wished in known else next(iter(known))


def runs_of(
    table: PaperTable,
    root: Path | None,
    *,
    models: Sequence[str] = (),
    metrics: Sequence[str] = (),
    model: str = "",
    convention: str = "",
    limit: int = 0,
    loading: Mapping[str, Any] | None = None,
) -> list[Run]:
    """The runs of a table: one for each model and benchmark.

    Parameters
    ----------
    table : of `read_table`
    root : folder with a folder for each benchmark; None reads from the Hub
    models : printed names of those that are run; all without
    metrics : printed columns; all without
    model : another checkpoint in place of every model of the table
    convention : other than the table's
    limit : the first so many questions; the table's own without
    loading : further options of `load_adapter`
    """
    found = []
    for name, own in table.models.items():
        if models and name not in models and own.printed not in models:
            continue
        wanted = {k: w for k, w in table.wanted(own).items() if not metrics or k in metrics}
        by_data: dict[tuple[str, str], dict[str, Wanted]] = {}
        for column, one in wanted.items():
            used = replace(one, dataset=own.instead.get(one.dataset, one.dataset))
            by_data.setdefault((used.dataset, used.split), {})[column] = used
        cells, places = _cells(table, own, set(wanted))
        options = dict(loading or {})
        if own.generation:
            options["generation"] = dict(own.generation)
        for (dataset, split), columns in by_data.items():
            source = Source(
                model or own.model, dataset, split, limit or table.limit,
                folder_of(root, dataset), convention or convention_of(dataset, own.convention),
                options,
            )  # fmt: skip
            found.append(Run(source, cells, places, columns))
    return found


def _cells(
    table: PaperTable, model: PaperModel, columns: set[str]
) -> tuple[tuple[Configuration, ...], dict[str, Place]]:
    """The cells of a model that the paper prints, and where."""
    there = printed_places(table.table)
    cells: dict[str, Configuration] = {}
    places: dict[str, Place] = {}
    for keep, budget in {"full": 1.0, **model.keep}.items():
        for method, axes in table.methods.items():
            is_whole = axes["method"] == "full"
            place = Place(model.printed, keep, method)
            if (keep == "full") != is_whole or not there.get(place, set()) & columns:
                continue
            for cell in expand(dict(axes) if is_whole else {**axes, "budget": budget}):
                cells[cell.identity] = cell
                places[cell.identity] = place
    return tuple(cells.values()), places


def printed_places(number: int) -> dict[Place, set[str]]:
    """The rows of a table as the paper prints it, each with its columns."""
    from analysis.reference.cells import printed_cells

    found: dict[Place, set[str]] = {}
    for key in printed_cells():
        if key.table == number:
            found.setdefault(Place(key.model, key.keep, key.method), set()).add(key.metric)
    return found


WEIGHTED = ("mi_pruner", "mi_attention")
"""Methods with λ, which the paper sets by the form of the question."""

REFERENCE = "method=mi_pruner,relevance_weight=paper"


def cells_of(methods: Sequence[str], budgets: str, axes: Mapping[str, Any]) -> list[Configuration]:
    """All tokens, and every method at every budget; λ as the paper sets it, unless an axis does.

    Parameters
    ----------
    methods : names of `SELECTORS`
    budgets : tokens, ratios or fractions, separated by commas
    axes : further ones, as `parse_axes` gives them

    Examples
    --------
    >>> [(c.method, c.budget) for c in cells_of(["mi_pruner", "random"], "64,1/9", {"draw": [0]})]
    [('full', 1.0), ('mi_pruner', 64), ('mi_pruner', 0.1111111111111111), ('random', 64), \
('random', 0.1111111111111111)]
    """
    found = [Configuration(FULL_METHOD)]
    for method in methods:
        weight = {"relevance_weight": PAPER_WEIGHT} if method in WEIGHTED else {}
        needed = lookup(method, SELECTORS, "method").requires
        place = {"inside": WHERE_PUBLISHED} if set(OBSERVED) & set(needed) else {}
        own = {"method": method, **parse_axes([f"budget={budgets}"]), **weight, **place, **axes}
        found += expand(own)
    return list({cell.identity: cell for cell in found}.values())


def usual_reference(runs: Sequence[Run]) -> str:
    """MI-Pruner as the paper has it, if every run has such a cell; else none."""
    try:
        for run in runs:
            reference_of(run.cells, REFERENCE)
    except ParameterError:
        return ""
    return REFERENCE


def single_runs(
    cells: Sequence[Configuration],
    models: Sequence[str],
    datasets: Sequence[str],
    root: Path | None,
    *,
    split: str = "",
    convention: str = "",
    limit: int = 0,
    loading: Mapping[str, Any] | None = None,
) -> list[Run]:
    """Runs of one grid on several models and benchmarks."""
    return [
        Run(
            Source(
                model, dataset, split, limit, folder_of(root, dataset) if dataset in BENCHMARKS
                else None, convention, dict(loading or {}),
            ),
            tuple(cells),
        )
        for model in models
        for dataset in datasets
    ]  # fmt: skip
