"""The questions with the answer Yes are the same in POPE's three splits, and so is their recall."""

from __future__ import annotations

from itertools import combinations

from ..cells import Cells, Interval, Key, groups
from .record import Check

NAME = "shared_positives"
SPLITS = ("random", "popular", "adversarial")
SLACK = 0.005  # of the recall: some 7 of 1,500 answers that change with the batch, not the question
PREMISE = (
    "POPE asks about the same present objects in all splits, which differ in the absent ones; "
    f"greedy decoding answers the same question alike, up to {SLACK:.1%} of them"
)


def shared_positives(cells: Cells) -> list[Check]:
    """The share of true positives, t = (A + Y - ½) / 2, must be one number in all splits."""
    checks = []
    for row in groups(cells, (10, 11)):
        keys = [row._replace(metric=f"POPE_{split}_yes") for split in SPLITS]
        if row.method == "Random" or not all(key in cells for key in keys):
            continue  # three runs keep different tokens
        checks.append(_check(cells, row, keys))
    return checks


def true_positives(accuracy: Interval, yes: Interval) -> Interval:
    """Share of true positives among all questions, half of which have the answer Yes.

    Examples
    --------
    >>> true_positives(Interval(75.0, 75.0), Interval(0.5, 0.5))
    Interval(low=0.375, high=0.375)
    """
    return Interval(
        (accuracy.low / 100 + yes.low - 0.5) / 2, (accuracy.high / 100 + yes.high - 0.5) / 2
    )


def _check(cells: Cells, row: Key, keys: list[Key]) -> Check:
    shares = _shares(cells, row, keys)
    agrees = _one(shares)
    spread = max(s.low for s in shares) - min(s.high for s in shares)
    return Check(
        NAME, f"{row.where}POPE yes-rates", ", ".join(cells[key].text for key in keys),
        "recall " + ", ".join(f"{s.low + s.high:.3f}" for s in shares), agrees, "impossible",
        PREMISE, "" if agrees else _changes(cells, row, keys),
        0.0 if agrees else spread / (shares[0].high - shares[0].low),
    )  # fmt: skip


def _shares(cells: Cells, row: Key, keys: list[Key]) -> list[Interval]:
    return [
        true_positives(cells[row._replace(metric=f"POPE_{split}_acc")], cells[key])
        for split, key in zip(SPLITS, keys, strict=True)
    ]


def _one(shares: list[Interval]) -> bool:
    return all(a.widened(SLACK / 2).meets(b) for a, b in combinations(shares, 2))


def _changes(cells: Cells, row: Key, keys: list[Key]) -> str:
    """Whether exchanging two of the yes-rates mends it."""
    for i, j in combinations(range(3), 2):
        swapped = list(keys)
        swapped[i], swapped[j] = keys[j], keys[i]
        if _one(_shares(cells, row, swapped)):
            return f"{SPLITS[i]} and {SPLITS[j]} are exchanged: then all agree, and no mean changes"
    return "one of the yes-rates or accuracies is of another run"
