"""Principal components, fitted on some rows and applied to others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh

from ..errors import ParameterError, ShapeError
from .inputs import Floats, check_count, table, tables

RELATIVE_RANK = 1e-12  # of the total variance: below, a component is rounding


@dataclass(frozen=True, eq=False)
class PCA:
    """Directions of most variance.

    Attributes
    ----------
    center : (d,) float64
    directions : (d, r) float64
        Orthonormal, by variance.
    scales : (r,) float64
        What components are divided by: 1, or their standard deviations if whitened.
    retained : float
        Share of the variance of the rows fitted on.
    """

    center: Floats
    directions: Floats
    scales: Floats
    retained: float

    @classmethod
    def fit(cls, x: ArrayLike, components: int, *, whiten: bool = False) -> PCA:
        """Fit to rows.

        Parameters
        ----------
        x : (n, d) or (n,)
        components : int
        whiten : scale every component to variance 1 on these rows

        Returns
        -------
        PCA

        Raises
        ------
        DTypeError, ShapeError, EmptyInputError, NonFiniteError
            If x is not as said.
        ParameterError
            If the centered rows span fewer dimensions than `components`.

        Examples
        --------
        >>> x = np.array([[0.0, 0.0], [4.0, 3.0], [8.0, 6.0], [4.0, 3.0]])
        >>> pca = PCA.fit(x, 1)
        >>> np.abs(pca.apply(x)).ravel(), pca.retained
        (array([5., 0., 5., 0.]), 1.0)
        """
        (data,) = tables(x=x)
        found = cls.up_to(data, check_count("components", components), whiten=whiten)
        if len(found.scales) < components:
            raise ParameterError(
                f"components must be at most the {len(found.scales)} dimensions that "
                f"{data.shape[0]} centered rows of {data.shape[1]} columns span; got {components}"
            )
        return found

    def apply(self, x: ArrayLike) -> Floats:
        """Components (n, r) of rows (n, d)."""
        return np.asarray(self._centered(x) @ self.directions / self.scales)

    def share_of(self, x: ArrayLike) -> float:
        """Share of the squared distance of these rows from `center` along the directions."""
        centered = self._centered(x)
        return float(((centered @ self.directions) ** 2).sum() / (centered**2).sum())

    @classmethod
    def up_to(cls, x: ArrayLike, most: int, *, whiten: bool = False) -> PCA:
        """As `fit`, with as many components as there are if those are fewer than `most`."""
        (data,) = tables(x=x)
        n, d = data.shape
        center = data.mean(0)
        centered = data - center
        total = float((centered**2).sum())
        wide = n <= d  # the smaller of the two Gram matrices has the same eigenvalues
        gram = centered @ centered.T if wide else centered.T @ centered
        r = min(most, len(gram))
        values, vectors = eigh(gram, subset_by_index=[len(gram) - r, len(gram) - 1])
        values, vectors = values[::-1], vectors[:, ::-1]
        kept = values > RELATIVE_RANK * max(total, np.finfo(np.float64).tiny)
        values, vectors = values[kept], vectors[:, kept]
        directions = centered.T @ vectors / np.sqrt(values) if wide else vectors
        return cls(
            center=center,
            directions=directions,
            scales=np.sqrt(values / n) if whiten else np.ones(len(values)),
            retained=float(values.sum() / total) if total else 0.0,
        )

    def _centered(self, x: ArrayLike) -> Floats:
        data = table("x", x)
        if data.shape[1] != len(self.center):
            raise ShapeError(f"x must have d = {len(self.center)} columns; got {data.shape[1]}")
        return data - self.center
