"""Comparisons of printed cells: who is best, who is better than whom, rounding allowed for."""

from __future__ import annotations

from collections.abc import Iterable

from ..cells import Cells, Key, Printed

LOW_IS_BEST = ("latency_ms", "memory_gb")


def column(cells: Cells, *, table: int, keep: str, metric: str, model: str) -> dict[str, Printed]:
    """Cells of one column by method, all tokens left out."""
    return {
        key.method: cell
        for key, cell in cells.items()
        if key == Key(table, model, keep, key.method, metric) and key.method != "Full"
    }


def better(a: Printed, b: Printed, metric: str) -> bool:
    """Whether `a` is surely better than `b`, whatever was rounded."""
    return a.below(b) if metric in LOW_IS_BEST else b.below(a)


def ahead(cells: dict[str, Printed], of: Iterable[str], metric: str) -> list[str]:
    """Methods surely ahead of every one of `of`, best first.

    Examples
    --------
    >>> cells = {name: Printed.of(text) for name, text in (("a", "1.0"), ("b", "2.0"))}
    >>> ahead(cells, ["a"], "accuracy"), ahead(cells, ["a"], "latency_ms")
    (['b'], [])
    """
    own = [cells[name] for name in of if name in cells]
    names = [
        name
        for name, cell in cells.items()
        if own and name not in of and all(better(cell, mine, metric) for mine in own)
    ]
    return sorted(names, key=lambda n: cells[n].value, reverse=metric not in LOW_IS_BEST)
