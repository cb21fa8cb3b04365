"""Farthest-pair max-min dispersion."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from torch import Tensor

from ..distributions import NO_NORMS, unit_rows
from .dispersion import disperse, farthest_pair
from .divprune import HALF
from .engine import CosineRows, Picks, at


def max_min(
    visual: Tensor,
    *,
    budget: int,
    zero_norm: str = "error",
    norms: Mapping[str, Tensor] = NO_NORMS,
) -> Picks:
    """The farthest pair, then always the token that is farthest from its nearest chosen one.

    The classic heuristic for max-min dispersion; `divprune` differs in its first token only. For
    two tokens it is exact, for more the least chord is at least half of the largest possible. Of
    the pair the lower index comes first.

    Source: ravi1994.

    Parameters
    ----------
    visual : (b, n_v, d)

    Returns
    -------
    Picks
        Gains are cosine distances to the nearest token chosen before; of the first, to the second
        of the pair.

    Examples
    --------
    >>> import torch
    >>> line = torch.tensor([[[1.0, 0.1], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.1]]])
    >>> max_min(line, budget=3).indices
    tensor([[1, 3, 2]])
    """
    unit = unit_rows("visual", visual, zero_norm=zero_norm, norm=norms.get("visual"))
    rows = CosineRows(unit)
    pair = farthest_pair(rows)
    picks = disperse(rows, pair[:, :budget], budget)
    gap = 1 - at(rows.row(pair[:, 0]), pair[:, -1])  # 0 from a single token to itself
    picks.gains[:, :2] = gap[:, None]
    n = visual.shape[1]
    exact = budget <= 2
    return dataclasses.replace(
        picks,
        evaluations=picks.evaluations + n * (n - 1) // 2,
        guarantee="exact" if exact else HALF,
    )
