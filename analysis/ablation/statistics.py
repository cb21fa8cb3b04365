"""What a grid says: accuracies, and differences from a named reference, with what can be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from mitheory.errors import ParameterError
from mitheory.statistics import (
    cluster_bootstrap_table,
    clustered_mean,
    holm,
    mcnemar,
    paired_difference,
    paired_permutation,
)

LEVEL, POWER = 0.95, 0.8
RESAMPLES = 2000


def summary(results: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Accuracy of every cell with its interval over scenes, and how much failed.

    Columns: cell, accuracy, low, high, n, n_clusters, failed. Rows that failed count as no answer:
    they are left out of the accuracy and counted. Where rows have a `score`, as those of a
    benchmark do, accuracy is its mean.
    """
    rows = []
    for cell, table in results.groupby("cell", sort=False):
        good = table[table.error.isna()]
        found = {"cell": cell, "n": len(good), "failed": len(table) - len(good)}
        if len(good):
            (interval,) = cluster_bootstrap_table(
                good[_graded(good)].to_numpy(float)[:, None],
                good.image_id.to_numpy(),
                level=LEVEL,
                n_resamples=RESAMPLES,
                rng=np.random.default_rng(seed),
            )
            found |= {
                "accuracy": interval.estimate, "low": interval.low, "high": interval.high,
                "n_clusters": interval.n_clusters,
            }  # fmt: skip
        rows.append(found)
    return pd.DataFrame(rows)


def compared(
    results: pd.DataFrame, reference: str, cells: Sequence[str] | None = None, *, seed: int = 0
) -> pd.DataFrame:
    """Every cell against a reference on the samples that both answered.

    A cell without any answer, all of whose samples failed, has no row.

    Columns: cell, difference of accuracy with low and high (cluster bootstrap over scenes, paired),
    p_value (permutation of the pairs, scene by scene), p_holm (the same, Holm within this family),
    p_mcnemar (exact, which takes questions about one scene for independent and is too sure; NaN
    where scores are not only 0 and 1),
    detectable (the smallest difference that a two-sided test at 5% would find with 80% power,
    given how the paired differences vary over scenes, before Holm), n, n_clusters.

    Parameters
    ----------
    results : of `read_results`
    reference : identity of a cell
    cells : identities; all others without

    Raises
    ------
    ParameterError
        If the reference is not among the results.
    """
    answers = results[results.error.isna()].pivot(
        index="sample_id", columns="cell", values=_graded(results)
    )
    images = results.drop_duplicates("sample_id").set_index("sample_id").image_id
    if reference not in answers:
        raise ParameterError(f"reference: expected a cell with answers, got {reference!r}")
    wanted = [c for c in (answers if cells is None else cells) if c in answers and c != reference]
    rows = []
    for cell in wanted:
        both = answers[[cell, reference]].dropna().astype(float)
        clusters = images.loc[both.index].to_numpy()
        own, other = both[cell].to_numpy(), both[reference].to_numpy()
        found = {"cell": cell} | paired(own, other, clusters, seed=seed)
        found["p_mcnemar"] = mcnemar(own, other).p_value if _is_binary(both) else float("nan")
        rows.append(found)
    table = pd.DataFrame(rows)
    if len(table):
        table.insert(5, "p_holm", holm(table.p_value.to_numpy()))
    return table


def paired(a: np.ndarray, b: np.ndarray, clusters: np.ndarray, *, seed: int) -> dict[str, Any]:
    """What is known of the mean of a - b: difference, low, high (cluster bootstrap), p_value
    (permutation of the pairs, cluster by cluster), detectable, n, n_clusters."""
    interval = paired_difference(
        a, b, clusters, level=LEVEL, n_resamples=RESAMPLES, rng=np.random.default_rng(seed)
    )
    test = paired_permutation(a, b, clusters, rng=np.random.default_rng(seed))
    return {
        "difference": interval.estimate, "low": interval.low, "high": interval.high,
        "p_value": test.p_value, "detectable": detectable(a - b, clusters),
        "n": interval.n, "n_clusters": interval.n_clusters,
    }  # fmt: skip


def _graded(results: pd.DataFrame) -> str:
    """The column that says how good an answer is."""
    return "score" if "score" in results else "correct"


def _is_binary(scores: pd.DataFrame) -> bool:
    return bool(scores.isin([0.0, 1.0]).all(axis=None))


def detectable(differences: np.ndarray, clusters: np.ndarray) -> float:
    """Smallest mean difference that a two-sided 5% test would find with 80% power.

    .. math:: (z_{0.975} + z_{0.8}) \\, \\mathrm{SE}

    with the standard error over clusters; NaN with a single cluster.
    """
    if len(np.unique(clusters)) < 2:
        return float("nan")
    return float(norm.ppf(0.5 + LEVEL / 2) + norm.ppf(POWER)) * float(
        clustered_mean(differences, clusters).se
    )


def judged(row: pd.Series, smallest: float) -> str:
    """What an interval says of a difference that matters from `smallest` on.

    "better" or "worse" if the interval is beyond 0 and, where the row has it, p_holm is at most
    5%; "no difference that matters" if it is inside ± smallest; "undecided" if neither: too few
    samples, not no difference.

    Examples
    --------
    >>> judged(pd.Series({"low": -0.01, "high": 0.005}), 0.02)
    'no difference that matters'
    >>> judged(pd.Series({"low": -0.03, "high": 0.005}), 0.02)
    'undecided'
    """
    if row.get("p_holm", 0.0) <= 1 - LEVEL:
        if row.low > 0:
            return "better"
        if row.high < 0:
            return "worse"
    inside = -smallest < row.low and row.high < smallest
    return "no difference that matters" if inside else "undecided"
