"""Greedy determinants: one row of a Cholesky factor for each choice."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .engine import GRAM_FROM, WHOLE, CosineRows, Picks, at, first_best, mark, rounding_slack
from .projection import Array, GramRows, ProjectedRows

CACHE = 2**23
"""Bytes of vectors that are cheap to read again for every choice."""


def log_det_greedy(rows: CosineRows, quality: Tensor, budget: int, *, ridge: float = 0.0) -> Picks:
    """Greedy MAP of log det of q_i (cos_ij + ε δ_ij) q_j, O(n d) or O(n k) for each choice.

    The factor is that of the cosines alone: det K_S = ∏ q_i² · det L_S, and small quality then
    costs no precision. A residual within its rounding error is zero: the rank is used up, and what
    is left follows by quality.

    Source: chen2018, Algorithm 1.

    Parameters
    ----------
    rows : unit vectors (b, n, d), or zero ones, which explain nothing
    quality : (b, n) nonnegative
    budget : number of tokens
    ridge : ε ≥ 0

    Returns
    -------
    Picks
        Gains are the growth of log det, −∞ past the rank.
    """
    return quality_diversity(rows, quality.log(), budget, ridge=ridge)


def quality_diversity(
    rows: CosineRows, log_quality: Tensor, budget: int, *, ridge: float = 0.0
) -> Picks:
    """`log_det_greedy` with the logarithm of the quality, which may have any range.

    On a CPU sample by sample in NumPy, elsewhere all samples at once.

    Source: chen2018, Algorithm 1.

    Parameters
    ----------
    rows, budget, ridge : as in `log_det_greedy`
    log_quality : (b, n), −∞ allowed
    """
    if not log_quality.is_cpu:
        return _batched(rows, log_quality, budget, ridge)
    found = [
        _single(rows, sample, log_quality[sample].numpy(), budget, ridge)
        for sample in range(len(log_quality))
    ]
    chosen, gains = zip(*found, strict=True)
    n = log_quality.shape[1]
    return Picks(
        torch.tensor(chosen),
        torch.tensor(gains, dtype=log_quality.dtype),
        sum(n - t for t in range(budget)),
    )


def _single(
    rows: CosineRows, sample: int, log_quality: Array, budget: int, ridge: float
) -> tuple[list[int], list[float]]:
    """One sample by NumPy views."""
    vectors = rows.unit[sample]
    unit, slack = vectors.numpy(), rounding_slack(vectors)
    factor: GramRows | ProjectedRows
    whole = len(unit) <= WHOLE and GRAM_FROM * budget > len(unit)
    if whole or unit.nbytes <= CACHE:
        factor = GramRows(unit, budget, whole=whole)
    else:
        factor = ProjectedRows(unit, budget, ridge)
    double, zero = 2 * log_quality, unit.dtype.type(0)
    residual = (np.einsum("nd,nd->n", unit, unit) > 0).astype(unit.dtype) + unit.dtype.type(ridge)
    carried = np.zeros_like(residual)  # with `added`, a bound on the rounding error of the residual
    added = slack
    score, square = np.empty_like(residual), np.empty_like(residual)
    open_ = np.ones(len(unit), dtype=bool)
    chosen: list[int] = []
    gains: list[float] = []
    with np.errstate(divide="ignore"):
        while len(chosen) < budget:
            np.log(residual, out=score)
            score += double
            best = int(score.argmax())
            top = float(score[best])
            if not top > -np.inf:
                break
            j = int((score >= top - slack / float(residual[best])).argmax())
            pivot, error = float(residual[j]), float(carried[j]) + added
            if pivot <= error or residual[best] <= carried[best] + added:
                residual[residual <= carried + added] = 0  # nothing but rounding is left of these
                continue
            chosen.append(j)
            gains.append(float(score[j]))
            row = factor.row(j, 1 / math.sqrt(pivot), score)
            np.multiply(row, row, out=square)
            residual -= square
            np.maximum(residual, zero, out=residual)
            open_[j], residual[j] = False, 0
            # a small pivot magnifies the error it carries into every residual that it lowers
            square *= (error + slack / 2) / pivot
            carried += square
            added += 1.5 * slack
    left = log_quality.max()  # past the rank by quality
    quality = np.exp(log_quality - left) if left > -np.inf else np.zeros_like(residual)
    while len(chosen) < budget:
        rest = np.where(open_, quality, -1.0)
        j = int((rest >= rest.max() - slack).argmax())
        chosen.append(j)
        gains.append(-np.inf)
        open_[j] = False
    return chosen, gains


def _batched(rows: CosineRows, log_quality: Tensor, budget: int, ridge: float) -> Picks:
    """All samples at once."""
    b, n = log_quality.shape
    unit = rounding_slack(log_quality)
    top = log_quality.amax(-1, keepdim=True)
    quality = torch.where(top > -torch.inf, log_quality - top, 0.0).exp()
    open_ = torch.ones(b, n, dtype=torch.bool, device=log_quality.device)
    residual = (rows.unit.square().sum(-1) > 0).to(quality.dtype) + ridge
    error = torch.full_like(residual, unit)  # bound on its rounding error
    factor = quality.new_zeros(b, budget, n)
    chosen, gains = [], []
    for t in range(budget):
        growth = 2 * log_quality + residual.log()
        best, raw = growth.masked_fill(~open_, -torch.inf).max(-1)
        exhausted = best == -torch.inf
        close = unit / at(residual, raw)
        score = torch.where(exhausted[:, None], quality, growth)
        j = first_best(score, open_, torch.where(exhausted, unit, close)[:, None])
        chosen.append(j)
        gains.append(at(growth, j))
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
