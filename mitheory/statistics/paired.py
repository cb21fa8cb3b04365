"""Tests of two settings on the same questions, and the correction for many tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from ..errors import ParameterError
from .inputs import Floats, check_options, cluster_codes, paired_differences, vector
from .records import PairedTest
from .resampling import BLOCK


def paired_permutation(
    first: ArrayLike,
    second: ArrayLike,
    clusters: ArrayLike,
    *,
    n_permutations: int = 10_000,
    rng: np.random.Generator,
) -> PairedTest:
    """Test of equal means that exchanges the two settings in whole clusters.

    Under the null that a cluster's two results could as well be exchanged, the sign of each
    cluster's summed difference is a fair coin. The p-value counts the observed assignment among
    the random ones, so it is valid at any number of them and never 0.

    Parameters
    ----------
    first, second : (n,) numbers or booleans, of the same rows in the same order
    clusters : (n,) labels
    n_permutations : int
    rng : np.random.Generator

    Returns
    -------
    PairedTest
        Its unit is the cluster.

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError, ParameterError
        As `cluster_bootstrap`.

    Examples
    --------
    >>> same = paired_permutation([1, 0], [1, 0], ["a", "b"], rng=np.random.default_rng(0))
    >>> same.p_value
    1.0
    """
    difference = paired_differences(first, second)
    codes, n_clusters = cluster_codes(clusters, len(difference))
    check_options(0.5, n_permutations, rng)
    sums = np.bincount(codes, weights=difference, minlength=n_clusters)
    # Equal sums reached in another order of addition must count as equal.
    observed = np.abs(sums.sum()) - 1e-9 * np.abs(sums).sum()
    reached = sum(
        int((np.abs(signs @ sums) >= observed).sum())
        for signs in _random_signs(n_clusters, n_permutations, rng)
    )
    return PairedTest(
        difference=float(difference.mean()),
        p_value=float((1 + reached) / (1 + n_permutations)),
        n=n_clusters,
        n_first=int((sums > 0).sum()),
        n_second=int((sums < 0).sum()),
        method=f"sign flips of whole clusters, {n_permutations} permutations",
    )


def _random_signs(n_clusters: int, n: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Fair signs (r, n_clusters), block by block, n rows in all."""
    size = max(1, BLOCK // n_clusters)
    for start in range(0, n, size):
        r = min(size, n - start)
        coins = rng.integers(0, 2, size=(r, n_clusters), dtype=np.int8)
        yield 2 * coins.astype(np.float64) - 1


def mcnemar(first: ArrayLike, second: ArrayLike) -> PairedTest:
    """Exact McNemar test of two settings that are right or wrong on the same questions.

    Source: mcnemar1947, in its exact binomial form.

    It takes the rows for independent pairs: with several questions per image it is too sure of
    itself, and `paired_permutation` is the test.

    Parameters
    ----------
    first, second : (n,) bool, or 0 and 1

    Returns
    -------
    PairedTest
        Its unit is the row.

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError
        If the values are not as said.
    ParameterError
        If a value is neither 0 nor 1.

    Examples
    --------
    >>> mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0]).p_value
    0.0625
    """
    difference = paired_differences(first, second)
    for name, values in (("first", first), ("second", second)):
        if not np.isin(np.asarray(values), (0, 1)).all():
            raise ParameterError(f"{name} must hold right or wrong: booleans, or 0 and 1")
    n_first, n_second = int((difference > 0).sum()), int((difference < 0).sum())
    discordant = n_first + n_second
    p_value = float(binomtest(n_first, discordant).pvalue) if discordant else 1.0
    n, method = len(difference), "McNemar, exact"
    return PairedTest(float(difference.mean()), p_value, n, n_first, n_second, method)


def holm(p_values: ArrayLike) -> Floats:
    """Holm's adjusted p-values: rejecting those at most α keeps the family-wise error under α.

    Source: holm1979.

    Parameters
    ----------
    p_values : (n,) of all tests of the family

    Returns
    -------
    (n,) float64
        In the order given.

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError
        If the values are no vector of finite numbers.
    ParameterError
        If one lies outside [0, 1].

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = vector("p_values", p_values)
    if p.min() < 0 or p.max() > 1:
        raise ParameterError(f"p_values must lie in [0, 1]; got {p.min()} to {p.max()}")
    order = np.argsort(p, kind="stable")
    scaled = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted
