"""F1 implied by accuracy and yes-rate where half of the questions have the answer Yes.

With shares t of true and f of false positives among all questions, Y = t + f and A = t + ½ - f, so
F1 = 2t / (Y + ½) = 1 - (1 - A) / (Y + ½): two of the three printed numbers give the third.
"""

from __future__ import annotations

import math

from ..cells import Cells, Interval, Key, Printed, groups
from .record import Check

NAME = "f1_of_accuracy_and_yes_rate"
PREMISE = "half of the questions have the answer Yes, and every answer counts as Yes or No"
SPLITS = ("random", "popular", "adversarial")
RUNS = 3  # "Random denotes averaging three independent runs", Sec. 4.1
OURS = "MI-Pruner"


def f1_of_accuracy_and_yes_rate(cells: Cells) -> list[Check]:
    """F1 of every row of Tables 1, 2, 10 and 11 that prints all three."""
    checks = []
    for row in groups(cells, (1, 2, 10, 11)):
        splits = (*SPLITS, "average") if row.table in (10, 11) else ("",)
        for split in splits:
            names = (
                [f"POPE_{split}_{kind}" for kind in ("acc", "yes", "f1")]
                if split
                else ["POPE", "POPE_Yes", "POPE_F1"]
            )
            keys = [row._replace(metric=name) for name in names]
            if all(key in cells for key in keys):
                parts = (RUNS if row.method == "Random" else 1) * (1 if split in SPLITS else 3)
                checks.append(_check(cells, keys, parts))
    return checks


def _check(cells: Cells, keys: list[Key], parts: int) -> Check:
    accuracy, yes, printed = (cells[key] for key in keys)
    expected = pooled(accuracy, yes) if parts == 1 else mixed(accuracy, yes, parts=parts)
    agrees = printed.meets(expected)
    distance = max(printed.low - expected.high, expected.low - printed.high, 0.0)
    return Check(
        NAME, keys[2].where, printed.text, str(expected), agrees, "impossible", PREMISE,
        "" if agrees else _changes(cells, keys, accuracy, yes, printed),
        0.0 if agrees else distance / (printed.high - printed.low),
    )  # fmt: skip


def pooled(accuracy: Interval, yes: Interval) -> Interval:
    """F1 of one set of answers. It rises with both.

    Parameters
    ----------
    accuracy : in percent
    yes : share of answers Yes

    Examples
    --------
    A = 0.75, Y = 0.5: t = 0.375, f = 0.125, F1 = 0.75 / (0.75 + 0.25).

    >>> pooled(Interval(75.0, 75.0), Interval(0.5, 0.5))
    Interval(low=0.75, high=0.75)
    """
    return Interval(*(1 - (1 - a / 100) / (y + 0.5) for a, y in _corners(accuracy, yes)))


def mixed(accuracy: Interval, yes: Interval, *, parts: int) -> Interval:
    """What the mean of F1 over `parts` sets of answers can be, given the means of the other two.

    Upper end: F1 is convex in f, so the mean is largest where as few sets as can be hold all false
    positives; concave in t, so there Lagrange's condition c / (t + c)² = const, c = f + ½, is the
    maximum, and leaving out 0 ≤ t ≤ ½ only raises it. Lower end: the same the other way round, all
    true positives in as few sets, of any size, as can be.

    Examples
    --------
    >>> one, two = Interval(75.0, 75.0), Interval(0.5, 0.5)
    >>> mixed(one, two, parts=1) == pooled(one, two)
    False
    >>> mixed(one, two, parts=3).low < 0.75 <= mixed(one, two, parts=3).high
    True
    """
    (a_low, y_low), (a_high, y_high) = _corners(accuracy, yes)
    highs = [_highest(*_positives(a_high, y), parts) for y in (y_low, y_high)]
    lows = [_lowest(*_positives(a_low, y)) for y in (y_low, y_high)]
    return Interval(min(lows), max(highs))


def _corners(accuracy: Interval, yes: Interval) -> tuple[tuple[float, float], tuple[float, float]]:
    return (accuracy.low, yes.low), (accuracy.high, yes.high)


def _positives(accuracy: float, yes: float) -> tuple[float, float]:
    """Shares of true and of false positives."""
    share = accuracy / 100
    return (share + yes - 0.5) / 2, (yes - share + 0.5) / 2


def _highest(true: float, false: float, parts: int) -> float:
    full, rest = divmod(max(false, 0.0) * parts, 0.5)
    halves = [0.5] * int(full) + [rest] + [0.0] * parts
    c = [f + 0.5 for f in halves[:parts]]
    scale = (true * parts + sum(c)) / sum(map(math.sqrt, c))
    t = [math.sqrt(each) * scale - each for each in c]
    return sum(2 * ti / (ti + ci) for ti, ci in zip(t, c, strict=True)) / parts


def _lowest(true: float, false: float) -> float:
    weight = 2 * true
    return weight / (1 + min(0.5, max(false, 0.0) / weight)) if weight > 0 else 0.0


def _changes(
    cells: Cells, keys: list[Key], accuracy: Printed, yes: Printed, printed: Printed
) -> str:
    """Either F1 is wrong, or the yes-rate is: what each would mean."""
    implied = 1 - (1 - accuracy.value / 100) / (yes.value + 0.5)
    needed = (1 - accuracy.value / 100) / (1 - printed.value) - 0.5
    # an average row of a baseline; in a single split the two may well be close
    cut = not keys[0].metric.endswith("_acc") and (
        math.floor(accuracy.value) == round(100 * printed.value)
    )
    said = "F1 is the accuracy cut to two digits; " if cut else ""
    said += f"if the yes-rate is right, F1 is {implied:.2f}"
    ours = cells.get(keys[2]._replace(method=OURS))
    if ours is not None and keys[2].method != OURS:
        leads = ours.value - implied, ours.value - printed.value
        said += f" and MI-Pruner leads by {leads[0]:.2f}, not {leads[1]:.2f}"
    return f"{said}; if F1 is right, the yes-rate is {needed:.2f}, not {yes.text}"
