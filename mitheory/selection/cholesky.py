"""Greedy determinants: one row of a Cholesky factor for each choice."""

from __future__ import annotations

import torch
from torch import Tensor

from .engine import CosineRows, Picks, at, first_best, mark, rounding_slack


def log_det_greedy(rows: CosineRows, quality: Tensor, budget: int) -> Picks:
    """Greedy MAP by the incremental Cholesky factor, O(n k²) for each sample.

    The factor is that of the cosines alone: det K_S = ∏ r_i² · det L_S, and small relevance then
    costs no precision. A residual within its rounding error is zero: the rank is used up.

    Source: chen2018, Algorithm 1.
    """
    b, n = quality.shape
    unit = rounding_slack(quality)
    open_ = torch.ones(b, n, dtype=torch.bool, device=quality.device)
    residual = (rows.unit.square().sum(-1) > 0).to(quality.dtype)  # zero rows explain nothing
    error = torch.full_like(residual, unit)  # bound on its rounding error
    factor = quality.new_zeros(b, budget, n)
    chosen, gains = [], []
    for t in range(budget):
        growth = quality.square() * residual
        best, raw = growth.masked_fill(~open_, -1.0).max(-1)
        exhausted = best <= 0
        close = unit * at(quality, raw).square()  # rounding of the residual, times r²
        score = torch.where(exhausted[:, None], quality, growth)
        j = first_best(score, open_, torch.where(exhausted, unit, close)[:, None])
        chosen.append(j)
        gains.append(at(growth, j).log())
        mark(open_, j)
        row = rows.row(j)
        if t:
            own = factor[:, :t].gather(2, j[:, None, None].expand(-1, t, 1)).mT  # (b, 1, t)
            row = row - (own @ factor[:, :t])[:, 0]
        scale = torch.where(exhausted, 0.0, at(residual, j).clamp_min(unit).rsqrt())
        factor[:, t] = row = row * scale[:, None]
        # a small pivot magnifies the error it carries into every residual that it lowers
        carried = row.square() * (scale.square() * at(error, j))[:, None]
        error = error + unit * (1 + row.abs() * scale[:, None]) + carried
        residual = residual - row.square()
        residual = torch.where(residual > error, residual, 0.0)
    evaluations = sum(n - t for t in range(budget))
    return Picks(torch.stack(chosen, 1), torch.stack(gains, 1), evaluations)
