"""Pairs made anew from real ones, with a known dependence given the prompt.

The prompt stays as it is. Either patch is what a linear regression on the prompt predicts of it,
plus the residual of another image, dealt apart for the two patches: they are independent given the
prompt by construction, with the residuals that the data have. A part of the residuals in common,
from a third deal, plants a dependence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mitheory.ground_truth.gaussian import correlation_for

from .draws import values

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Remaker:
    """Rows of one half of the images, taken apart; `draw` puts them together again."""

    predicted: tuple[Floats, Floats]  # of x and y from z, (n, r)
    white: tuple[Floats, Floats]  # residuals, uncorrelated and of variance 1
    roots: tuple[Floats, Floats]  # residual = white @ root.T
    images: Integers  # (n,) number of each row's image
    blocks: tuple[Integers, ...]  # rows of each draw

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Remaker:
        """Take rows x0.., y0.., z0.., image_id, draw of one half apart."""
        z = np.column_stack([np.ones(len(rows)), values(rows, "z")])
        sides = [values(rows, name) for name in "xy"]
        predicted = [z @ np.linalg.lstsq(z, side, rcond=None)[0] for side in sides]
        left = [side - fit for side, fit in zip(sides, predicted, strict=True)]
        roots = [np.linalg.cholesky(r.T @ r / len(r)) for r in left]
        white = [np.linalg.solve(root, r.T).T for root, r in zip(roots, left, strict=True)]
        return cls(
            (predicted[0], predicted[1]),
            (white[0], white[1]),
            (roots[0], roots[1]),
            pd.factorize(rows["image_id"], sort=True)[0].astype(np.int64),
            tuple(np.flatnonzero(rows["draw"] == k) for k in np.unique(rows["draw"])),
        )

    def draw(self, nats: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """x and y with I(x; y given z) = `nats`, exactly so where residuals are Gaussian."""
        white = [side[self.deal(rng)] for side in self.white]
        if nats > 0:
            share = correlation_for(nats)
            along = [_direction(side.shape[1], rng) for side in white]
            common = self.white[0][self.deal(rng)] @ along[0]
            for k, u in enumerate(along):
                own = white[k] @ u
                new = np.sqrt(share) * common + np.sqrt(1 - share) * own
                white[k] = white[k] + np.outer(new - own, u)
        x, y = (
            fit + side @ root.T
            for fit, side, root in zip(self.predicted, white, self.roots, strict=True)
        )
        return x, y

    def deal(self, rng: np.random.Generator) -> Integers:
        """For each row, a row of the same draw and another image: the same other in every draw."""
        rank = rng.random(int(self.images.max()) + 1)
        dealt = np.empty(len(self.images), dtype=np.int64)
        for block in self.blocks:
            block = block[np.argsort(self.images[block])]
            dealt[block] = block[np.argsort(rank[self.images[block]])]
        return dealt


def _direction(d: int, rng: np.random.Generator) -> Floats:
    u = rng.standard_normal(d)
    return np.asarray(u / np.linalg.norm(u))


def remade(
    lead: pd.DataFrame, makers: tuple[Remaker, Remaker], nats: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Rows like `lead`, the halves of which `makers` took apart, with so many nats planted."""
    made = lead.copy()
    for half, maker in enumerate(makers):
        places = np.flatnonzero(lead["fold"] == half)
        for prefix, block in zip("xy", maker.draw(nats, rng), strict=True):
            for i, column in enumerate(block.T):
                whole = made[f"{prefix}{i}"].to_numpy(copy=True)
                whole[places] = column
                made[f"{prefix}{i}"] = whole
    return made
