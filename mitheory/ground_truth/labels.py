r"""Known information between *real* embeddings: rows paired through their labels.

Derivation. Let a row x carry the label L = f(x) and a row y the label M = g(y). Draw (L, M) from a
known joint, then x among the rows of label L and y among those of label M, independently. Then
X – L – M – Y is a Markov chain, so I(X;Y) ≤ I(L;M) by data processing; and since L and M are
functions of the rows, I(X;Y) ≥ I(L;M). Hence I(X;Y) = I(L;M), whatever the embeddings look like.

Condition. No vector may carry two labels (checked); a row then determines its label, if by nothing
better than by being that row. Whether an estimator can *read* the label off a row is the test.

Rows of a label are dealt like cards, none twice before all have come once: single pairs have
exactly the law above, and exact ties, which nearest neighbors take for dependence, are as few as
can be. For that, pairs of one sample are not quite independent; with at least as many rows of every
label as pairs that need them no row comes twice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DistributionError, NonFiniteError, ParameterError, ShapeError
from .discrete import exact_mi
from .records import GroundTruth

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def label_pairs(
    name: str,
    x: ArrayLike,
    x_labels: ArrayLike,
    y: ArrayLike,
    y_labels: ArrayLike,
    joint: ArrayLike,
) -> GroundTruth:
    """Real rows paired by labels with a known joint; I(X;Y) is that of the joint.

    Parameters
    ----------
    name : str
    x : (m, d_x) real embeddings
    x_labels : (m,) int, 0..a-1
    y : (p, d_y)
    y_labels : (p,) int, 0..b-1
    joint : (a, b), at least 0, sums to 1

    Raises
    ------
    ShapeError, NonFiniteError, DistributionError
        If the arrays do not fit, hold NaN, or the joint is no distribution.
    ParameterError
        If a label with mass has no row, or one vector carries two labels.

    Examples
    --------
    >>> bank = np.random.default_rng(0).standard_normal((6, 3))
    >>> truth = label_pairs("digits", bank, [0, 0, 0, 1, 1, 1], bank, [0, 0, 0, 1, 1, 1],
    ...                     np.eye(2) / 2)
    >>> round(truth.mi, 4)
    0.6931
    """
    p = np.asarray(joint, dtype=np.float64)
    if p.ndim != 2:
        raise ShapeError(f"joint must have axes x, y; got shape {p.shape}")
    mi = exact_mi(p)
    banks = [
        _bank(side, rows, labels, mass)
        for side, rows, labels, mass in (
            ("x", x, x_labels, p.sum(1)),
            ("y", y, y_labels, p.sum(0)),
        )
    ]
    cumulative = p.ravel().cumsum()

    def draw(n: int, rng: np.random.Generator) -> tuple[Floats, ...]:
        cells = np.searchsorted(cumulative, rng.random(n) * cumulative[-1], side="right")
        letters = np.unravel_index(cells, p.shape)
        return tuple(
            rows[_deal(drawn, labels, rng)]
            for drawn, (rows, labels) in zip(letters, banks, strict=True)
        )

    dims = tuple(rows.shape[1] for rows, _ in banks)
    return GroundTruth(name, dims, mi, None, discrete=False, structure="labels", draw=draw)


def correlated_labels(n_labels: int, total: float) -> Floats:
    """The joint of two uniform labels, equal more often than chance, with I(L;M) = `total`.

    Solved for the share of forced copies: joint = s · diagonal + (1 − s) · independent.

    Raises
    ------
    DistributionError
        If `total` is not in [0, log n_labels].

    Examples
    --------
    >>> round(exact_mi(correlated_labels(10, 0.5)), 6)
    0.5
    """
    from scipy.optimize import brentq

    limit = np.log(n_labels)
    if not 0 <= total <= limit:
        raise DistributionError(f"total must lie in [0, log {n_labels}]; got {total}")

    def joint(share: float) -> Floats:
        return share * np.eye(n_labels) / n_labels + (1 - share) / n_labels**2

    for end in (0.0, 1.0):  # so near to an end that rounding hides the change of sign
        if abs(exact_mi(joint(end)) - total) < 1e-12:
            return joint(end)
    return joint(brentq(lambda share: exact_mi(joint(share)) - total, 0.0, 1.0, xtol=1e-14))


def _bank(side: str, rows: ArrayLike, labels: ArrayLike, mass: Floats) -> tuple[Floats, Integers]:
    """Checked rows and labels of one side."""
    bank, names = np.asarray(rows, dtype=np.float64), np.asarray(labels)
    if bank.ndim != 2 or names.shape != (len(bank),):
        raise ShapeError(
            f"{side}: expected (m, d) rows, (m,) labels; got {bank.shape}, {names.shape}"
        )
    if not np.isfinite(bank).all():
        raise NonFiniteError(f"{side}: rows must be finite")
    if missing := [int(k) for k in np.flatnonzero(mass) if not (names == k).any()]:
        raise ParameterError(f"{side}: labels {missing} have mass in the joint but no row")
    distinct = len(np.unique(bank, axis=0))
    if len(np.unique(np.column_stack([bank, names]), axis=0)) > distinct:
        raise ParameterError(f"{side}: a vector carries two labels; labels must follow from rows")
    return bank, names.astype(np.int64)


def _deal(drawn: Integers, labels: Integers, rng: np.random.Generator) -> Integers:
    """A row index for each drawn label: shuffled decks of the label's rows, one after another."""
    chosen = np.empty(len(drawn), dtype=np.int64)
    for label in np.unique(drawn):
        places, deck = np.flatnonzero(drawn == label), np.flatnonzero(labels == label)
        decks = -(-len(places) // len(deck))
        cards = np.concatenate([rng.permutation(deck) for _ in range(decks)])
        # shuffled again: where in the sample a row comes from a second deck must tell nothing
        chosen[places] = rng.permutation(cards[: len(places)])
    return chosen
