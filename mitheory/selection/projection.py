"""One sample's residuals on a CPU: NumPy views of the Gram matrix, or of the vectors themselves.

Both give row t of the Cholesky factor of the chosen vectors' Gram matrix. The one subtracts earlier
rows from a row of the matrix, O(n t). The other projects all vectors on the part of the chosen one
that is orthogonal to the earlier ones, O(n d), and reads the vectors once for several likely
choices at a time, which are corrected when one of them is chosen.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]

AHEAD = 8
"""Likely next choices that are projected together."""


class GramRows:
    """Rows of the factor from rows of the Gram matrix.

    Source: chen2018, Algorithm 1.
    """

    def __init__(self, gram: Array, budget: int) -> None:
        self.gram = gram
        self.factor = np.empty((budget, len(gram)), dtype=gram.dtype)
        self.count = 0

    def row(self, j: int, scale: float, scores: Array) -> Array:
        """Row of the factor for pivot j, whose residual is 1 / scale²."""
        t = self.count
        row = self.factor[t]
        np.copyto(row, self.gram[j])
        if t:
            row -= self.factor[:t, j] @ self.factor[:t]
        row *= scale
        self.count = t + 1
        return row


class ProjectedRows:
    """Rows of the factor from the vectors: Gram-Schmidt, twice, on the chosen ones alone.

    The ridge is one more coordinate of each vector, of its own, and matters for the chosen only.

    Source: chen2018, Algorithm 1.
    """

    def __init__(self, unit: Array, budget: int, ridge: float) -> None:
        n, d = unit.shape
        self.unit, self.root = unit, math.sqrt(ridge)
        self.basis = np.zeros((budget, d + (budget if ridge else 0)), dtype=unit.dtype)
        self.count = 0
        self.ahead: dict[int, int] = {}  # candidate, and its place in the two arrays below
        self.vectors = np.empty((0, d), dtype=unit.dtype)
        self.products = np.empty((0, n), dtype=unit.dtype)

    def row(self, j: int, scale: float, scores: Array) -> Array:
        """Row of the factor for pivot j; `scores` (n,) tell which choices are likely next."""
        if j not in self.ahead:
            self._look_ahead(j, scores)
        place, t, d = self.ahead.pop(j), self.count, self.unit.shape[1]
        new = self.vectors[place] * scale
        if self.root:
            new[d + t] = self.root * scale
        row = self.products[place] * scale
        self.basis[t] = new
        self.count = t + 1
        if self.ahead:
            shares = self.vectors @ new
            self.vectors -= shares[:, None] * new
            self.products -= shares[:, None] * row
        return row

    def _look_ahead(self, j: int, scores: Array) -> None:
        size, d = min(AHEAD, len(scores)), self.unit.shape[1]
        likely = np.argpartition(scores, -size)[-size:]
        likely = np.append(likely[likely != j], j)
        vectors = np.zeros((len(likely), self.basis.shape[1]), dtype=self.unit.dtype)
        vectors[:, :d] = self.unit[likely]
        basis = self.basis[: self.count]
        for _ in range(2):  # the second time removes what rounding left
            vectors -= (vectors @ basis.T) @ basis
        self.ahead = {int(i): place for place, i in enumerate(likely)}
        self.vectors = vectors
        self.products = vectors[:, :d] @ self.unit.T
