"""Averages of POPE's three splits, Tables 10 and 11."""

from __future__ import annotations

from ..cells import Cells, Interval, Key, Printed, groups, mean
from .f1 import pooled
from .record import Check

NAME = "averages"
SPLITS = ("random", "popular", "adversarial")
PREMISE = "the three splits weigh the same (3,000 questions each, App. D)"
OURS = "MI-Pruner"


def averages(cells: Cells) -> list[Check]:
    """The printed average against the average of the printed splits."""
    checks = []
    for row in groups(cells, (10, 11)):
        for kind in ("acc", "f1", "yes"):
            keys = [row._replace(metric=f"POPE_{split}_{kind}") for split in SPLITS]
            key = row._replace(metric=f"POPE_average_{kind}")
            if key in cells and all(k in cells for k in keys):
                checks.append(_check(cells, key, mean([cells[k] for k in keys])))
    return checks


def _check(cells: Cells, key: Key, expected: Interval) -> Check:
    printed = cells[key]
    agrees = printed.meets(expected)
    if key.metric.endswith("_f1") and not agrees:  # F1 of all 9,000 answers is an average too
        agrees = printed.meets(pooled(*_pair(cells, key)))
    gap = 0.0 if agrees else _gap(printed, expected)
    return Check(
        NAME, key.where, printed.text, _centered(expected), agrees, "impossible", PREMISE,
        "" if agrees else _changes(cells, key, expected), gap,
    )  # fmt: skip


def _pair(cells: Cells, key: Key) -> tuple[Interval, Interval]:
    """The averages of accuracy and of the yes-rate, from the splits."""
    kinds = [
        mean([cells[key._replace(metric=f"POPE_{split}_{kind}")] for split in SPLITS])
        for kind in ("acc", "yes")
    ]
    return kinds[0], kinds[1]


def _gap(printed: Printed, expected: Interval) -> float:
    middle = (expected.low + expected.high) / 2
    return abs(printed.value - middle) / (printed.high - printed.low + expected.high - expected.low)


def _centered(interval: Interval) -> str:
    return f"{(interval.low + interval.high) / 2:.3f}"


def _changes(cells: Cells, key: Key, expected: Interval) -> str:
    """The lead of MI-Pruner with the printed and with the recomputed number."""
    ours = cells.get(key._replace(method=OURS))
    if ours is None or key.method == OURS:
        return "the average of its own splits"
    now, then = ours.value - (expected.low + expected.high) / 2, ours.value - cells[key].value
    worst = cells[key._replace(metric=key.metric.replace("average", "adversarial"))]
    copied = "; the adversarial column is repeated" if worst.text == cells[key].text else ""
    again = "; Tab. 1 repeats it" if key.table == 10 and key.keep in ("32", "64") else ""
    return f"MI-Pruner minus this cell is {now:.2f}, not {then:.2f}{copied}{again}"
