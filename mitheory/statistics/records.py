"""What the functions of this package return."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A confidence interval and what it is one of.

    Attributes
    ----------
    estimate, low, high : float
        In the unit of the values.
    level : float
        Nominal coverage.
    n, n_clusters : int
        Rows, and clusters resampled as a whole.
    estimand : str
        What `estimate` estimates.
    method : str
        How the interval was made.
    """

    estimate: float
    low: float
    high: float
    level: float
    n: int
    n_clusters: int
    estimand: str
    method: str


@dataclass(frozen=True)
class PairedTest:
    """A test that two paired settings do equally well.

    Attributes
    ----------
    difference : float
        Mean of the first minus mean of the second.
    p_value : float
        Two-sided.
    n : int
        Pairs, or clusters of pairs where those are the unit.
    n_first, n_second : int
        Of these, how many favor the first, and the second.
    method : str
    """

    difference: float
    p_value: float
    n: int
    n_first: int
    n_second: int
    method: str
