"""Slow obvious twins of the estimators, and a wrong one that was released once."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import digamma


def distance(side, i, j):
    """Maximum norm, one coordinate at a time."""
    return max(abs(a - b) for a, b in zip(side[i], side[j], strict=True))


def nearest(sides, i, k):
    """The k rows nearest to row i jointly, and the distance of the last."""
    others = [j for j in range(len(sides[0])) if j != i]
    far = {j: max(distance(side, i, j) for side in sides) for j in others}
    chosen = sorted(others, key=far.__getitem__)[:k]
    return chosen, far[chosen[-1]]


def count(sides, i, accept):
    """Other rows whose distance to row i over `sides` is accepted."""
    n = len(sides[0])
    return sum(accept(max(distance(s, i, j) for s in sides)) for j in range(n) if j != i)


def slow_ksg(x, y, k, algorithm):
    """Kraskov's Eq. 8 or Eq. 9 less its mean, row by row."""
    n, rows = len(x), []
    for i in range(n):
        chosen, radius = nearest((x, y), i, k)
        row = digamma(k) + digamma(n)
        for side in (x, y):
            if algorithm == 1:
                row -= digamma(count([side], i, lambda d, r=radius: d < r) + 1)
            else:
                reach = max(distance(side, i, j) for j in chosen)
                row -= digamma(count([side], i, lambda d, r=reach: d <= r))
        rows.append(row - (1 / k if algorithm == 2 else 0))
    return np.array(rows)


def wrong_ksg_2(x, y, k):
    """Takes away the 1/k of algorithm 2 and counts both sides in the joint radius."""
    rows = []
    for i in range(len(x)):
        radius = nearest((x, y), i, k)[1]
        inside = [count([side], i, lambda d, r=radius: d <= r) for side in (x, y)]
        rows.append(digamma(k) - 1 / k + digamma(len(x)) - digamma(inside).sum())
    return np.array(rows)


def slow_frenzel_pompe(x, y, z, k):
    """Their estimate, row by row."""
    rows = []
    for i in range(len(x)):
        radius = nearest((x, y, z), i, k)[1]
        inside = [count(part, i, lambda d, r=radius: d < r) for part in ((x, z), (y, z), (z,))]
        n_xz, n_yz, n_z = inside
        rows.append(digamma(k) - digamma(n_xz + 1) - digamma(n_yz + 1) + digamma(n_z + 1))
    return np.array(rows)


def slow_kernel_density(x, y, width):
    """Log ratio of densities by explicit Gaussian kernels with all their constants."""
    n, rows = len(x), []

    def density(side, i):
        total = 0.0
        for j in range(n):
            product = 1.0
            for column in range(side.shape[1]):
                h = width * side[:, column].std()
                u = (side[i, column] - side[j, column]) / h
                product *= math.exp(-u * u / 2) / (h * math.sqrt(2 * math.pi))
            total += product if j != i else 0.0
        return total / (n - 1)

    for i in range(n):
        joint = density(np.hstack([x, y]), i)
        rows.append(math.log(joint / (density(x, i) * density(y, i))))
    return np.array(rows)


def slow_information(table):
    """I of a matrix of counts, cell by cell."""
    n, total = table.sum(), 0.0
    for i, row in enumerate(table):
        for j, c in enumerate(row):
            if c:
                total += c / n * math.log(c * n / (table[i].sum() * table[:, j].sum()))
    return total


def gaussian_information(covariance, one, other, given=()):
    """I(one; other | given) of a Gaussian with this covariance, by its determinants."""

    def log_det(*parts):
        taken = [i for part in parts for i in part]
        return math.log(np.linalg.det(covariance[np.ix_(taken, taken)])) if taken else 0.0

    gained = log_det(one, given) + log_det(other, given)
    return (gained - log_det(given) - log_det(one, other, given)) / 2
