"""What a run left on disk: read once, checked, and handed to every figure."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mitheory.errors import MissingInputError, ParameterError

from .labels import FORM_OF, series

COLUMNS = (
    "setting", "family", "method", "budget", "ratio", "relevance_weight", "temperature",
    "aggregation", "conditional", "word_aggregation", "draw", "sample_id", "image_id",
    "question_type", "negative", "answer", "prediction", "correct",
)  # fmt: skip
KEPT_COLUMNS = ("setting", "sample_id", "budget", "kept")
SCENE_COLUMNS = ("sample_id", "question", "rows", "columns", "height", "width", "pixels")
ALWAYS_READ = ("results.parquet", "kept.parquet", "scenes.parquet", "run.json")
KEY = ["family", "setting", "draw", "budget", "sample_id"]


@dataclass(frozen=True)
class Scene:
    """What is needed to draw one question: its words and its image."""

    question: str
    image: NDArray[np.uint8]  # (H, W, 3)
    grid: tuple[int, int]


@dataclass(frozen=True)
class Results:
    """The tables of a run.

    Attributes
    ----------
    table : DataFrame
        One row per setting, budget and sample: `COLUMNS`, and the derived ``series`` and ``form``.
    kept : DataFrame or None
        Kept sets of the samples that are drawn: `KEPT_COLUMNS`.
    scenes : mapping from sample_id to Scene
    run : mapping
        Options and provenance, as the run wrote them.
    folder : path or None
        Of the run, where the tables of studies lie.
    grid : DataFrame or None
        Rows of `mitheory ablate` or `mitheory evaluate`, if that is what left the folder; `table`
        is empty then.
    studies : mapping from name to DataFrame
        Tables of studies that are at hand; others are read from `folder`.
    read : set of str
        What was asked for with `study` and `file`, as paths in the folder, there or not: with
        `ALWAYS_READ`, all that a figure can depend on.

    Raises
    ------
    MissingInputError
        If a column is missing.
    ParameterError
        If a row stands twice, or a question type is unknown.
    """

    table: pd.DataFrame
    kept: pd.DataFrame | None = None
    scenes: Mapping[str, Scene] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    grid: pd.DataFrame | None = None
    studies: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    read: set[str] = field(default_factory=set, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", prepared(self.table))
        if self.kept is not None:
            _check_columns("kept", self.kept, KEPT_COLUMNS)

    def family(self, name: str) -> pd.DataFrame:
        """Rows of a family.

        Raises
        ------
        MissingInputError
            If the run holds none.
        """
        rows = self.table[self.table["family"] == name]
        if rows.empty:
            known = sorted(self.table["family"].unique())
            raise MissingInputError(f"no rows of family {name!r}; this run holds {known}")
        return rows

    def full(self) -> pd.DataFrame:
        """Rows of the model with all tokens; may be empty."""
        return self.table[self.table["method"] == "full"]

    def study(self, table: str) -> pd.DataFrame:
        """A table of ``studies/``, written by `analysis.studies`.

        Raises
        ------
        MissingInputError
            If the run holds none of that name.
        """
        if table in self.studies:
            return self.studies[table]
        path = self.file(f"studies/{table}.parquet")
        if path is None:
            raise MissingInputError(f"no studies/{table}.parquet in this run; run `mitheory study`")
        return pd.read_parquet(path)

    def file(self, name: str) -> Path | None:
        """Any other file of the run by its path in the folder; None if it is not there."""
        self.read.add(name)
        path = self.folder and self.folder / name
        return path if path and path.is_file() else None


def prepared(table: pd.DataFrame) -> pd.DataFrame:
    """The table, checked, with the derived columns ``series`` and ``form``."""
    _check_columns("results", table, COLUMNS)
    if twice := int(table.duplicated(KEY).sum()):
        raise ParameterError(f"results must hold each of {KEY} once; {twice} rows stand twice")
    if unknown := sorted(set(table["question_type"]) - set(FORM_OF)):
        raise ParameterError(f"results.question_type must be one of {list(FORM_OF)}; got {unknown}")
    pairs = zip(table["method"], table["word_aggregation"], strict=True)
    return table.assign(
        relevance_weight=pd.to_numeric(table["relevance_weight"]),  # None and floats mix in columns
        temperature=pd.to_numeric(table["temperature"]),
        series=[series(method, words) for method, words in pairs],
        form=table["question_type"].map(FORM_OF),
    )


def _check_columns(name: str, table: pd.DataFrame, needed: tuple[str, ...]) -> None:
    if missing := [column for column in needed if column not in table.columns]:
        raise MissingInputError(f"{name} must have the columns {missing}")


def load(folder: str | os.PathLike[str]) -> Results:
    """Read a run: results.parquet, and kept.parquet, scenes.parquet and run.json where they exist.

    A folder of `mitheory ablate` or `mitheory evaluate` is told by the cells of its rows.

    Raises
    ------
    MissingInputError
        If there is no results.parquet, or a column is missing.
    """
    folder = Path(folder)
    if not (folder / "results.parquet").is_file():
        raise MissingInputError(f"{folder} must hold results.parquet; run `mitheory reproduce`")
    run = folder / "run.json"
    said = json.loads(run.read_text(encoding="utf-8")) if run.is_file() else {}
    table = pd.read_parquet(folder / "results.parquet")
    if "cell" in table:
        return Results(pd.DataFrame(columns=list(COLUMNS)), run=said, folder=folder, grid=table)
    kept = None
    if (folder / "kept.parquet").is_file():
        kept = pd.read_parquet(folder / "kept.parquet")
    return Results(
        table=table,
        kept=kept,
        scenes=_scenes(folder / "scenes.parquet"),
        run=said,
        folder=folder,
    )


def _scenes(path: Path) -> dict[str, Scene]:
    """Questions and images of the samples that are drawn; none without the file."""
    if not path.is_file():
        return {}
    table = pd.read_parquet(path)
    _check_columns("scenes", table, SCENE_COLUMNS)
    return {row["sample_id"]: _scene(row) for row in table.to_dict("records")}


def _scene(row: Mapping[Hashable, Any]) -> Scene:
    pixels = np.frombuffer(row["pixels"], dtype=np.uint8)
    image = pixels.reshape(int(row["height"]), int(row["width"]), 3).copy()
    return Scene(row["question"], image, (int(row["rows"]), int(row["columns"])))
