"""The tests by name, and the one call for all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..checks import lookup
from ..errors import ParameterError
from .inputs import Rows, check_rows
from .neighbors import knn_permutation
from .records import TestResult
from .residual import gcm, residual


def test(
    name: str,
    x: ArrayLike,
    y: ArrayLike,
    z: ArrayLike,
    *,
    clusters: ArrayLike | None = None,  # noqa: PT028 (named so, but no test of ours)
    rng: np.random.Generator,
    **options: Any,
) -> TestResult:
    """Test whether X and Y are independent given Z.

    Parameters
    ----------
    name : str
        In `TESTS`: "gcm", "residual" or "knn_permutation".
    x, y, z : (n, d) or (n,)
        Few columns, of z above all. In 500 simulations a true null was rejected at a nominal 5%
        of 100 or 300 images: with one column of z by any test in 0 to 7%; with two in 4 to 14% by
        "gcm" and "residual", up to 19% by "knn_permutation"; with four in 5 to 94%, by how rough
        the effect of z is; with 16 and an effect that is not linear in 59 to 100%. So look at
        `empirical_size`, and project first (`projected_test`).
    clusters : (n,) labels, optional
        The image of each row; images are the independent units. Each row its own if None.
    rng : np.random.Generator
    **options
        Of the method.

    Returns
    -------
    TestResult

    Raises
    ------
    UnknownNameError
        If there is no such test.
    DTypeError, ShapeError, EmptyInputError, NonFiniteError
        If an array or the labels are not as said.
    ParameterError
        If there are fewer than 20 clusters, a column is constant, or an option is unknown or out
        of range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> z, e, f = rng.standard_normal((3, 300))
    >>> chain = test("gcm", z + e, z + f, z, rng=rng)
    >>> link = test("gcm", z + e, z + e + f, z, rng=rng)
    >>> chain.p_value > 0.05, link.p_value
    (True, 0.002)
    """
    return run_test(name, check_rows(x, y, z, clusters, rng), rng=rng, options=options)


def run_test(
    name: str, rows: Rows, *, rng: np.random.Generator, options: Mapping[str, Any]
) -> TestResult:
    """The same on checked rows."""
    method = lookup(name, TESTS, "independence test")
    known = [p for p in inspect.signature(method).parameters if p not in ("rows", "rng")]
    if unknown := sorted(set(options) - set(known)):
        raise ParameterError(f"{name} has no option {unknown}; it has {known}")
    return method(rows, rng=rng, **options)


TESTS: Mapping[str, Callable[..., TestResult]] = {
    "gcm": gcm,
    "residual": residual,
    "knn_permutation": knn_permutation,
}
SMOOTHED = ("gcm", "residual")  # these take a `smoother`
