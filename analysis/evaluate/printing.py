"""The metrics of an evaluation as the terminal shows them."""

from __future__ import annotations

import math

import pandas as pd
from rich.table import Column, Table


def printed(scores: pd.DataFrame) -> Table:
    """The metrics of whole benchmarks and their averages, a line per cell and metric."""
    whole = [Column(name, no_wrap=True) for name in ("dataset", "cell", "metric")]
    table = Table(*whole, "value [95%]", "n", "failed", "note", box=None, padding=(0, 1))
    main = {} if scores.empty else scores.groupby("dataset").group.first().to_dict()
    for row in scores.to_dict("records"):
        if row["group"] != main[row["dataset"]]:
            continue
        options = "".join(f" {k}={v}" for k, v in row["options"].items())
        draw = f" draw={row['draw']}" if row["draw"] else ""
        budget = "" if row["method"] == "full" else f" {row['budget']:.4g}"
        ends = ", ".join(short(row[end]) for end in ("low", "high"))
        table.add_row(
            str(row["dataset"]),
            f"{row['method']}{budget}{options}{draw}",
            str(row["metric"]),
            f"{short(row['value'])} [{ends}] {row['unit']}",
            str(row["n"]),
            str(row["failed"]),
            str(row["note"]),
        )
    return table


def short(number: float) -> str:
    """A number of a table, "–" where it is undefined.

    Examples
    --------
    >>> short(0.25), short(float("nan"))
    ('0.25', '–')
    """
    return "–" if math.isnan(number) else f"{number:.4g}"
