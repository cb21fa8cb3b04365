"""Markdown from the tidy tables; every number in `docs/speed.md` goes through here."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

HEAD = ("| {sizes} | program | time, ms | ratio to ours [95%] | target | answer | memory, MiB |",
        "|---|---|---|---|---|---|---|")  # fmt: skip
SHOWN = {"n_v": "N_V", "k": "k", "relevance_weight": "λ", "samples": "samples"}


def contests(table: pd.DataFrame) -> str:
    """One table per task, one row per entrant."""
    parts = []
    for task, rows in table.groupby("task", sort=False):
        own = [c for c in SHOWN if rows[c].notna().any()]
        head = HEAD[0].format(sizes=", ".join(SHOWN[c] for c in own))
        lines = [f"**{task}**", "", head, HEAD[1]]
        last = None
        for _, row in rows.iterrows():
            size = ", ".join(_number(row[c]) for c in own)
            lines.append(_line(row, "" if size == last else size))
            last = size
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _line(row: pd.Series, size: str) -> str:
    cells = [size, row["entrant"], time_of(row), ratio_of(row), target_of(row), answer_of(row)]
    return "| " + " | ".join([*cells, memory_of(row)]) + " |"


def _number(x: Any) -> str:
    if pd.isna(x):
        return "–"
    return f"{x:,.0f}" if float(x).is_integer() and x >= 2 else f"{x:g}"


def time_of(row: pd.Series) -> str:
    """Median and quartiles in milliseconds, or why there is none."""
    if pd.isna(row["seconds"]):
        return str(row["status"])
    low, mid, high = (ms(row[c]) for c in ("seconds_low", "seconds", "seconds_high"))
    return mid if row["rounds"] == 1 else f"{mid} ({low}–{high})"


def ms(seconds: float) -> str:
    """Milliseconds with three digits.

    Examples
    --------
    >>> ms(0.0123456), ms(12.3456), ms(0.00012345)
    ('12.3', '12,300', '0.123')
    """
    return three(1e3 * seconds)


def three(x: float) -> str:
    """Three significant digits, without an exponent.

    Examples
    --------
    >>> three(1234.5), three(99.96), three(0.04567), three(0)
    ('1,230', '100', '0.0457', '0')
    """
    if x == 0:
        return "0"
    places = 2 - math.floor(math.log10(abs(x)))
    value = round(x, places)
    places = 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(places, 0)}f}"


def ratio_of(row: pd.Series) -> str:
    """Times ours, with its interval; empty for ours."""
    if row["role"] == "ours" or pd.isna(row["ratio"]):
        return ""
    return f"{three(row['ratio'])} [{three(row['ratio_low'])}, {three(row['ratio_high'])}]"


def target_of(row: pd.Series) -> str:
    """What was aimed at, and whether it is reached."""
    if pd.isna(row["target"]):
        return ""
    wanted = f"≥ {three(row['target'])}"
    if pd.isna(row["ratio"]):
        return wanted
    return f"{wanted}: {'reached' if row['ratio'] >= row['target'] else 'missed'}"


ANSWERS = {"same": "same", "tied": "same up to near-ties", "differs": "**differs**"}


def answer_of(row: pd.Series) -> str:
    """Whether it chose the same tokens."""
    if row["role"] == "ours" or pd.isna(row["seconds"]):
        return ""
    return ANSWERS.get(str(row["answer"]), "not compared")


def memory_of(row: pd.Series) -> str:
    """Growth of resident memory in the call."""
    return "" if pd.isna(row["peak_mib"]) else three(row["peak_mib"])
