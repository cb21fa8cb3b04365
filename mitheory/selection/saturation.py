"""Greedy for sums over rows that saturate: the state is one number for each row."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .engine import Picks, at, first_best, mark, rounding_slack

Gains = Callable[[Tensor], Tensor]
Extend = Callable[[Tensor, Tensor], Tensor]


def saturating_greedy(
    weights: Tensor, start: Tensor, gains_of: Gains, extend: Extend, budget: int, *, scale: float
) -> Picks:
    """The greedy choices for a monotone submodular function of one number for each row.

    Gains are sums of nonnegative numbers, exact to rounding of their own size, and closer ones are
    ties.

    Source: nemhauser1978.

    Parameters
    ----------
    weights : (b, m, n)
    start : (b, m) state of the rows under no column
    gains_of : from the state to the gain (b, n) of every column
    extend : from the state and the chosen column of the weights (b, m) to the next state
    budget : number of columns
    scale : how much coarser than their last digit the gains are
    """
    b, m, n = weights.shape
    state = start
    open_ = torch.ones(b, n, dtype=torch.bool, device=weights.device)
    chosen, gained = [], []
    for _ in range(budget):
        gains = gains_of(state)
        best = gains.masked_fill(~open_, 0.0).amax(-1, keepdim=True)
        j = first_best(gains, open_, rounding_slack(weights, scale=scale) * best)
        chosen.append(j)
        gained.append(at(gains, j))
        mark(open_, j)
        state = extend(state, weights.gather(2, j[:, None, None].expand(-1, m, 1))[..., 0])
    evaluations = sum(n - t for t in range(budget))
    return Picks(torch.stack(chosen, 1), torch.stack(gained, 1), evaluations, "1-1/e")
