"""The detection limit: the least planted information that an estimator tells from none.

At one (d, n), from the rows of a family of ground truths that differ only in what is planted: with
mean m_0 and standard deviation s_0 of the R estimates at 0 nats, an estimate counts as detected
above m_0 + t_{.95,R−1} s_0 √(1 + 1/R), which one more estimate at 0 nats exceeds in 5% of cases if
they are normal. The power at a level is Φ((m − threshold)/s); the limit is where it reaches 80%,
linear between the levels tried. It is a best case: on real data the mean at 0 nats is not known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

POWER, SIZE = 0.8, 0.05
MAIN_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "mi": ("gaussian_lowdim", "gaussian_spread"),
    "cmi": ("common_cause_lowdim", "common_cause_spread"),
}


def detection_limit(rows: pd.DataFrame) -> float:
    """The limit in nats, from the rows of one variant, family, d and n.

    Parameters
    ----------
    rows : columns planted, mean, spread, n_repeats

    Returns
    -------
    float
        Infinite if the largest level is not detected; NaN without a null or another level.

    Examples
    --------
    >>> rows = pd.DataFrame({"planted": [0, 0.1, 0.3], "mean": [0, 0.1, 0.3],
    ...                      "spread": [0.02, 0.02, 0.02], "n_repeats": [1000, 1000, 1000]})
    >>> detection_limit(rows)  # power at .1 is already 1: the limit lies below, on the line from 5%
    0.079
    """
    known = rows[rows["error"].isna()] if "error" in rows else rows
    known = known.dropna(subset=["mean", "spread"]).sort_values("planted")
    null = known[known["planted"] == 0]
    if len(null) != 1 or len(known) < 2 or null["n_repeats"].iloc[0] < 2:
        return math.nan
    repeats = float(null["n_repeats"].iloc[0])
    quantile = float(student.ppf(1 - SIZE, repeats - 1)) * math.sqrt(1 + 1 / repeats)
    threshold = null["mean"].iloc[0] + quantile * null["spread"].iloc[0]
    planted = known["planted"].to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        power = norm.cdf((known["mean"] - threshold) / known["spread"].to_numpy(float))
    power[0] = SIZE
    return first_crossing(planted, power, POWER)


def first_crossing(x: np.ndarray, y: np.ndarray, level: float) -> float:
    """Where y first reaches `level`, linear between points; infinite if it never does.

    Examples
    --------
    >>> first_crossing(np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.5, 1.0]), 0.8)
    1.6
    """
    above = np.flatnonzero(y >= level)
    if not len(above):
        return math.inf
    i = int(above[0])
    if i == 0:
        return float(x[0])
    share = (level - y[i - 1]) / (y[i] - y[i - 1])
    return float(x[i - 1] + share * (x[i] - x[i - 1]))


def detection_limits(table: pd.DataFrame) -> pd.DataFrame:
    """Limits of every variant, family, d and n: columns variant, quantity, truth, d, n, limit."""
    families = [name for names in MAIN_FAMILIES.values() for name in names]
    rows = table[table["truth"].isin(families)]
    keys = ["variant", "quantity", "truth", "d", "n"]
    found = [(*key, detection_limit(group)) for key, group in rows.groupby(keys, sort=True)]
    return pd.DataFrame(found, columns=[*keys, "limit"])
