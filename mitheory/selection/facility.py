"""Greedy facility location: every row is served by the best column chosen so far."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ParameterError
from .engine import Picks, at, first_best, mark, rounding_slack


def facility_greedy(weights: Tensor, budget: int) -> Picks:
    """The greedy choices for f(S) = Σ_r max_{j∈S} w_rj: 1 − 1/e of the best.

    A gain is a sum over the rows that a column would improve; two gains closer than the rounding of
    the weights of those rows are a tie, and the lowest index wins.

    Source: nemhauser1978; dong2026mmtok.

    Parameters
    ----------
    weights : (b, m, n) nonnegative; rows are served, columns are chosen
    budget : number of columns

    Raises
    ------
    ParameterError
        If a weight is negative: serving nobody would then not be the worst.

    Examples
    --------
    >>> facility_greedy(torch.tensor([[[0.2, 0.9, 0.8], [0.8, 0.1, 0.2]]]), 2).indices  # all tie
    tensor([[0, 1]])
    """
    if bool((weights < 0).any()):
        raise ParameterError(f"weights: expected nonnegative entries, got {float(weights.min())}")
    b, m, n = weights.shape
    unit = rounding_slack(weights)
    served = weights.new_zeros(b, m)
    open_ = torch.ones(b, n, dtype=torch.bool, device=weights.device)
    chosen, gained = [], []
    for _ in range(budget):
        gains = (weights - served[:, :, None]).clamp_min(0).sum(1)
        raw = gains.masked_fill(~open_, -1.0).argmax(-1)
        column = weights.gather(2, raw[:, None, None].expand(-1, m, 1))[..., 0]
        improved = torch.where(column > served, column, 0.0).sum(-1, keepdim=True)
        j = first_best(gains, open_, unit * improved)
        chosen.append(j)
        gained.append(at(gains, j))
        mark(open_, j)
        column = weights.gather(2, j[:, None, None].expand(-1, m, 1))[..., 0]
        served = served.maximum(column)
    evaluations = sum(n - t for t in range(budget))
    return Picks(torch.stack(chosen, 1), torch.stack(gained, 1), evaluations, "1-1/e")
