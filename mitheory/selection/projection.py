"""One sample's residuals on a CPU: NumPy views, one row of a Cholesky factor for each choice.

The one way subtracts earlier rows of the factor from a row of the Gram matrix, kept or computed on
demand, O(n t) or O(n (d + t)). The other projects all vectors on the part of the chosen one that is
orthogonal to the earlier ones, O(n d), and reads the vectors once for several likely choices at a
time, which are corrected when one of them is chosen: where they do not fit in cache, that counts.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from ..distributions import row_products

Array = npt.NDArray[np.floating]

AHEAD = 24
"""Likely next choices that are projected together."""


class GramRows:
    """Rows of the factor from rows of the Gram matrix, which is kept if `whole`.

    Source: chen2018, Algorithm 1.
    """

    def __init__(self, unit: Array, budget: int, *, whole: bool) -> None:
        self.unit, self.gram = unit, unit @ unit.T if whole else None
        self.factor = np.empty((budget, len(unit)), dtype=unit.dtype)
        self.count = 0

    def row(self, j: int, scale: float, scores: Array) -> Array:
        """Row of the factor for pivot j, whose residual is 1 / scale²."""
        t = self.count
        row = self.factor[t]
        if self.gram is None:
            np.matmul(self.unit, self.unit[j], out=row)
        else:
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
        self.since = 0  # choices made when these were computed; the rows of those made later
        self.rows = np.empty((AHEAD + 1, n), dtype=unit.dtype)

    def row(self, j: int, scale: float, scores: Array) -> Array:
        """Row of the factor for pivot j; `scores` (n,) tell which choices are likely next."""
        if j not in self.ahead:
            self._look_ahead(j, scores)
        place, t, d = self.ahead.pop(j), self.count, self.unit.shape[1]
        new, row = self.vectors[place], self.rows[t - self.since]
        if t == self.since:
            np.multiply(self.products[place], scale, out=row)
        else:
            later = self.basis[self.since : t]
            shares = later @ new
            new = new - shares @ later
            np.matmul(shares, self.rows[: t - self.since], out=row)
            np.subtract(self.products[place], row, out=row)
            row *= scale
        self.basis[t] = new * scale
        if self.root:
            self.basis[t, d + t] = self.root * scale
        self.count = t + 1
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
        self.ahead = {i: place for place, i in enumerate(likely.tolist())}
        self.vectors, self.since = vectors, self.count
        seen = torch.from_numpy(self.unit)[None], torch.from_numpy(vectors[:, :d])[None]
        self.products = row_products(*seen)[0].T.contiguous().numpy()
