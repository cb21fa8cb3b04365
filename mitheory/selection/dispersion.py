"""Tokens far from one another: running similarity to what is kept, and the farthest pair."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .engine import CosineRows, Picks, at, first_best, mark, rounding_slack


def disperse(rows: CosineRows, first: Tensor, budget: int, *, mean: bool = False) -> Picks:
    """From `first` on, always the token least similar to what is kept: O(n k) numbers.

    Similar to a set is the cosine with its nearest member, or the `mean` cosine with its members.
    Gains are one minus it; those of `first`, which others choose, are NaN.

    Source: alvar2025divprune; zhang2025trimtokenator.

    Parameters
    ----------
    rows : of n tokens of each of b samples
    first : (b, f) with 1 ≤ f ≤ budget

    Examples
    --------
    >>> line = torch.tensor([[[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]])
    >>> disperse(CosineRows(line), torch.tensor([[0]]), 3).indices
    tensor([[0, 2, 1]])
    """
    b, n, _ = rows.unit.shape
    start = first.shape[1]
    search = _one_by_one if b == 1 and rows.unit.is_cpu else _together
    indices, similarity = search(rows, first, budget, rounding_slack(rows.unit), mean)
    similarity[:, :start] = torch.nan
    return Picks(indices, 1 - similarity, sum(n - t for t in range(start, budget)))


def _together(
    rows: CosineRows, first: Tensor, budget: int, slack: float, mean: bool
) -> tuple[Tensor, Tensor]:
    """All samples at once, a few operations a pick."""
    b, n, _ = rows.unit.shape
    places = torch.arange(n, device=first.device)
    running = rows.unit.new_full((b, n), 0.0 if mean else -torch.inf)
    chosen, values = [], []
    for t in range(budget):
        if t < first.shape[1]:
            j = first[:, t]
        else:
            limit = running.amin(-1, keepdim=True) + (slack * t if mean else slack)
            j = places.where(running <= limit, n).amin(-1)
        chosen.append(j)
        values.append(at(running, j) / max(t, 1) if mean else at(running, j))
        row = rows.row(j)
        running = running + row if mean else running.maximum(row)
        running.scatter_(1, j[:, None], torch.inf)  # stays so, whatever comes
    return torch.stack(chosen, 1), torch.stack(values, 1)


def _one_by_one(
    rows: CosineRows, first: Tensor, budget: int, slack: float, mean: bool
) -> tuple[Tensor, Tensor]:
    """One sample on a CPU, through NumPy: a small operation costs a fifth of one of torch."""
    given, row = first[0].tolist(), rows.only(budget)
    running = torch.full_like(rows.unit[0, :, 0], 0.0 if mean else -torch.inf).numpy()
    join = np.add if mean else np.maximum
    chosen, values = [], []
    for t in range(budget):
        if t < len(given):
            j = given[t]
        else:
            limit = running.min() + (slack * t if mean else slack)
            j = int((running <= limit).argmax())
        chosen.append(j)
        values.append(running[j] / max(t, 1) if mean else running[j])
        join(running, row(j), out=running)
        running[j] = np.inf
    return torch.tensor([chosen]), torch.from_numpy(np.array([values], dtype=running.dtype))


def farthest_pair(rows: CosineRows) -> Tensor:
    """The two tokens (b, 2) of least cosine, i < j; the first such pair. One token: (b, 1).

    Memory is that of one block of rows, never that of all pairs.

    Source: ravi1994.

    Examples
    --------
    >>> line = torch.tensor([[[0.8, 0.6], [1.0, 0.0], [0.0, 1.0]]])
    >>> farthest_pair(CosineRows(line))
    tensor([[1, 2]])
    """
    b, n, _ = rows.unit.shape
    least = rows.extreme(largest=False)
    if n == 1:
        return torch.zeros(b, 1, dtype=torch.int64, device=least.device)
    slack = rounding_slack(least)
    anyone = torch.ones_like(least, dtype=torch.bool)
    i = first_best(-least, anyone, slack)
    mark(anyone, i)
    j = first_best(-rows.row(i), anyone, slack)
    return torch.stack([i, j], 1).sort(-1).values
