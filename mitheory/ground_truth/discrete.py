r"""Discrete joints with exact values: copy, XOR, AND, naive Bayes, Markov chain.

Derivation. From the table of the joint by enumeration,

.. math:: I(X;Y|Z) = \sum_{xyz} p(xyz) \log\frac{p(xyz)\,p(z)}{p(xz)\,p(yz)}

Columns beyond the first are fair bits, independent of everything: they make the alphabet 2^(d-1)
times larger on each side and change neither quantity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from ..errors import DistributionError, ParameterError, ShapeError
from .records import GroundTruth, check_dimension

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
LETTERS = 4
ACCURACY = 0.8  # of a noisy copy


def exact_mi(joint: Floats) -> float:
    """I(X;Y) in nats of a table (a, b) that sums to 1.

    Examples
    --------
    >>> round(exact_mi(np.eye(2) / 2), 6)  # log 2
    0.693147
    """
    return exact_cmi(np.asarray(joint)[:, :, None])


def exact_cmi(joint: Floats) -> float:
    """I(X;Y|Z) in nats of a table (a, b, c) that sums to 1.

    Raises
    ------
    ShapeError, DistributionError
        If there are not three axes, or the entries are negative or do not sum to 1.

    Examples
    --------
    >>> round(exact_cmi(xor_joint()), 4)  # log 2
    0.6931
    """
    p = np.asarray(joint, dtype=np.float64)
    if p.ndim != 3:
        raise ShapeError(f"joint must have axes x, y, z; got shape {p.shape}")
    if (p < 0).any() or abs(p.sum() - 1) > 1e-9:
        raise DistributionError(f"joint must be >= 0 and sum to 1; sums to {p.sum()}")
    return float(
        sum(
            sign * xlogy(part, part).sum()
            for sign, part in ((1, p), (1, p.sum((0, 1))), (-1, p.sum(1)), (-1, p.sum(0)))
        )
    )


def xor_joint() -> Floats:
    """x, y fair bits, z = x xor y: I(X;Y) = 0, I(X;Y|Z) = log 2; so for any two of the three."""
    return _table(lambda x, y, z: (x ^ y) == z, 2)


def and_joint() -> Floats:
    """x, y fair bits, z = x and y: I(X;Y) = 0, I(X;Y|Z) = ¾ (2 h(⅓) − log 3)."""
    return _table(lambda x, y, z: (x & y) == z, 2)


def copy_joint() -> Floats:
    """x a fair letter of 4, y = z = x: I(X;Y) = log 4, I(X;Y|Z) = 0."""
    return _table(lambda x, y, z: (x == y) & (y == z), LETTERS)


def naive_bayes_joint() -> Floats:
    """z a fair bit, x and y each equal to it with probability 0.8: I(X;Y|Z) = 0.

    x and y agree with probability 0.68, so I(X;Y) = log 2 − h(0.68).
    """
    channel = flip(1 - ACCURACY)
    return np.einsum("z,zx,zy->xyz", np.full(2, 0.5), channel, channel)


def markov_chain_joint() -> Floats:
    """x a fair bit, z flips it with probability 0.1, y flips z with 0.2: I(X;Y|Z) = 0.

    y differs from x with probability 0.1·0.8 + 0.9·0.2 = 0.26, so I(X;Y) = log 2 − h(0.26).
    """
    return np.einsum("x,xz,zy->xyz", np.full(2, 0.5), flip(0.1), flip(0.2))


def noisy_copy_joint() -> Floats:
    """x a fair letter of 4, y = x with probability 0.8, else one of the others: no z.

    I(X;Y) = log 4 − h(0.8) − 0.2 log 3.
    """
    other = (1 - ACCURACY) / (LETTERS - 1)
    return (np.full((LETTERS, LETTERS), other) + np.eye(LETTERS) * (ACCURACY - other)) / LETTERS


def independent_joint() -> Floats:
    """x and y independent fair letters of 4: I(X;Y) = 0; any estimate is bias."""
    return np.full((LETTERS, LETTERS), 1 / LETTERS**2)


def flip(probability: float) -> Floats:
    """(2, 2) transition matrix of a symmetric channel."""
    return np.array([[1 - probability, probability], [probability, 1 - probability]])


def discrete(name: str, d: int, *, joint: Callable[[], Floats]) -> GroundTruth:
    """The truth of a joint table (a, b) or (a, b, c), with d − 1 irrelevant bits on every side."""
    d, table = check_dimension(d), joint()
    if d > 62:
        raise ParameterError(f"d must be at most 62, so that a row is a letter; got {d}")
    sides = table.ndim
    cumulative = table.ravel().cumsum()

    def draw(n: int, rng: np.random.Generator) -> tuple[Integers, ...]:
        cells = np.searchsorted(cumulative, rng.random(n) * cumulative[-1], side="right")
        letters = np.unravel_index(cells, table.shape)
        return tuple(
            np.column_stack([side, rng.integers(0, 2, size=(n, d - 1))]).astype(np.int64)
            for side in letters
        )

    def log_ratio(*arrays: Integers) -> Floats:
        return _log_ratios(table)[tuple(a[:, 0] for a in arrays)]

    return GroundTruth(
        name=name,
        dims=(d,) * sides,
        mi=exact_mi(table if sides == 2 else table.sum(2)),
        cmi=exact_cmi(table) if sides == 3 else None,
        discrete=True,
        structure="letters",
        draw=draw,
        log_ratio=log_ratio,
    )


def _log_ratios(table: Floats) -> Floats:
    """log p(xyz) p(z) / p(xz) p(yz) of every cell; −inf where the joint has no mass."""
    p = table if table.ndim == 3 else table[:, :, None]
    below = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    above = p * p.sum((0, 1), keepdims=True)
    ratio = np.full(p.shape, -np.inf)
    np.log(
        np.divide(above, below, where=above > 0, out=np.ones_like(p)), where=above > 0, out=ratio
    )
    return ratio.reshape(table.shape)


def _table(holds: Callable[[Integers, Integers, Integers], NDArray[np.bool_]], k: int) -> Floats:
    """Uniform over the triples of letters for which `holds`."""
    allowed = holds(*np.indices((k, k, k))).astype(np.float64)
    return allowed / allowed.sum()


JOINTS: Mapping[str, Callable[[], Floats]] = {
    "independent_letters": independent_joint,
    "noisy_copy": noisy_copy_joint,
    "copy": copy_joint,
    "xor": xor_joint,
    "and": and_joint,
    "naive_bayes": naive_bayes_joint,
    "discrete_markov_chain": markov_chain_joint,
}
