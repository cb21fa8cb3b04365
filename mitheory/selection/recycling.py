"""Recycling: some of the dropped tokens come back, averaged in groups around density peaks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..errors import BudgetError
from .engine import ranking, relative_slack, rows_at
from .sparsevlm_budgets import recycled
from .squared_distances import distance_margin, squared_distances

NOISE = 1e-6  # on densities, at most, in the public code


def prune_with_groups(
    order: Tensor, kept: int, states: Tensor, *, noise: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The best tokens, and the centers of the groups that some of the others become.

    Of the D tokens that are not kept, the best ⌊0.3 D⌋ + 1 are grouped, ⌊that / 10⌋ + 1 groups.

    Source: zhang2025sparsevlm.

    Parameters
    ----------
    order : (b, n) all tokens, best first
    kept : how many are kept as they are, fewer than n
    states : (b, n, d) what distances are measured between
    noise : (b, taken) added to the densities, as the public code does against ties

    Returns
    -------
    indices : (b, kept + groups), kept tokens, then centers, best first
    into : (b, n) as in `Merge`
    """
    n = order.shape[1]
    taken, groups = recycled(n - kept)
    own, loose = order[:, :kept], order[:, kept : kept + taken]
    centers, member_of = density_peaks(rows_at(states, loose), groups, noise=noise)
    targets = loose.gather(1, centers)
    indices = torch.cat([own, targets], 1)
    into = torch.full_like(order, -1).scatter_(1, own, own)
    into.scatter_(1, loose, targets.gather(1, member_of))
    return indices, into


def pick_with_groups(
    scores: Tensor, kept: Sequence[int], states: Tensor | None, seeds: Sequence[int] | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Indices, gains and counts of the best tokens and, if there are states, centers of groups;
    samples that keep equally many together.

    Source: zhang2025sparsevlm.

    Parameters
    ----------
    scores : (b, n)
    kept : for every sample, how many tokens are kept as they are
    states : (b, n, d) what distances are measured between, or None for no groups
    seeds : one per sample, for noise on the densities, or None for no noise

    Returns
    -------
    indices, gains : (b, k), gains of centers NaN
    counts : (b,) how many of the k are real
    into : (b, n) as in `Merge`, None without groups
    """
    n = scores.shape[1]
    order = ranking(scores, relative_slack(scores))
    counts = torch.tensor(kept, device=order.device)
    if states is None:
        chosen = order[:, : max(kept)]
        return chosen, scores.gather(1, chosen), counts, None
    into = torch.arange(n, device=order.device).repeat(len(order), 1)
    rows, gains = list(order), list(scores.gather(1, order))
    for k in sorted(set(kept) - {n}):
        own = (counts == k).nonzero()[:, 0]
        places = own.tolist()
        added = None
        if seeds is not None:
            added = _noise([seeds[i] for i in places], recycled(n - k)[0], scores)
        these = slice(None) if len(places) == len(scores) else own  # without a copy of all
        chosen, into[these] = prune_with_groups(order[these], k, states[these], noise=added)
        gained = scores[these].gather(1, chosen)
        gained[:, k:] = math.nan
        for place, i in enumerate(places):
            rows[i], gains[i] = chosen[place], gained[place]
    counts = torch.tensor([len(row) for row in rows], device=order.device)
    return pad_sequence(rows, batch_first=True), pad_sequence(gains, batch_first=True), counts, into


def _noise(seeds: Sequence[int], size: int, like: Tensor) -> Tensor:
    """Uniform on [0, 1e-6), from each sample's own seed."""
    rows = [torch.rand(size, generator=torch.Generator().manual_seed(s)) for s in seeds]
    return NOISE * torch.stack(rows).to(like)


def kept_beside_groups(budget: int, n: int) -> int:
    """How many of n tokens to keep as they are, so that with the groups there are `budget`.

    Source: zhang2025sparsevlm.

    Raises
    ------
    BudgetError
        If the groups alone are more than the budget.

    Examples
    --------
    >>> kept_beside_groups(64, 576), recycled(576 - 48)
    (48, (159, 16))
    """
    if budget >= n:
        return n
    for kept in range(min(budget, n - 1), -1, -1):
        if kept + recycled(n - kept)[1] == budget:
            return kept
    least = recycled(n)[1]
    raise BudgetError(f"budget: expected at least {least} of {n} with recycling, got {budget}")


def density_peaks(
    points: Tensor, groups: int, *, noise: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Centers (b, groups) of groups of points (b, m, d), and which of them each point joins (b, m).

    Distances are Euclidean over √d. A point's density is exp(−mean squared distance to its `groups`
    nearest points, itself among them); centers are the points of largest density times distance to
    the nearest denser one (the largest distance of all, for the densest). Every point joins its
    nearest center. Of equally dense points, as two nearest neighbors often are, the first counts as
    denser; with `noise` chance decides, as in the public code. Densities are compared by their
    logarithms, which do not underflow where points are far apart.

    Source: rodriguez2014; zhang2025sparsevlm.

    Examples
    --------
    >>> points = torch.tensor([[[0.0], [0.1], [0.3], [9.0], [9.1]]])
    >>> density_peaks(points, 2)
    (tensor([[0, 3]]), tensor([[0, 0, 0, 1, 1]]))
    """
    m, d = points.shape[1:]
    square, margin = squared_distances(points), distance_margin(points)
    spread = _mean_of_least(square, min(groups, m)).to(points.dtype) / d
    log_density = -spread if noise is None else ((-spread).exp() + noise).log()
    slack = margin * spread.amax(-1, keepdim=True)
    place = ranking(log_density, slack).argsort(-1).int()
    denser = place[:, None, :] < place[:, :, None]  # (b, i, j): j is denser than i
    farthest = square.amax((1, 2))[:, None, None]
    reach = (torch.where(denser, square, farthest).amin(-1) / d).to(points.dtype).log() / 2
    scale = reach.masked_fill(reach.isinf(), 0.0).abs().amax(-1, keepdim=True) + 1
    centers = ranking(log_density + reach, slack + margin * scale)[:, :groups]
    to_center = square.gather(1, centers[..., None].expand(-1, -1, m))  # (b, groups, m)
    near = to_center <= to_center.amin(1, keepdim=True) * (1 + 2 * margin)
    joined = near.byte().argmax(1)
    themselves = torch.arange(centers.shape[1], device=centers.device).expand_as(centers)
    return centers, joined.scatter(1, centers, themselves)


def _mean_of_least(x: Tensor, count: int) -> Tensor:
    """Mean of the `count` smallest entries of every row; NumPy finds them without a sort."""
    if not x.is_cpu:
        return x.topk(count, dim=-1, largest=False, sorted=False).values.mean(-1)
    least = np.partition(x.numpy(), count - 1, axis=-1)[..., :count]
    return torch.from_numpy(least.mean(-1))
