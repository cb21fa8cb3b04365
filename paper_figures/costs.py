"""Time and memory of the methods as measured by the study of cost, for Tabs. 3 and 9."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from mitheory.errors import MissingInputError

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
TIMED = (
    "They were measured by `python -m benchmarks.mllm` on a model of the same size with random "
    "weights: memory is the highest allocation with the weights, in GiB; latency the mean from "
    "pixels to the second token of the answer, with ± 1.96 standard errors."
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
        table = data(results)
        timed = printed_tables.is_marked(table, printed_tables.TIMED)
        row: dict[str, object] = {
            **dict.fromkeys(printed_tables.COLUMNS, ""),
            **dict.fromkeys(("value", "low", "high"), math.nan),
            "side": "machine",
            "text": _timed_on(results) if timed else _measured_on(results),
        }
        return pd.concat([table, pd.DataFrame([row])], ignore_index=True)

    def caption(table: pd.DataFrame) -> str:
        machine = table.loc[table["side"] == "machine", "text"].iloc[0]
        if printed_tables.is_marked(table, printed_tables.TIMED):
            count = int((table["side"] == "ours").sum())
            return (
                f"Left: Tab. {number} as printed. Right, tinted: {count} of its cells. {TIMED} "
                f"Measured on: {machine}."
            )
        return f"{said(table)} Measured on: {machine}."

    said = printed_tables.caption_of(number, ABOUT)
    made = printed_tables.spec(number, title, with_machine, ABOUT)
    return replace(made, caption=caption)


def _measured_on(results: Results) -> str:
    cost = results.study("cost")
    return f"{cost['machine'].iloc[0]}, {int(cost['repetitions'].iloc[0])} repetitions"


def _timed_on(results: Results) -> str:
    path = results.file("benchmarks/mllm/provenance.json")
    if path is None:
        raise MissingInputError("benchmarks/mllm: expected provenance.json beside its tables")
    origin = json.loads(path.read_text(encoding="utf-8"))
    return f"{origin['device_name']}, {origin['runs']} runs after {origin['warm_ups']} warm-ups"
