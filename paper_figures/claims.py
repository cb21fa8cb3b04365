"""What the paper says of a comparison, against what was measured, by one stated rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from mitheory.errors import ParameterError

from . import labels
from .intervals import difference
from .results import Results

RULE = (
    "A comparison is the paired difference of what the paper favors minus what it is compared "
    "with, on the same questions, with a 95% cluster-bootstrap interval over scenes. Interval "
    "above zero: agrees. Interval below zero: contradicts. Otherwise: not settled, which is no "
    "evidence that the two are equal. Intervals are not adjusted for the number of comparisons."
)
VERDICTS = ("agrees", "contradicts", "not settled")


@dataclass(frozen=True)
class Comparison:
    """One paired difference at one budget; the paper expects it to be positive.

    Attributes
    ----------
    claim : str
        What the paper says, in our words.
    source : str
        Where it says so.
    first, second : str
        Labels of what it favors and of what that is compared with.
    scope : str
        The questions, such as "open-ended"; empty for all.
    budget : int
    ratio : float
        Share of tokens kept.
    estimate, low, high : float
        Of the difference.
    """

    claim: str
    source: str
    first: str
    second: str
    scope: str
    budget: int
    ratio: float
    estimate: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ParameterError(f"low must be at most high; got {self.low} and {self.high}")

    @property
    def verdict(self) -> str:
        """Recomputed from the interval by `RULE`.

        Examples
        --------
        >>> kl = dict(claim="", source="", first="max", second="kl", scope="", budget=16, ratio=0.1)
        >>> Comparison(**kl, estimate=-0.03, low=-0.05, high=-0.01).verdict
        'contradicts'
        """
        if self.low > 0:
            return "agrees"
        return "contradicts" if self.high < 0 else "not settled"

    @property
    def sentence(self) -> str:
        """The comparison in one line."""
        scope = f", {self.scope} questions" if self.scope else ""
        return (
            f"{self.first} minus {self.second} at {self.budget} tokens{scope}: "
            f"{labels.points(self.estimate, sign=True)} "
            f"{labels.interval(self.low, self.high, sign=True)} points: {self.verdict}"
        )


def compare(
    results: Results,
    *,
    claim: str,
    source: str,
    first: tuple[str, pd.DataFrame],
    second: tuple[str, pd.DataFrame],
    scope: str = "",
) -> list[Comparison]:
    """One comparison for each budget that both sides have; none if either side is empty.

    Parameters
    ----------
    results : for the share of tokens of each budget
    claim, source, scope : as in `Comparison`
    first, second : label and rows
    """
    (one, rows), (other, others) = first, second
    found = []
    for budget in sorted(set(rows["budget"]) & set(others["budget"]), reverse=True):
        here, there = (side[side["budget"] == budget] for side in (rows, others))
        gap = difference(here, there)
        found.append(
            Comparison(
                claim, source, one, other, scope, int(budget), float(here["ratio"].iloc[0]),
                gap.estimate, gap.low, gap.high,
            )
        )  # fmt: skip
    return found


def table(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    """Comparisons as rows, for the CSV beside a figure."""
    return pd.DataFrame(
        [
            {
                "claim": c.claim, "source": c.source, "first": c.first, "second": c.second,
                "scope": c.scope, "budget": c.budget, "ratio": c.ratio, "estimate": c.estimate,
                "low": c.low, "high": c.high, "verdict": c.verdict,
            }
            for c in comparisons
        ]
    )  # fmt: skip
