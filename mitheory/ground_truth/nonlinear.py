r"""Ground truths that are not Gaussian: transformed sides, and Student's t.

Derivation. If f and g are one-to-one with measurable inverses, I(f(X);g(Y)) = I(X;Y), and the log
density ratio at (f(x), g(y)) is that at (x, y): the Jacobians cancel. The transforms below are
applied to rotated Gaussians, coordinate by coordinate or, the spiral, plane by plane.

Source: czyz2023, Theorem 2.1 (invariance) and Sec. 2.2 (spiral, half-cube, asinh).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from .gaussian import (
    active_directions,
    correlation_for,
    gaussian_pair,
    information,
    rotation,
    standard_deviations,
)
from .records import GroundTruth, check_dimension, check_total

Floats = NDArray[np.float64]
SPEED = 1.0  # radians a plane turns for each squared unit of length
DEGREES = 5.0  # of freedom of Student's t


def cubic(x: Floats) -> Floats:
    """Every coordinate to its third power: long tails."""
    return x**3


def inverse_cubic(x: Floats) -> Floats:
    """Undoes `cubic`."""
    return np.cbrt(x)


def spiral(x: Floats, *, speed: float = SPEED) -> Floats:
    r"""Turns each plane of coordinates (0,1), (2,3), ... by an angle `speed` · |row|².

    The length of a row stays, so turning back by the same angle undoes it; an odd last coordinate
    stays as it is.

    Parameters
    ----------
    x : (n, d)

    Examples
    --------
    >>> x = np.array([[3.0, 4.0]])
    >>> bool(np.allclose(spiral(spiral(x), speed=-SPEED), x)), bool(np.allclose(spiral(x), x))
    (True, False)
    """
    angle = speed * (x**2).sum(1, keepdims=True)  # (n, 1)
    cos, sin = np.cos(angle), np.sin(angle)
    even, odd = x[:, : x.shape[1] // 2 * 2 : 2], x[:, 1::2]
    turned = x.copy()
    turned[:, : 2 * odd.shape[1] : 2] = cos * even - sin * odd
    turned[:, 1::2] = sin * even + cos * odd
    return turned


def unspiral(x: Floats) -> Floats:
    """Undoes `spiral`."""
    return spiral(x, speed=-SPEED)


def transformed(name: str, d: int, *, total: float, transform: str) -> GroundTruth:
    """A leading-subspace Gaussian with both sides sent through a one-to-one `transform`."""
    forward, backward, least = TRANSFORMS[transform]
    base = gaussian_pair(name, check_dimension(d, least=least), total=total, structure="leading")
    base_ratio = base.log_ratio

    def draw(n: int, rng: np.random.Generator) -> tuple[Floats, ...]:
        return tuple(forward(np.asarray(side, float)) for side in base.draw(n, rng))

    def log_ratio(*sides: Floats) -> Floats:
        assert base_ratio is not None
        return base_ratio(*(backward(side) for side in sides))

    return replace(base, draw=draw, log_ratio=log_ratio)


def student_t(name: str, d: int, *, total: float, degrees: float = DEGREES) -> GroundTruth:
    r"""A multivariate Student's t of (x, y): correlated Gaussians over one common χ.

    Derivation. (x, y) = (g_x, g_y) / √(χ²_ν/ν). A t in D dimensions with scatter Ω has the entropy

    .. math:: -\log\frac{\Gamma(\frac{\nu+D}{2})}{\Gamma(\frac\nu2)(\nu\pi)^{D/2}}
        + \tfrac12\log|\Omega| + \tfrac{\nu+D}{2}
        \left(\psi(\tfrac{\nu+D}{2})-\psi(\tfrac\nu2)\right)

    and I = H_x + H_y − H_xy: the determinants give the Gaussian information `total`, the rest does
    not depend on Ω (`student_excess`). Uncorrelated sides still share their scale, so that the MI
    is positive at total 0.

    Source: arellanovalle2013, Eq. 20; czyz2023, Sec. 2.3.
    """
    d, total = check_dimension(d), check_total(total)
    active, scales = active_directions(d, "leading"), standard_deviations(d, "leading")
    rho = correlation_for(total / len(active))
    gaussian = gaussian_pair(name, d, total=total, structure="leading")

    def draw(n: int, rng: np.random.Generator) -> tuple[Floats, ...]:
        sides = gaussian.draw(n, rng)
        scale = np.sqrt(rng.chisquare(degrees, size=(n, 1)) / degrees)
        return tuple(side / scale for side in sides)

    def log_ratio(x: Floats, y: Floats) -> Floats:
        u, v = ((a @ rotation(d, side)) / scales for side, a in enumerate((x, y)))
        within = np.ones(d)
        within[active] = 1 - rho**2
        cross = np.zeros(d)
        cross[active] = rho
        # Mahalanobis distances under Ω: per direction (u² + v² − 2ρuv) / (1 − ρ²)
        both = ((u**2 + v**2 - 2 * cross * u * v) / within).sum(1)
        joint = _log_t(both, 2 * d, degrees) - 0.5 * np.log(within).sum()
        return joint - _log_t((u**2).sum(1), d, degrees) - _log_t((v**2).sum(1), d, degrees)

    correlation = np.array([[1, rho], [rho, 1]])
    mi = len(active) * information(correlation) + student_excess(d, d, degrees)
    return replace(gaussian, mi=mi, draw=draw, log_ratio=log_ratio)


def student_excess(d_x: int, d_y: int, degrees: float) -> float:
    """MI of the sides of a t beyond that of the Gaussian with its correlations, in nats.

    Examples
    --------
    >>> student_excess(1, 1, 1e7) < 1e-6  # tends to the Gaussian
    True
    """
    nu, x, y, both = (float(degrees + extra) / 2 for extra in (0, d_x, d_y, d_x + d_y))
    logs = gammaln(nu) + gammaln(both) - gammaln(x) - gammaln(y)
    return float(logs + x * digamma(x) + y * digamma(y) - both * digamma(both) - nu * digamma(nu))


def _log_t(distance: Floats, d: int, degrees: float) -> Floats:
    """Log density of a standard t in `d` dimensions at squared Mahalanobis distances."""
    constant = gammaln((degrees + d) / 2) - gammaln(degrees / 2) - d / 2 * np.log(degrees * np.pi)
    return constant - (degrees + d) / 2 * np.log1p(distance / degrees)


Side = Callable[[Floats], Floats]
TRANSFORMS: Mapping[str, tuple[Side, Side, int]] = {  # forward, backward, smallest d
    "cubic": (cubic, inverse_cubic, 1),
    "asinh": (np.arcsinh, np.sinh, 1),
    "spiral": (spiral, unspiral, 2),
}
