"""An accuracy over N questions is a multiple of 1/N: not every two-digit number is one."""

from __future__ import annotations

import math
import re

from ..cells import EPSILON, Cells, Key, Printed, unit
from .record import Check

NAME = "granularity"
QUESTIONS = {"SQA": 2017, "POPE_split": 3000}  # App. D
RUNS = 3  # of Random, Sec. 4.1
PREMISE = (
    "one run over {n:,} questions (App. D), rounded or cut off; zeros at the end are no digits"
)


def granularity(cells: Cells) -> list[Check]:
    """Accuracies of ScienceQA and of POPE's splits, over the numbers of questions in App. D."""
    return [
        _check(key, cell, n * (RUNS if key.method == "Random" else 1))
        for key, cell in cells.items()
        if (n := questions(key.metric)) is not None
    ]


def questions(metric: str) -> int | None:
    """How many questions a metric is an accuracy over; None if it is none.

    Examples
    --------
    >>> questions("SQA"), questions("POPE_popular_acc"), questions("POPE_average_acc")
    (2017, 3000, None)
    """
    if re.fullmatch("POPE_(random|popular|adversarial)_acc", metric):
        return QUESTIONS["POPE_split"]
    return QUESTIONS.get(metric)


def _check(key: Key, cell: Printed, n: int) -> Check:
    # "66.80" may be 66.8 of another paper with a zero behind it
    step = unit(cell.text.rstrip("0").rstrip("."))
    low, high = cell.value - step / 2, cell.value + step  # rounded, or cut off
    below = math.floor(high / 100 * n - EPSILON)  # the largest count that is not too large
    agrees = 100 * below / n >= low - EPSILON
    near = sorted((100 * (below + i) / n for i in (0, 1)), key=lambda v: abs(v - cell.value))
    shift = abs(near[0] - cell.value)
    return Check(
        NAME, key.where, cell.text, " or ".join(f"{value:.3f}" for value in sorted(near)), agrees,
        "impossible", PREMISE.format(n=n),
        "" if agrees else f"moves by {shift:.3f} points: no order of methods changes, but it is "
        "no count of right answers of one run",
        0.0 if agrees else shift / step,
    )  # fmt: skip
