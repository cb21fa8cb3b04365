"""What `mitheory ablate` and `mitheory evaluate` left: rows of a grid, by curve and by source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from mitheory.errors import MissingInputError

from . import labels
from .results import Results

SOURCE = ("model", "dataset", "split")
AXES = ("mode", "scope", "positions", "order", "search", "inside")
"""Axes of a cell besides its method, budget, options and draw."""
SIGNS: Mapping[str, str] = {"relevance_weight": "λ", "temperature": "τ"}


def of(results: Results) -> pd.DataFrame:
    """Rows of the grid with ``series`` and ``label`` of their curve, and ``worth``, what an answer
    is worth: the benchmark's score, or whether it is right; NaN where the row failed.

    Raises
    ------
    MissingInputError
        If the folder is not that of a grid.
    """
    if results.grid is None:
        raise MissingInputError(
            "results.parquet: expected rows of a grid; run `mitheory evaluate` or `mitheory ablate`"
        )
    rows = results.grid
    worth = pd.to_numeric(rows["score"] if "score" in rows else rows["correct"].astype("Float64"))
    worth = worth.astype("Float64").astype(float).where(rows["error"].isna())
    named = pd.DataFrame([_named(rows, i) for i in _firsts(rows)]).set_index("cell")
    return rows.assign(worth=worth).join(named, on="cell")


def by_source(rows: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """The rows of each model and data set, in their order, with what they are called."""
    names = [name for name in SOURCE if name in rows]
    for key, own in rows.groupby(names, sort=False):
        yield dict(zip(names, map(str, key), strict=True)), own


def source_label(source: Mapping[str, str]) -> str:
    """A source as the title of a panel: data, split where one is named, and model.

    Examples
    --------
    >>> source_label({"model": "llava-hf/llava-1.5-7b-hf", "dataset": "pope"})
    'pope, llava-1.5-7b-hf'
    """
    model = source["model"].rstrip("/").rpartition("/")[2].partition("?")[0]
    words = [source["dataset"], source.get("split", ""), model]
    return ", ".join(word for word in words if word)


def _firsts(rows: pd.DataFrame) -> list[int]:
    """Places of the first row of each cell."""
    return [int(i) for i in (~rows["cell"].duplicated()).to_numpy().nonzero()[0]]


def _named(rows: pd.DataFrame, place: int) -> dict[str, str]:
    """Key and label of the curve of a cell: its method, and what tells it from others."""
    row = rows.iloc[place]
    own = rows[rows["method"] == row["method"]]
    options = [name for name in rows if str(name).startswith("option_")]
    names = [str(name) for name in (*AXES, *options)]
    varying = [a for a in names if a in own and own[a].nunique(dropna=False) > 1]
    variant = ", ".join(_said(a, row[a]) for a in varying)
    key = labels.series(str(row["method"]), variant or None)
    return {"cell": str(row["cell"]), "series": key, "label": labels.series_label(key)}


def _said(axis: str, value: object) -> str:
    """A setting of an axis in a label.

    Examples
    --------
    >>> _said("option_relevance_weight", "paper"), _said("option_temperature", 0.1)
    ("λ as the paper's", 'τ = 0.1')
    >>> _said("inside", "3+7+16"), _said("inside", "")
    ('inside 3+7+16', 'before the decoder')
    """
    name = axis.removeprefix("option_")
    if name == "inside":
        return f"inside {value}" if value else "before the decoder"
    if (name, value) == ("relevance_weight", "paper"):
        return "λ as the paper's"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{SIGNS.get(name, name.replace('_', ' '))} = {text}"
