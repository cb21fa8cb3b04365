"""DivPrune: the tokens that are farthest from one another."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..distributions import unit_rows
from .dispersion import disperse
from .engine import CosineRows, Picks, at, first_best, product, rounding_slack
from .fused import available, fused_distances
from .refusal import refuse_single_token, refuse_zero_rows

HALF = "1/2 in chordal distance"
"""The least chord ‖ṽ_i − ṽ_j‖ between kept tokens is at least half of the largest possible."""


def divprune(
    visual: Tensor, *, budget: int, zero_norm: str = "error", mode: str = "exact"
) -> Picks:
    """Greedy max-min cosine distance, starting from the token with the farthest nearest neighbor.

    Max-min dispersion is not submodular, but whatever token comes first, greedy reaches half of the
    largest least chord: k tokens at chords of 2r or more have disjoint balls of radius r, fewer
    than k chosen tokens leave one of the balls empty, and its center is at r or more from them all.
    Chord and cosine distance have one order: ‖ṽ_i − ṽ_j‖² = 2 (1 − cos).

    Mode "faithful" is the matrix of distances of the public code: chosen tokens are not excluded,
    so that one is repeated where the rest are copies. Mode "exact" closes them.

    Source: alvar2025divprune; ravi1994.

    Parameters
    ----------
    visual : (b, n_v, d)

    Returns
    -------
    Picks
        Gains are distances to the nearest token chosen before; of the first, to its nearest
        neighbor.

    Raises
    ------
    BudgetError
        In mode "faithful", for a single token, of which there is no second-nearest.
    ZeroNormError
        In mode "faithful", for a zero row, even where it may be uninformative.

    Examples
    --------
    >>> line = torch.tensor([[[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0], [-1.0, 0.0]]])
    >>> divprune(line, budget=3).indices
    tensor([[4, 0, 2]])
    """
    if mode == "faithful":
        return _faithful(visual, budget)
    rows = CosineRows(unit_rows("visual", visual, zero_norm=zero_norm))
    nearest = 1 - rows.extreme(largest=True)
    slack, n = rounding_slack(visual), visual.shape[1]
    if available(visual):
        picks = fused_distances(rows.unit, nearest, budget, slack=slack, cosine=rows.whole)
    else:
        first = first_best(nearest, torch.ones_like(nearest, dtype=torch.bool), slack)
        picks = disperse(rows, first[:, None], budget)
        picks.gains[:, 0] = at(nearest, first)
    return dataclasses.replace(
        picks,
        evaluations=sum(n - t for t in range(budget)),
        guarantee=HALF,
        departures=("a chosen token is not chosen again, which the public code allows",),
    )


def _faithful(visual: Tensor, budget: int) -> Picks:
    b, n, _ = visual.shape
    refuse_single_token("divprune", n)
    refuse_zero_rows("divprune", "visual", visual)
    unit = visual / visual.norm(dim=-1, keepdim=True)
    cosine = product(unit, unit)  # 1 − cos is formed last: rounding keeps its order
    samples = torch.arange(b, device=visual.device)
    nearest = _second_largest(cosine)
    chosen, gains = [], []
    for t in range(budget):
        scores = 1 - nearest
        j = scores.argmax(-1)
        chosen.append(j)
        gains.append(at(scores, j))
        row = cosine[samples, j]
        nearest = row if t == 0 else nearest.maximum(row)
    note = "chosen tokens are not excluded: one is repeated where the rest are copies"
    return Picks(
        torch.stack(chosen, 1), torch.stack(gains, 1), (budget + 1) * n, departures=(note,)
    )


def _second_largest(cosine: Tensor) -> Tensor:
    """The second-largest entry (b, n) of every column, its own one included."""
    diagonal = cosine.diagonal(dim1=1, dim2=2)
    own = diagonal.clone()
    diagonal.fill_(-torch.inf)
    other = cosine.amax(1)
    diagonal.copy_(own)
    if bool((other > own).any()):  # copies, to rounding
        return cosine.topk(2, dim=1).values[:, 1]
    return other
