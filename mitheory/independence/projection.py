"""Few columns from many, fitted on other images than they are tested on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ParameterError
from .inputs import LEAST_CLUSTERS, Floats, Integers, Rows, check_count, check_rows, check_tables
from .methods import run_test
from .records import MOST_CONDITIONS, TestResult

MOST_AXES = 32  # of z, among which the directions that predict x and y are sought


@dataclass(frozen=True, eq=False)
class Half:
    """One half of the images, projected by what the other half says.

    Attributes
    ----------
    x, y, z : (n, r) float64
    clusters : (n,) int
        Image of each row.
    rows : (n,) int
        Which rows of the input these are.
    kept : mapping
        Share of the variance of x, y and z, in these rows, that the projections keep.
    """

    x: Floats
    y: Floats
    z: Floats
    clusters: Integers
    rows: Integers
    kept: Mapping[str, float]


def project(
    x: ArrayLike,
    y: ArrayLike,
    z: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    n_components: int = MOST_CONDITIONS,
    rng: np.random.Generator,
) -> tuple[Half, Half]:
    """Both halves of the images, each projected by directions found on the other.

    x and y: principal components. z: those directions that a ridge regression of the projected x
    and y on z (its leading 32 principal components) uses most. A side with no more columns than
    `n_components` stays as it is.

    Parameters
    ----------
    x, y, z : (n, d)
    clusters : (n,) labels, optional
    n_components : int
    rng : np.random.Generator

    Returns
    -------
    two Half

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError, ParameterError
        As `test`; ParameterError too if there are fewer than 40 clusters.

    Notes
    -----
    X ⊥ Y | Z does not imply independence given a projection of Z. What is dropped of z and bears on
    both x and y is taken for a direct dependence: a rejection speaks of the projections.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, y, z = rng.standard_normal((3, 100, 10))
    >>> first, second = project(x, y, z, n_components=2, rng=rng)
    >>> first.x.shape, first.z.shape, bool(set(first.rows) & set(second.rows))
    ((50, 2), (50, 2), False)
    """
    r = check_count("n_components", n_components)
    rows = check_tables(x, y, z, clusters, rng)  # a scale per column would undo a rotation
    if rows.n_clusters < 2 * LEAST_CLUSTERS:
        raise ParameterError(
            f"both halves need {LEAST_CLUSTERS} clusters (images); got {rows.n_clusters} in all"
        )
    in_first = (rng.permutation(rows.n_clusters) % 2)[rows.codes] == 0
    return _half(rows, in_first, r), _half(rows, ~in_first, r)


def projected_test(
    name: str,
    x: ArrayLike,
    y: ArrayLike,
    z: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    n_components: int = MOST_CONDITIONS,
    rng: np.random.Generator,
    **options: Any,
) -> TestResult:
    """`test` on both projected halves: twice the smaller p-value, the mean of the effects.

    Parameters
    ----------
    name, x, y, z, clusters, rng, **options : as in `test`
    n_components : int

    Returns
    -------
    TestResult

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError, ParameterError, UnknownNameError
        As `project` and `test`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> z, e, f = rng.standard_normal((3, 300, 8))
    >>> chain = projected_test("gcm", z + e, z + f, z, n_components=1, rng=rng)
    >>> link = projected_test("gcm", z + e, z + e + f, z, n_components=1, rng=rng)
    >>> chain.p_value > 0.05, link.p_value > 0.05
    (True, False)
    """
    halves = project(x, y, z, clusters=clusters, n_components=n_components, rng=rng)
    results = [
        run_test(name, check_rows(h.x, h.y, h.z, h.clusters, rng), rng=rng, options=options)
        for h in halves
    ]
    effects = [r.effect for r in results if r.effect is not None]
    errors = [r.se for r in results if r.se is not None]
    kept = {k: float(np.mean([h.kept[k] for h in halves])) for k in "xyz"}
    return replace(
        results[0],
        statistic=max(r.statistic for r in results),
        p_value=min(1.0, 2 * min(r.p_value for r in results)),
        effect=float(np.mean(effects)) if len(effects) == 2 else None,
        se=float(np.hypot(errors[0], errors[1]) / 2) if len(errors) == 2 else None,
        n=sum(r.n for r in results),
        n_clusters=sum(r.n_clusters for r in results),
        diagnostics={"kept": kept, "halves": [dict(r.diagnostics) for r in results]},
    )


def _half(rows: Rows, chosen: NDArray[np.bool_], r: int) -> Half:
    """The chosen rows, projected by the others."""
    fit, apply = np.flatnonzero(~chosen), np.flatnonzero(chosen)
    to_x, to_y = (
        np.eye(side.shape[1]) if side.shape[1] <= r else principal_directions(side[fit], r)
        for side in (rows.x, rows.y)
    )
    outcomes = np.hstack([rows.x[fit] @ to_x, rows.y[fit] @ to_y])
    to_z = predictive_directions(rows.z[fit], outcomes, r)
    sides = {"x": (rows.x, to_x), "y": (rows.y, to_y), "z": (rows.z, to_z)}
    projected = {k: side[apply] @ directions for k, (side, directions) in sides.items()}
    return Half(
        **projected,
        clusters=rows.codes[apply],
        rows=apply,
        kept={k: _kept(side[apply], directions) for k, (side, directions) in sides.items()},
    )


def principal_directions(side: Floats, r: int) -> Floats:
    """(d, r) orthonormal, by variance."""
    return np.linalg.svd(side - side.mean(0), full_matrices=False)[2][:r].T


def predictive_directions(z: Floats, outcomes: Floats, r: int) -> Floats:
    """(d, r) orthonormal: the part of z through which a ridge regression sees the outcomes."""
    if z.shape[1] <= r:
        return np.eye(z.shape[1])
    axes = principal_directions(z, min(MOST_AXES, z.shape[1], len(z) // 4))
    scores = (z - z.mean(0)) @ axes
    scale = scores.std(0)
    scaled, centered = scores / scale, outcomes - outcomes.mean(0)
    penalty = np.sqrt(len(z)) * np.eye(scaled.shape[1])
    slopes = np.linalg.solve(scaled.T @ scaled + penalty, scaled.T @ centered)
    left = np.linalg.svd(slopes, full_matrices=False)[0][:, :r]
    return np.linalg.qr(axes @ (left / scale[:, None]))[0]


def _kept(side: Floats, directions: Floats) -> float:
    centered = side - side.mean(0)
    return float(((centered @ directions) ** 2).sum() / (centered**2).sum())
