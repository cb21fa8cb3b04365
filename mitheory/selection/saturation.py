"""Greedy for sums over rows that saturate: the state is one number for each row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .engine import Picks, at, first_best, mark, rounding_slack

Gains = Callable[[Tensor], Tensor]
Extend = Callable[[Tensor, Tensor], Tensor]
Some = Callable[[Tensor, Tensor], Tensor]

BLOCK = 2**16  # numbers between columns and gains at a time
FEW = 16  # columns looked at together, at least
MARGIN = 16.0  # roundings by which a stale bound may fall short of the gain it bounds


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


def saturating_lazily(
    columns: Tensor, start: Tensor, gains_of: Some, extend: Extend, budget: int, *, scale: float
) -> tuple[list[int], list[float], int]:
    """The same choices for one sample, their gains, and how many gains were computed.

    A gain never grows, so one that was computed earlier bounds it from above: only columns whose
    bound reaches the best gain of a step are looked at again, many at a time.

    Source: minoux1978.

    Parameters
    ----------
    columns : (n, m) contiguous, what each column gives the rows
    start : (m,) state of the rows under no column
    gains_of : from some columns (c, m) and the state to their gains (c,)
    extend : from the state and the chosen column (m,) to the next state
    budget : number of columns
    scale : how much coarser than their last digit the gains are
    """
    n = len(columns)
    unit = rounding_slack(columns, scale=scale)
    state = start
    bounds = np.full(n, np.inf, dtype=columns.numpy().dtype)
    seen = np.full(n, -1)  # step at which the bound was computed
    open_ = np.ones(n, dtype=bool)
    chosen: list[int] = []
    gains: list[float] = []
    evaluations, batch = 0, n
    for step in range(budget):
        best, looked = -np.inf, 0
        while True:
            reach = bounds >= best - MARGIN * unit * abs(best)
            stale = np.flatnonzero(reach & open_ & (seen != step))
            if not len(stale):
                break
            if len(stale) > batch:
                stale = stale[np.argpartition(bounds[stale], -batch)[-batch:]]
            values = _in_blocks(columns, torch.from_numpy(stale), state, gains_of).numpy()
            bounds[stale], seen[stale] = values, step
            looked += len(stale)
            best = max(best, float(values.max()))
            batch *= 2
        evaluations += looked
        batch = max(looked // 2, FEW) if step else FEW
        tied = open_ & (seen == step) & (bounds >= best - unit * best)
        j = int(tied.argmax())
        chosen.append(j)
        gains.append(float(bounds[j]))
        open_[j] = False
        state = extend(state, columns[j])
    return chosen, gains, evaluations


def _in_blocks(columns: Tensor, which: Tensor, state: Tensor, gains_of: Some) -> Tensor:
    """Gains of some columns, few enough at a time that what is between stays in cache."""
    size = max(FEW, BLOCK // columns.shape[1])
    parts = [gains_of(columns[part], state) for part in which.split(size)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)
