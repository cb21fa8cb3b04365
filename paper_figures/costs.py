"""Time and memory of the methods as measured by the study of cost, for Tabs. 3 and 9."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from . import printed_tables
from .results import Results
from .spec import FigureSpec

METRICS = {"memory_gb": "memory (GB)", "latency_ms": "latency (ms)"}
ABOUT = (
    "Ours are medians over single questions, asked of all methods in turns on one core of a CPU, "
    "with 95% intervals (order statistics; with fewer than 6 repetitions the range). Selection "
    "alone ends with the kept tokens; the whole goes from the image to the answer. What prunes "
    "inside the decoder has no selection alone. Memory is the peak above the weights: what torch "
    "holds, by its profiler, plus what Python and NumPy do, by tracemalloc, each at its own peak. "
    "The encoder here always returns its attention, so that the whole says nothing of what "
    "collecting it costs."
)
TIMES = {"selection": "selection (ms)", "total": "whole (ms)"}
MEMORY = {"selection": "selection (MB)", "total": "whole (MB)"}


def measure(results: Results) -> pd.DataFrame:
    """Milliseconds and peak megabytes, of selection alone and end to end."""
    rows = []
    for row in results.study("cost").to_dict("records"):
        where = {"key": row["key"], "ratio": row["ratio"], "machine": row["machine"]}
        for part, column in TIMES.items():
            middle, low, high = (row[f"{part}_{end}"] for end in ("ms", "low", "high"))
            ends = {"value": middle, "low": low, "high": high}
            text = f"{middle:.2f}" if pd.notna(middle) else "–"
            rows.append(where | {"column": column, "text": text} | ends)
        for part, column in MEMORY.items():
            size = row[f"{part}_bytes"] / 1e6
            ends = {"value": size, "low": None, "high": None}
            text = f"{size:.2f}" if pd.notna(size) else "–"
            rows.append(where | {"column": column, "text": text} | ends)
    return pd.DataFrame(rows)


def spec(number: int, title: str, data: Callable[[Results], pd.DataFrame]) -> FigureSpec:
    """One of the two tables, its machine named."""

    def with_machine(results: Results) -> pd.DataFrame:
        cost = results.study("cost")
        said = f"{cost['machine'].iloc[0]}, {int(cost['repetitions'].iloc[0])} repetitions"
        table = data(results)
        named: dict[str, object] = {"side": "machine", "text": said}
        blank: dict[str, object] = dict.fromkeys(("value", "low", "high"))
        names = ("column", "block", "method", "error", "note")
        row: dict[str, object] = dict.fromkeys(names, "")
        return pd.concat([table, pd.DataFrame([row | named | blank])], ignore_index=True)

    def caption(table: pd.DataFrame) -> str:
        machine = table.loc[table["side"] == "machine", "text"].iloc[0]
        return f"{said(table)} Measured on: {machine}."

    said = printed_tables.caption_of(number, ABOUT)
    made = printed_tables.spec(number, title, with_machine, ABOUT)
    return replace(made, caption=caption)
