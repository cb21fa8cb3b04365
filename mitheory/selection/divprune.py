"""DivPrune: the tokens that are farthest from one another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ..distributions import NO_NORMS, gram_of, unit_rows
from .dispersion import disperse
from .engine import (
    WHOLE,
    Array,
    CosineRows,
    Picks,
    at,
    first_best,
    product,
    rounding_slack,
    upper_blocks,
)
from .fused import available, fused_distances
from .refusal import refuse_single_token, refuse_zero_rows

HALF = "1/2 in chordal distance"
"""The least chord ‖ṽ_i − ṽ_j‖ between kept tokens is at least half of the largest possible."""


def divprune(
    visual: Tensor,
    *,
    budget: int,
    zero_norm: str = "error",
    mode: str = "exact",
    norms: Mapping[str, Tensor] = NO_NORMS,
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
        return _faithful(visual, budget, norms.get("visual"))
    unit = unit_rows("visual", visual, zero_norm=zero_norm, norm=norms.get("visual"))
    rows = CosineRows(unit)
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


def _faithful(visual: Tensor, budget: int, norm: Tensor | None) -> Picks:
    b, n, _ = visual.shape
    refuse_single_token("divprune", n)
    if norm is None:
        refuse_zero_rows("divprune", "visual", visual)
        norm = visual.norm(dim=-1)
    unit = visual / norm[..., None]
    if b == 1 and unit.is_cpu:
        found = _coded_of_one(unit[0], budget)
        return Picks(found[0][None], found[1][None], (budget + 1) * n, departures=(REPEATS,))
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
    return Picks(
        torch.stack(chosen, 1), torch.stack(gains, 1), (budget + 1) * n, departures=(REPEATS,)
    )


REPEATS = "chosen tokens are not excluded: one is repeated where the rest are copies"


def _coded_of_one(unit: Tensor, budget: int) -> tuple[Tensor, Tensor]:
    """Choices and gains (k,) of one sample (n, d) on a CPU, by NumPy views."""
    found, row_of = (_whole if len(unit) <= WHOLE else _halved)(unit)
    nearest = found.numpy()
    scores = np.empty_like(nearest)
    chosen, gains = [], []
    for t in range(budget):
        np.subtract(1, nearest, out=scores)
        j = int(scores.argmax())
        chosen.append(j)
        gains.append(scores[j])
        row = row_of(j)
        nearest = row.copy() if t == 0 else np.maximum(nearest, row, out=nearest)
    return torch.tensor(chosen), torch.from_numpy(np.array(gains, dtype=nearest.dtype))


def _whole(unit: Tensor) -> tuple[Tensor, Callable[[int], Array]]:
    """Second-largest cosine (n,) of every token, and rows of the matrix."""
    cosine = gram_of(unit[None])
    return _second_largest(cosine)[0], cosine[0].numpy().__getitem__


def _halved(unit: Tensor) -> tuple[Tensor, Callable[[int], Array]]:
    """The same from half of the matrix, block by block; a row is good until the next is asked."""
    n = len(unit)
    half, own, other = unit.new_empty(n, n), unit.new_empty(n), unit.new_full((n,), -torch.inf)
    for start, block in upper_blocks(unit[None]):
        panel, stop = half[start : start + block.shape[1], start:], start + block.shape[1]
        panel.copy_(block[0])
        diagonal = panel.diagonal()
        own[start:stop] = diagonal
        diagonal.fill_(-torch.inf)
        torch.maximum(other[start:stop], panel.amax(1), out=other[start:stop])
        torch.maximum(other[start:], panel.amax(0), out=other[start:])
        diagonal.copy_(own[start:stop])
    if bool((other > own).any()):  # copies, to rounding
        other = (half.triu() + half.triu(1).T).topk(2, dim=0).values[1]
    cosine, row = half.numpy(), np.empty_like(other.numpy())

    def row_of(j: int) -> Array:
        row[:j], row[j:] = cosine[:j, j], cosine[j, j:]
        return row

    return other, row_of


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
