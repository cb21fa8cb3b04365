"""Where relevant patches lie: distributions over a grid of cells, and their entropy deficit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LARGEST = 12  # cells along a side: finer grids are pooled


@dataclass(frozen=True)
class Cells:
    """A grid of cells that grids of patches are pooled into by the places of their centers."""

    rows: int
    cols: int

    @property
    def size(self) -> int:
        """Number of cells."""
        return self.rows * self.cols

    @classmethod
    def for_grids(cls, grids: Sequence[tuple[int, ...]]) -> Cells:
        """The coarsest grid, with at most 12 cells along a side."""
        rows, cols = (min(grid[axis] for grid in grids) for axis in (0, 1))
        return cls(min(rows, LARGEST), min(cols, LARGEST))

    def of(self, patches: Integers, grid: Sequence[int]) -> Integers:
        """Cell of each patch, given by raster index; frames lie over each other."""
        row, col = np.divmod(patches % (grid[0] * grid[1]), grid[1])
        down = (2 * row + 1) * self.rows // (2 * grid[0])
        return down * self.cols + (2 * col + 1) * self.cols // (2 * grid[1])

    def share(self, patches: Integers, grid: Sequence[int]) -> Floats:
        """(cells,) share of the patches in each cell."""
        return np.bincount(self.of(patches, grid), minlength=self.size) / len(patches)

    def everywhere(self, grid: Sequence[int]) -> Floats:
        """(cells,) share of all patches in each cell: uniform where the grid is that of cells."""
        return self.share(np.arange(grid[0] * grid[1]), grid)


def moved(patches: Integers, grid: Sequence[int], by: Integers) -> Integers:
    """Patches (k,) moved on a torus by each of (n, 2) rows and columns: (n, k)."""
    row, col = np.divmod(patches % (grid[0] * grid[1]), grid[1])
    return (row + by[:, :1]) % grid[0] * grid[1] + (col + by[:, 1:]) % grid[1]


def deficit(p: Floats, q: Floats) -> Floats:
    """KL(p to q) in nats over the last axis: log N - H(p) where q is uniform over N.

    Source: cover2006.

    Examples
    --------
    >>> float(deficit(np.array([0.5, 0.5, 0.0, 0.0]), np.full(4, 0.25)))
    0.6931471805599453
    """
    return np.asarray(rel_entr(p, q).sum(-1))


def jackknifed(p: Floats, q: Floats) -> tuple[float, float]:
    """Deficit of the mean over images (images, cells), and its delete-one-image error."""
    n = len(p)
    value = float(deficit(p.mean(0), q.mean(0)))
    without = deficit((p.sum(0) - p) / (n - 1), (q.sum(0) - q) / (n - 1))
    return value, float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))
