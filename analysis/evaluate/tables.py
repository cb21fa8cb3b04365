"""The paper's tables as configurations: ``configurations/tabN.yaml``, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from analysis.datasets import BENCHMARKS
from mitheory.checks import lookup
from mitheory.errors import MitheoryError, ParameterError

FOLDER = Path(__file__).parent / "configurations"
TABLES = (1, 2, 4, 7, 8, 10, 11)
"""Tables of the paper that are accuracies on benchmarks."""


@dataclass(frozen=True)
class Wanted:
    """A printed column: which metric of which benchmark, in the paper's unit.

    Parameters
    ----------
    dataset : a name of `BENCHMARKS`
    metric, group : as `scoring.score` names them
    split : of the benchmark; its default one without
    times : factor from our unit to the printed one, 100 for per cent
    """

    dataset: str
    metric: str
    group: str = "all"
    split: str = ""
    times: float = 1.0

    def __post_init__(self) -> None:
        chosen = lookup(self.dataset, BENCHMARKS, "benchmark")
        if self.split:
            lookup(self.split, chosen.splits, f"split of {self.dataset}")


@dataclass(frozen=True)
class PaperModel:
    """A block of rows: the model that the paper names, and how it is asked.

    Parameters
    ----------
    model : as `load_adapter` takes it
    printed : name in the paper
    keep : budget by what the paper prints for it
    convention : of the benchmarks that have it; the others keep their first
    generation : options of the adapter's `generate`
    instead : benchmarks that stand for others with this model
    metrics : printed columns of this model; all without
    """

    model: str
    printed: str = ""
    keep: Mapping[str, float | int] = field(default_factory=dict)
    convention: str = ""
    generation: Mapping[str, Any] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper.

    Parameters
    ----------
    table : its number
    models : blocks of rows, by a name
    metrics : columns, by their printed name
    methods : axes of the grid, by the method's printed name
    limit : the first so many questions; 0 takes all
    """

    table: int
    models: Mapping[str, PaperModel]
    metrics: Mapping[str, Wanted]
    methods: Mapping[str, Mapping[str, Any]]
    limit: int = 0

    def wanted(self, model: PaperModel) -> dict[str, Wanted]:
        """The columns of a model."""
        return {k: w for k, w in self.metrics.items() if not model.metrics or k in model.metrics}


@cache
def read_table(number: int) -> PaperTable:
    """The configuration of a table.

    Raises
    ------
    ParameterError
        If there is none.

    Examples
    --------
    >>> sorted(read_table(8).methods)
    ['MI-Pruner', 'Random', 'Similarity']
    """
    if number not in TABLES:
        raise ParameterError(f"table: expected one of {list(TABLES)}, got {number}")
    path = FOLDER / f"tab{number}.yaml"
    return parsed(yaml.safe_load(path.read_text(encoding="utf-8")), path.name)


def parsed(values: Mapping[str, Any], name: str) -> PaperTable:
    """A table from what its file holds.

    Raises
    ------
    ParameterError
        If a field is missing or unknown, or a model has no budgets.
    """
    try:
        common = {"keep": values.get("keep", {}), "convention": values.get("convention", "")}
        models = {
            key: PaperModel(**{**common, "printed": key, **_tuple(own, "metrics")})
            for key, own in values["models"].items()
        }
        metrics = {key: Wanted(**own) for key, own in values["metrics"].items()}
        own = {f.name for f in fields(PaperTable)} - {"models", "metrics"}
        rest = {k: v for k, v in values.items() if k not in ("models", "metrics", *common)}
        if strange := sorted(set(rest) - own):
            raise ParameterError(f"expected fields {sorted(own)}, got {strange}")
        table = PaperTable(models=models, metrics=metrics, **rest)
    except (KeyError, TypeError, AttributeError, MitheoryError) as error:
        raise ParameterError(f"{name}: {type(error).__name__}: {error}") from error
    for key, model in models.items():
        if not model.keep:
            raise ParameterError(f"{name}: {key} has no budgets: expected keep")
        if strange := sorted(set(model.metrics) - set(metrics)):
            raise ParameterError(f"{name}: {key} has metrics {strange}; known: {sorted(metrics)}")
    return table


def _tuple(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {k: tuple(v) if k == name else v for k, v in values.items()}
