"""The printed cells with the interval of true values that round to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd

EPSILON = 1e-9  # of comparisons: rounding of floats, never of the paper


class Key(NamedTuple):
    """Where a number stands in the paper."""

    table: int
    model: str
    keep: str
    method: str
    metric: str

    @property
    def where(self) -> str:
        """In words, such as "Tab. 10, LLaVA1.5-7B, keep 32, Random, POPE average acc"."""
        method = "all tokens" if self.method == "Full" else f"keep {self.keep}, {self.method}"
        return f"Tab. {self.table}, {self.model}, {method}, {self.metric.replace('_', ' ')}"


@dataclass(frozen=True)
class Interval:
    """All values that a statement allows, ends included.

    Examples
    --------
    >>> Interval(1.0, 2.0).meets(Interval(2.0, 3.0)), Interval(1.0, 2.0).below(Interval(2.5, 3.0))
    (True, True)
    """

    low: float
    high: float

    def meets(self, other: Interval) -> bool:
        """Whether some value lies in both."""
        return not (self.below(other) or other.below(self))

    def below(self, other: Interval) -> bool:
        """Whether every value here is smaller than every value there."""
        return self.high < other.low - EPSILON

    def widened(self, by: float) -> Interval:
        """With both ends moved out."""
        return Interval(self.low - by, self.high + by)

    def __str__(self) -> str:
        return f"{self.low:.4g} to {self.high:.4g}"


@dataclass(frozen=True)
class Printed(Interval):
    """A printed number: the interval of half a unit in its last digit."""

    text: str
    value: float

    @classmethod
    def of(cls, text: str) -> Printed:
        """From its digits.

        Examples
        --------
        >>> cell = Printed.of("73.20")
        >>> cell.low, cell.high
        (73.195, 73.205)
        """
        half = unit(text) / 2
        return cls(float(text) - half, float(text) + half, text, float(text))

    def __str__(self) -> str:
        return self.text


Cells = Mapping[Key, Printed]


def unit(text: str) -> float:
    """One in the last printed digit.

    Examples
    --------
    >>> unit("0.4"), unit("1509.13"), unit("7")
    (0.1, 0.01, 1.0)
    """
    return float(10.0 ** -len(text.partition(".")[2]))


def mean(parts: Sequence[Interval]) -> Interval:
    """What the mean of numbers in these intervals can be.

    Examples
    --------
    >>> mean([Interval(0.0, 1.0), Interval(2.0, 3.0)])
    Interval(low=1.0, high=2.0)
    """
    n = len(parts)
    return Interval(sum(p.low for p in parts) / n, sum(p.high for p in parts) / n)


@cache
def printed_cells() -> Cells:
    """Every number of the paper's tables, digit by digit as printed."""
    rows = pd.read_csv(Path(__file__).with_name("tables.csv"), dtype=str)
    return {
        Key(int(r["table"]), r["model"], r["keep"], r["method"], r["metric"]): Printed.of(
            r["value"]
        )
        for r in rows.to_dict("records")
    }


@cache
def printed_errors() -> Mapping[Key, str]:
    """What is printed behind a ± of the numbers that have one.

    Examples
    --------
    >>> printed_errors()[Key(1, "LLaVA1.5-7B", "full", "Full", "MMVet")]
    '7.58'
    """
    rows = pd.read_csv(Path(__file__).with_name("tables.csv"), dtype=str).dropna(subset="err")
    return {
        Key(int(r["table"]), r["model"], r["keep"], r["method"], r["metric"]): r["err"]
        for r in rows.to_dict("records")
    }


def groups(cells: Cells, tables: tuple[int, ...]) -> list[Key]:
    """One key, with an empty metric, per row of these tables."""
    return list(dict.fromkeys(k._replace(metric="") for k in cells if k.table in tables))
