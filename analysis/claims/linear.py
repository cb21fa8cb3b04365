"""Affine reductions to a few numbers: principal components, and ridge prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RIDGES = 10.0 ** np.arange(-3, 4)  # times the mean variance of a predictor


@dataclass(frozen=True, eq=False)
class Affine:
    """x -> (x - center) @ weights."""

    center: Floats
    weights: Floats

    def __call__(self, x: Floats) -> Floats:
        """Rows (..., d) -> (..., r)."""
        return (x - self.center) @ self.weights


def principal(rows: Floats, rank: int) -> tuple[Affine, float]:
    """Leading components of (n, d) rows, each of variance 1, and their share of the variance.

    Fewer than `rank`, even none, where rows vary in fewer directions.
    """
    center = rows.mean(0)
    covariance = (rows - center).T @ (rows - center) / len(rows)
    d = len(center)
    values, vectors = eigh(covariance, subset_by_index=(max(0, d - rank), d - 1))
    kept = values > 1e-9 * np.square(rows).sum(1).mean()  # less is rounding
    share = float(values[kept].sum() / np.trace(covariance)) if kept.any() else 0.0
    return Affine(center, (vectors[:, kept] / np.sqrt(values[kept]))[:, ::-1]), share


def ridge(x: Floats, y: Floats, groups: Integers) -> tuple[Affine, float]:
    """Linear prediction of (n, r) targets, in uncorrelated coordinates of variance 1, and its R².

    The penalty is chosen over left-out groups, whose R² is returned. Directions in which the
    prediction does not vary are left out, so that there may be fewer than r.
    """
    center = x.mean(0)
    x, y = x - center, y - y.mean(0)
    unit_penalty = np.trace(x.T @ x) / x.shape[1]
    losses = np.zeros(len(RIDGES))
    for group in np.unique(groups):
        out = groups == group
        for i, weights in enumerate(_solve(x[~out], y[~out], unit_penalty)):
            losses[i] += np.square(y[out] - x[out] @ weights).sum()
    best = int(losses.argmin())
    weights = _solve(x, y, unit_penalty)[best]
    predicted = x @ weights
    values, vectors = np.linalg.eigh(predicted.T @ predicted / len(x))
    kept = values > 1e-9 * max(values[-1], np.finfo(float).tiny)
    whitened = (weights @ (vectors[:, kept] / np.sqrt(values[kept])))[:, ::-1]
    return Affine(center, whitened), float(1 - losses[best] / np.square(y).sum())


def _solve(x: Floats, y: Floats, unit_penalty: float) -> list[Floats]:
    """Ridge weights for every penalty."""
    values, vectors = np.linalg.eigh(x.T @ x)
    projected = vectors.T @ (x.T @ y)
    return [
        vectors @ (projected / (values + penalty * unit_penalty)[:, None]) for penalty in RIDGES
    ]
