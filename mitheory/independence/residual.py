r"""Tests on the residuals of x and y after regression on z: GCM, and its dense relative.

If the regressions are right, E[r_x r_y'] = 0 under the null, and each image adds the sum of
r_x r_y' over its rows, independent of the other images'. Both tests compare the sum over images
with what random weights per image make of it; "gcm" by the largest entry, "residual" by the sum of
squared canonical correlations. What is not in the covariance of the residuals neither can see.
"""

from __future__ import annotations

import numpy as np

from ..errors import ParameterError
from .inputs import Floats, Integers, Rows, check_count
from .records import TestResult
from .smoothing import CrossFit, cross_fit

N_RESAMPLES = 499


def gcm(
    rows: Rows,
    *,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
    smoother: CrossFit | None = None,
) -> TestResult:
    """Generalized covariance measure: maximum over pairs of columns, multiplier bootstrap.

    Source: shah2020. Variance and Gaussian multipliers are per cluster.

    Parameters
    ----------
    rows : Rows
    rng : np.random.Generator
    n_resamples : int
    smoother : CrossFit, optional
        Of the same z and clusters, where it is at hand.

    Returns
    -------
    TestResult
        `effect` is the Gaussian CMI of the residuals, jackknifed over clusters.
    """
    n_resamples = check_count("n_resamples", n_resamples)
    residuals = regression_residuals(rows, smoother, rng)
    sums = cluster_products(*residuals, rows.codes, rows.n_clusters)  # (G, d_x d_y)
    centered = sums - sums.mean(0)
    scale = np.sqrt((centered**2).sum(0))
    statistic = float(np.abs(sums.sum(0) / scale).max())
    multipliers = rng.standard_normal((n_resamples, rows.n_clusters))
    null = np.abs(multipliers @ (centered / scale)).max(1)
    return _result("gcm", rows, residuals, statistic, null)


def residual(
    rows: Rows,
    *,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
    smoother: CrossFit | None = None,
) -> TestResult:
    """Sum of squared canonical correlations of the residuals (Pillai's trace), sign flips.

    Where many pairs of columns depend a little it finds more than `gcm`; the signs are per cluster.

    Parameters
    ----------
    rows, rng, n_resamples, smoother : as in `gcm`

    Returns
    -------
    TestResult
        `effect` as in `gcm`.
    """
    n_resamples = check_count("n_resamples", n_resamples)
    residuals = regression_residuals(rows, smoother, rng)
    white_x, white_y = (whitened(side)[0] for side in residuals)
    sums = cluster_products(white_x, white_y, rows.codes, rows.n_clusters) / rows.n
    statistic = float((sums.sum(0) ** 2).sum())
    signs = rng.choice([-1.0, 1.0], (n_resamples, rows.n_clusters))
    null = ((signs @ sums) ** 2).sum(1)
    return _result("residual", rows, residuals, statistic, null)


def regression_residuals(
    rows: Rows, smoother: CrossFit | None, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """What z, by regression on other images, leaves of x and y."""
    fitted = smoother or cross_fit(rows.z, rows.codes, rng=rng)
    if fitted.n != rows.n:
        raise ParameterError(f"smoother: expected one of {rows.n} rows, got {fitted.n}")
    both = np.hstack([rows.x, rows.y])
    left = both - fitted.predict(both)
    return left[:, : rows.dims[0]], left[:, rows.dims[0] :]


def cluster_products(r_x: Floats, r_y: Floats, codes: Integers, n_clusters: int) -> Floats:
    """(G, d_x d_y): for each cluster the sum over its rows of every product r_x r_y."""
    return cluster_sums(
        np.einsum("na,nb->nab", r_x, r_y).reshape(len(codes), -1), codes, n_clusters
    )


def cluster_sums(values: Floats, codes: Integers, n_clusters: int) -> Floats:
    """(G, p) sums of (n, p) over the rows of each cluster."""
    sums = np.zeros((n_clusters, values.shape[1]))
    np.add.at(sums, codes, values)
    return sums


def gaussian_cmi(r_x: Floats, r_y: Floats, codes: Integers, n_clusters: int) -> tuple[float, float]:
    """½ log |S_x||S_y|/|S| of the residuals, bias-corrected by the jackknife, and its error.

    Source: efron1979. Clusters are left out one at a time; the mean stays.
    """
    both = np.hstack([r_x, r_y])
    both = both - both.mean(0)
    d, p = r_x.shape[1], both.shape[1]
    moments = cluster_products(both, both, codes, n_clusters).reshape(-1, p, p)
    sizes = np.bincount(codes, minlength=n_clusters)
    total = moments.sum(0)

    def information(s: Floats) -> Floats:
        dets = (np.linalg.slogdet(part)[1] for part in (s[..., :d, :d], s[..., d:, d:], s))
        of_x, of_y, joint = dets
        return np.asarray(0.5 * (of_x + of_y - joint))

    whole = float(information(total / len(both)))
    left_out = information((total - moments) / (len(both) - sizes)[:, None, None])
    g = n_clusters
    error = np.sqrt((g - 1) / g * ((left_out - left_out.mean()) ** 2).sum())
    return float(g * whole - (g - 1) * left_out.mean()), float(error)


def whitened(r: Floats) -> tuple[Floats, Floats]:
    """Residuals with covariance the identity, and the root that gives them back."""
    centered = r - r.mean(0)
    root = np.asarray(np.linalg.cholesky(centered.T @ centered / len(r)), dtype=np.float64)
    return np.asarray(np.linalg.solve(root, centered.T).T, dtype=np.float64), root


def _result(
    method: str, rows: Rows, residuals: tuple[Floats, Floats], statistic: float, null: Floats
) -> TestResult:
    effect, se = gaussian_cmi(*residuals, rows.codes, rows.n_clusters)
    explained = [1 - float((r**2).mean()) for r in residuals]  # columns have variance 1
    return TestResult(
        method=method,
        statistic=statistic,
        p_value=float((1 + (null >= statistic).sum()) / (1 + len(null))),
        effect=effect,
        se=se,
        n=rows.n,
        n_clusters=rows.n_clusters,
        dims=rows.dims,
        diagnostics={
            "explained_x": explained[0],
            "explained_y": explained[1],
            "n_resamples": len(null),
            "effect_by": "Gaussian CMI of the residuals, jackknife over clusters",
        },
    )
