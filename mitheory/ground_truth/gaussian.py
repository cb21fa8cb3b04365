r"""Gaussians whose MI and conditional MI are known in any dimension.

Derivation. Take d independent groups (u_k, v_k[, w_k]) of standard normals, group k with
correlation matrix R_k. By independence information adds over groups, and within one

.. math:: I(u;v) = -\tfrac12 \log(1 - r_{uv}^2), \qquad
    I(u;v|w) = \tfrac12 \log\frac{|R_{uw}||R_{vw}|}{|R|} = -\tfrac12 \log(1 - r_{uv \cdot w}^2)

(r_uv.w the partial correlation; |R_w| = 1). Then x = Q_x S u with S a diagonal of standard
deviations and Q_x orthogonal, y and z alike: one-to-one maps of each side keep both quantities.
Q is drawn once per dimension from a fixed seed, so that no coordinate is special.

Where the dependence lies: in "leading" and "trailing" truths the covariance of each side has
eigenvalues 1/k, k = 1..d, as embeddings have, and the first, or last, four directions carry it;
in "spread" ones the covariance is the identity and every direction carries 1/d of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .records import GroundTruth, check_dimension, check_total

Floats = NDArray[np.float64]
SIGNAL_DIRECTIONS = 4
STRUCTURES = ("leading", "trailing", "spread")
LOADING = 0.7  # of x and y on the common cause


@lru_cache(maxsize=6)
def rotation(d: int, side: int) -> Floats:
    """A fixed (d, d) orthogonal matrix for x, y or z (side 0, 1, 2).

    Examples
    --------
    >>> q = rotation(3, 0)
    >>> bool(np.allclose(q @ q.T, np.eye(3)))
    True
    """
    gaussian = np.random.default_rng([20260, d, side]).standard_normal((d, d))
    factors = np.linalg.qr(gaussian)
    q = factors.Q * np.sign(np.diag(factors.R))  # Haar measure
    q.flags.writeable = False
    return q


def active_directions(d: int, structure: str) -> NDArray[np.int64]:
    """Which directions carry the dependence."""
    r = min(d, SIGNAL_DIRECTIONS)
    return {
        "leading": np.arange(r),
        "trailing": np.arange(d - r, d),
        "spread": np.arange(d),
    }[structure]


def standard_deviations(d: int, structure: str) -> Floats:
    """(d,) of the directions."""
    return np.ones(d) if structure == "spread" else 1 / np.sqrt(np.arange(1.0, d + 1))


def correlation_for(nats: float) -> float:
    """The correlation of a Gaussian pair with this much information.

    Examples
    --------
    >>> round(correlation_for(-0.5 * math.log(1 - 0.6**2)), 6)
    0.6
    """
    return math.sqrt(-math.expm1(-2 * nats))


def gaussian_pair(name: str, d: int, *, total: float, structure: str) -> GroundTruth:
    """Gaussian x and y in R^d with I(X;Y) = `total`; see the derivation above."""
    d, total = check_dimension(d), check_total(total)
    rho = correlation_for(total / len(active_directions(d, structure)))
    return grouped(name, d, np.array([[1, rho], [rho, 1]]), structure)


def common_cause(name: str, d: int, *, total: float, structure: str) -> GroundTruth:
    """x and y share the cause z and have a direct link besides: I(X;Y|Z) = `total`.

    Per direction u = a w + √(1−a²) e, v = a w + √(1−a²)(ρ e + √(1−ρ²) e') with a = 0.7, so that
    the partial correlation is ρ; at total 0 it is the Markov chain x – z – y.
    """
    d, total = check_dimension(d), check_total(total)
    rho = correlation_for(total / len(active_directions(d, structure)))
    a, uv = LOADING, LOADING**2 + (1 - LOADING**2) * rho
    return grouped(name, d, np.array([[1, uv, a], [uv, 1, a], [a, a, 1]]), structure)


def collider(name: str, d: int, *, total: float, structure: str) -> GroundTruth:
    """x and y independent, z their noisy sum: I(X;Y) = 0 and I(X;Y|Z) = `total`.

    With correlation c of z with either, the partial correlation is −c²/(1−c²).
    """
    d, total = check_dimension(d), check_total(total)
    rho = correlation_for(total / len(active_directions(d, structure)))
    c = math.sqrt(rho / (1 + rho))
    return grouped(name, d, np.array([[1, 0, c], [0, 1, c], [c, c, 1]]), structure)


def grouped(name: str, d: int, correlation: Floats, structure: str) -> GroundTruth:
    """The truth whose active groups have this (2, 2) or (3, 3) correlation matrix."""
    if structure not in STRUCTURES:
        raise ParameterError(f"structure must be one of {STRUCTURES}; got {structure!r}")
    active, scales = active_directions(d, structure), standard_deviations(d, structure)
    sides = len(correlation)
    root = np.linalg.cholesky(correlation)
    rotations = [rotation(d, side) for side in range(sides)]

    def draw(n: int, rng: np.random.Generator) -> tuple[Floats, ...]:
        groups = rng.standard_normal((sides, n, d))
        groups[:, :, active] = np.einsum("ij,jnk->ink", root, groups[:, :, active])
        return tuple((u * scales) @ q.T for u, q in zip(groups, rotations, strict=True))

    def log_ratio(*arrays: Floats) -> Floats:
        groups = np.stack(
            [((a @ q) / scales)[:, active] for a, q in zip(arrays, rotations, strict=True)]
        )
        return log_density_ratio(groups, correlation).sum(-1)

    per_direction = information(correlation)
    return GroundTruth(
        name=name,
        dims=(d,) * sides,
        mi=len(active) * information(correlation[:2, :2]),
        cmi=len(active) * per_direction if sides == 3 else None,
        discrete=False,
        structure=structure,
        draw=draw,
        log_ratio=log_ratio,
    )


def information(correlation: Floats) -> float:
    """I(u;v), or I(u;v|w), of one group, in nats.

    Examples
    --------
    >>> round(information(np.array([[1, 0.6], [0.6, 1]])), 6) == round(-0.5 * math.log(0.64), 6)
    True
    """
    given = list(range(2, len(correlation)))
    return 0.5 * sum(
        sign * _log_det(correlation, axes)
        for sign, axes in ((1, [0, *given]), (1, [1, *given]), (-1, [0, 1, *given]), (-1, given))
    )


def log_density_ratio(groups: Floats, correlation: Floats) -> Floats:
    """log p(u,v|w)/p(u|w)p(v|w) of (2 or 3, ...) standard normals with this correlation."""
    given: Sequence[int] = list(range(2, len(correlation)))
    ratio = np.zeros(groups.shape[1:])
    for sign, axes in ((1, [0, 1, *given]), (1, given), (-1, [0, *given]), (-1, [1, *given])):
        if axes:
            part = groups[list(axes)]
            precision = np.linalg.inv(correlation[np.ix_(axes, axes)])
            distance = np.einsum("i...,ij,j...->...", part, precision, part)
            ratio -= sign * 0.5 * (distance + _log_det(correlation, axes))
    return ratio


def _log_det(matrix: Floats, axes: Sequence[int]) -> float:
    return float(np.linalg.slogdet(matrix[np.ix_(axes, axes)])[1]) if axes else 0.0
