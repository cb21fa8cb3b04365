"""DivPrune: the tokens that are farthest from one another."""

from __future__ import annotations

import torch
from torch import Tensor

from ..distributions import unit_rows
from .engine import CosineRows, Picks, at, first_best, mark, rounding_slack
from .fused import available, fused_distances


def divprune(visual: Tensor, *, budget: int, zero_norm: str = "error") -> Picks:
    """Greedy max-min cosine distance, starting from the token with the farthest nearest neighbor.

    Departs from the public code, which may choose a token twice where the rest are copies: chosen
    tokens are closed here. Max-min dispersion is not submodular. Source: alvar2025divprune.

    Parameters
    ----------
    visual : (b, n_v, d)

    Examples
    --------
    >>> line = torch.tensor([[[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0], [-1.0, 0.0]]])
    >>> divprune(line, budget=3).indices
    tensor([[4, 0, 2]])
    """
    rows = CosineRows(unit_rows("visual", visual, zero_norm=zero_norm))
    b, n, _ = visual.shape
    slack = rounding_slack(visual)
    open_ = torch.ones(b, n, dtype=torch.bool, device=visual.device)
    nearest = 1 - nearest_cosine(rows, b, n)  # distance to the nearest of all others, at first
    if available(visual):
        return fused_distances(rows.unit, nearest, budget, slack=slack, cosine=rows.whole)
    distance = nearest
    chosen, gains = [], []
    for t in range(budget):
        j = first_best(distance, open_, slack)
        chosen.append(j)
        gains.append(at(distance, j))
        mark(open_, j)
        new = 1 - rows.row(j)
        distance = new if t == 0 else distance.minimum(new)
    evaluations = sum(n - t for t in range(budget))
    return Picks(torch.stack(chosen, 1), torch.stack(gains, 1), evaluations)


def nearest_cosine(rows: CosineRows, b: int, n: int) -> Tensor:
    """Largest cosine (b, n) of every token with another one; 0 where there is no other."""
    if n == 1:
        return rows.unit.new_zeros(b, 1)
    parts = []
    for start, block in rows.blocks():
        size = block.shape[1]
        own = torch.arange(size, device=block.device)
        hidden = block.clone()
        hidden[:, own, own + start] = -torch.inf
        parts.append(hidden.amax(-1))
    return torch.cat(parts, 1)
