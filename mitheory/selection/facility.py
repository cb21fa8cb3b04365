"""Greedy facility location: every row is served by the best column chosen so far."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ParameterError
from .engine import Picks, at, first_best, mark, rounding_slack
from .updated_facility import updated_facility

UPDATED_FROM = 2**14
"""Weights of a sample from which on a CPU is faster with gains kept up to date, one by one."""


def facility_greedy(
    weights: Tensor,
    budget: int,
    *,
    bonus: Tensor | None = None,
    symmetric: bool = False,
    scale: float = 1.0,
) -> Picks:
    """The greedy choices for f(S) = Σ_r max_{j∈S} w_rj + Σ_{j∈S} bonus_j.

    A gain is a sum over the rows that a column would improve; two gains closer than the rounding of
    the weights of those rows are a tie, and the lowest index wins. On a CPU the gains
    of a large sample are kept up to date instead of computed anew, which gives the same choices.

    Source: nemhauser1978; minoux1978; dong2026mmtok.

    Parameters
    ----------
    weights : (b, m, n) nonnegative; rows are served, columns are chosen
    budget : number of columns
    bonus : (b, n) nonnegative, 0 unless given
    symmetric : whether the weights of a sample are a symmetric matrix, whose columns are its rows
    scale : how much coarser than their last digit the weights are

    Raises
    ------
    ParameterError
        If a weight or a bonus is negative: serving nobody would then not be the worst.

    Examples
    --------
    >>> facility_greedy(torch.tensor([[[0.2, 0.9, 0.8], [0.8, 0.1, 0.2]]]), 2).indices  # all tie
    tensor([[0, 1]])
    """
    b, m, n = weights.shape
    bonus = weights.new_zeros(b, n) if bonus is None else bonus
    for name, x in (("weights", weights), ("bonus", bonus)):
        low = float(x.amin())
        if low < 0:
            raise ParameterError(f"{name}: expected nonnegative entries, got {low}")
    unit = rounding_slack(weights, scale=scale)
    if not weights.is_cpu or m * n < UPDATED_FROM:
        return _all_gains(weights, bonus, budget, unit)
    found = []
    for w, extra in zip(weights, bonus, strict=True):
        rows = w.contiguous().numpy()
        found.append(updated_facility(rows, extra.numpy(), budget, unit, symmetric=symmetric))
    chosen, gains, spent = zip(*found, strict=True)
    return Picks(
        torch.tensor(chosen),
        torch.tensor(gains, dtype=weights.dtype),
        max(spent),
        "1-1/e",
        spent=spent,
    )


def _all_gains(weights: Tensor, bonus: Tensor, budget: int, unit: float) -> Picks:
    """Every gain at every step, all samples at once."""
    b, m, n = weights.shape
    served = weights.new_zeros(b, m)
    open_ = torch.ones(b, n, dtype=torch.bool, device=weights.device)
    chosen, gained = [], []
    for _ in range(budget):
        gains = (weights - served[:, :, None]).clamp_min(0).sum(1) + bonus
        raw = gains.masked_fill(~open_, -1.0).argmax(-1)
        column = _column(weights, raw)
        improved = torch.where(column > served, column, 0.0).sum(-1) + at(bonus, raw)
        j = first_best(gains, open_, unit * improved[:, None])
        chosen.append(j)
        gained.append(at(gains, j))
        mark(open_, j)
        served = served.maximum(_column(weights, j))
    evaluations = sum(n - t for t in range(budget))
    return Picks(torch.stack(chosen, 1), torch.stack(gained, 1), evaluations, "1-1/e")


def _column(weights: Tensor, j: Tensor) -> Tensor:
    """Column j (b,) of every sample (b, m)."""
    return weights.gather(2, j[:, None, None].expand(-1, weights.shape[1], 1))[..., 0]
