"""Accuracies and paired differences of a results table, with intervals over scenes.

The unit of resampling is the image: questions about one scene are not independent. Every interval
of one table is made from the same resamples.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from mitheory.errors import ParameterError
from mitheory.plot.curves import accuracy_table, units_of, wide_table
from mitheory.statistics import Interval, cluster_bootstrap_table, paired_difference

SEED = 0
STATED = "95% intervals (cluster bootstrap over scenes)"
STATED_IMAGES = "95% intervals (cluster bootstrap over images)"


def accuracy(
    table: pd.DataFrame, by: Sequence[str], *, value: str = "correct", seed: int = SEED
) -> pd.DataFrame:
    """Mean of a column in each cell, with its interval; all cells hold the same questions.

    Parameters
    ----------
    table : rows of `results.Results`
    by : columns that name a cell
    value : column of numbers or booleans
    seed : of the resamples

    Returns
    -------
    DataFrame
        Columns `by`, ``estimate``, ``low``, ``high``, ``questions``, ``scenes``.

    Raises
    ------
    ParameterError
        If two cells hold different questions, which would be compared as if they were the same.
    """
    return accuracy_table(table, by, value=value, seed=seed)


def accuracy_within(
    table: pd.DataFrame, within: str, by: Sequence[str], *, value: str = "correct"
) -> pd.DataFrame:
    """`accuracy`, separately for each value of the column `within`, such as the question type."""
    parts = [
        accuracy(rows, by, value=value).assign(**{within: key})
        for key, rows in table.groupby(within, sort=False)
    ]
    return pd.concat(parts, ignore_index=True)


def difference(
    first: pd.DataFrame, second: pd.DataFrame, *, value: str = "correct", seed: int = SEED
) -> Interval:
    """Mean of `first` minus mean of `second` on the same questions, paired question by question.

    Raises
    ------
    ParameterError
        If they do not hold the same questions.
    """
    means = [rows.groupby("sample_id")[value].mean().sort_index() for rows in (first, second)]
    if not means[0].index.equals(means[1].index):
        counts = [len(m) for m in means]
        raise ParameterError(f"a paired difference needs the same questions; got {counts} of them")
    return paired_difference(
        means[0].to_numpy(float),
        means[1].to_numpy(float),
        units_of(first, means[0].index),
        rng=np.random.default_rng(seed),
    )


def differences(
    table: pd.DataFrame,
    by: Sequence[str],
    pairs: Sequence[tuple[tuple[Hashable, ...], tuple[Hashable, ...]]],
    *,
    value: str = "correct",
    seed: int = SEED,
) -> list[Interval]:
    """`difference` of many pairs of cells, each named by its values of `by`, in one resampling.

    Raises
    ------
    ParameterError
        If two cells hold different questions.
    """
    wide = wide_table(table, by, value)
    gaps = [wide[first].to_numpy() - wide[second].to_numpy() for first, second in pairs]
    if not gaps:
        return []
    clusters = units_of(table, wide.index)
    rng = np.random.default_rng(seed)
    return list(cluster_bootstrap_table(np.stack(gaps, 1), clusters, rng=rng))
