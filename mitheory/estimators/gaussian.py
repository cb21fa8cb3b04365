r"""Mutual information as if everything were jointly Gaussian, from the covariance alone.

.. math:: I(X;Y|Z) = \tfrac12 \log \frac{|\Sigma_{XZ}| |\Sigma_{YZ}|}{|\Sigma_Z| |\Sigma_{XYZ}|}

A lower bound on nothing and an upper bound on nothing unless the data are Gaussian, but exact in
the second moments, and of known bias: log |S| of n Gaussian rows exceeds log |Σ| by
Σ_i ψ((n−i)/2) + d log(2/n), d digamma terms (Wishart), which `correction="wishart"` takes away.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.special import digamma

from ..errors import ParameterError
from .inputs import Floats, check_varies, tables
from .records import Estimate

SHRINKAGES = ("none", "ledoit_wolf", "oas")
CORRECTIONS = ("none", "wishart")
LEAST_EIGENVALUE = 1e-12  # of the correlations, as a share of all: below, it is rounding


def gaussian_mi(
    x: ArrayLike,
    y: ArrayLike,
    *,
    shrinkage: str | float = "none",
    correction: str = "wishart",
) -> Estimate:
    """I(X;Y) of the Gaussian with the covariance of the data, that is of canonical correlations.

    Source: cover2006, Sec. 8.5; misra2005 for the bias.

    Parameters
    ----------
    x : (n, d_x) or (n,)
    y : (n, d_y) or (n,)
    shrinkage : {"none", "ledoit_wolf", "oas"} or float in [0, 1]
        Of the joint correlation matrix toward the identity.
    correction : {"wishart", "none"}
        Takes away the bias that n Gaussian rows would give; ignored under shrinkage.

    Returns
    -------
    Estimate

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError
        If an array is not as said.
    ParameterError
        If a column is constant or a combination of others, an option unknown, or n too small for
        the dimensions unshrunk.

    Examples
    --------
    >>> x = np.array([1.0, -1.0, 1.0, -1.0])
    >>> y = np.array([1.0, -1.0, -1.0, 1.0])
    >>> gaussian_mi(x, y, correction="none").value
    0.0
    """
    sides = tables(x=x, y=y)
    check_varies(x=sides[0], y=sides[1])
    return _estimate(sides, ((0,), (1,)), ((0, 1),), shrinkage, correction)


def gaussian_cmi(
    x: ArrayLike,
    y: ArrayLike,
    z: ArrayLike,
    *,
    shrinkage: str | float = "none",
    correction: str = "wishart",
) -> Estimate:
    """I(X;Y|Z) of the Gaussian with the covariance of the data: of partial canonical correlations.

    Parameters
    ----------
    x, y, z : (n, d) or (n,)
    shrinkage, correction : as in `gaussian_mi`

    Returns
    -------
    Estimate

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError, ParameterError
        As `gaussian_mi`.
    """
    sides = tables(x=x, y=y, z=z)
    check_varies(x=sides[0], y=sides[1], z=sides[2])
    return _estimate(sides, ((0, 2), (1, 2)), ((2,), (0, 1, 2)), shrinkage, correction)


def _estimate(
    sides: tuple[Floats, ...],
    plus: tuple[tuple[int, ...], ...],
    minus: tuple[tuple[int, ...], ...],
    shrinkage: str | float,
    correction: str,
) -> Estimate:
    """Entropies of the blocks in `plus` less those in `minus`, row by row."""
    if correction not in CORRECTIONS:
        raise ParameterError(f"correction must be one of {CORRECTIONS}; got {correction!r}")
    n, dims = len(sides[0]), tuple(side.shape[1] for side in sides)
    data = np.concatenate([(s - s.mean(0)) / s.std(0) for s in sides], axis=1)  # (n, d)
    covariance, intensity = _covariance(data, shrinkage)
    if intensity == 0 and sum(dims) >= n - 1:
        raise ParameterError(
            f"{n} rows cannot carry a covariance of {sum(dims)} dimensions: reduce them first "
            "(mi_reduced), or set shrinkage"
        )
    _check_rank(covariance, intensity)
    ends = np.cumsum((0, *dims))
    columns = [np.arange(ends[i], ends[i + 1]) for i in range(len(dims))]
    value, rows = 0.0, np.zeros(n)
    corrected = correction == "wishart" and intensity == 0
    for sign, blocks in ((1.0, plus), (-1.0, minus)):
        for block in blocks:
            taken = np.concatenate([columns[i] for i in block])
            entropy, own = _entropy(data[:, taken], covariance[np.ix_(taken, taken)])
            if corrected:
                entropy -= _log_det_bias(len(taken), n) / 2
            value += sign * entropy
            rows += sign * own
    return Estimate(
        value=float(value),
        estimator="gaussian",
        n=n,
        dims=dims,
        pointwise=rows - rows.mean() + value,
        diagnostics={
            "shrinkage": shrinkage,
            "shrinkage_intensity": intensity,
            "correction": "wishart" if corrected else "none",
        },
    )


def _covariance(data: Floats, shrinkage: str | float) -> tuple[Floats, float]:
    """Covariance of centered rows (divisor n), shrunk toward a multiple of the identity."""
    empirical = data.T @ data / len(data)
    if shrinkage == "none":
        return empirical, 0.0
    if shrinkage in SHRINKAGES:
        from sklearn.covariance import ledoit_wolf, oas

        method = {"ledoit_wolf": ledoit_wolf, "oas": oas}[str(shrinkage)]
        shrunk, intensity = method(data, assume_centered=True)
        return np.asarray(shrunk), float(intensity)
    if isinstance(shrinkage, bool) or not isinstance(shrinkage, int | float):
        raise ParameterError(
            f"shrinkage must be one of {SHRINKAGES} or a number; got {shrinkage!r}"
        )
    if not 0 <= shrinkage <= 1:
        raise ParameterError(f"shrinkage must lie in [0, 1]; got {shrinkage}")
    scale = np.trace(empirical) / len(empirical)
    return (1 - shrinkage) * empirical + shrinkage * scale * np.eye(len(empirical)), float(
        shrinkage
    )


def _entropy(data: Floats, covariance: Floats) -> tuple[float, Floats]:
    """Entropy less its constant, and −log density of each row less the same constant."""
    factor = cho_factor(covariance, lower=True)
    log_det = 2 * float(np.log(np.diag(factor[0])).sum())
    distance = (data * cho_solve(factor, data.T).T).sum(1)  # squared Mahalanobis
    d = covariance.shape[0]
    return log_det / 2, (log_det + distance - d) / 2


def _check_rank(covariance: Floats, intensity: float) -> None:
    """Refuse dependent columns; whether rounding lets those be factored is chance."""
    d = len(covariance)
    if intensity < LEAST_EIGENVALUE * d:  # else no eigenvalue is below it
        least = eigh(covariance, eigvals_only=True, subset_by_index=[0, 0])[0]
        if least < LEAST_EIGENVALUE * d:
            raise ParameterError(
                f"the covariance of {d} dimensions is singular: columns depend on one another "
                "(across sides, the information is infinite); reduce them first (mi_reduced), or "
                "set shrinkage"
            )


def _log_det_bias(d: int, n: int) -> float:
    """E log |S| − log |Σ| of the covariance (divisor n) of n Gaussian rows, mean removed."""
    return float(digamma((n - np.arange(1, d + 1)) / 2).sum() + d * np.log(2 / n))
