"""Squared distances between points: by products, and by differences where points are close."""

from __future__ import annotations

import torch
from torch import Tensor

from ..distributions import gram_of
from .engine import rounding_slack

CLOSE = 1 / 16
"""Of the sum of two squares: a squared distance below that is taken from the difference."""
AT_ONCE = 2**22  # coordinates of differences in memory


def squared_distances(points: Tensor) -> Tensor:
    """|x_i − x_j|² (b, m, m) of points (b, m, d) in double precision, on a CPU exactly symmetric.

    |x|² + |y|² − 2 x·y, seen from the first point, is off by the rounding of |x|² + |y|²: little
    where points lie apart, all there is to near copies. So close pairs, few among points that are
    not copies of each other, are recomputed from their difference, and every distance is right to
    `distance_margin`.

    Examples
    --------
    >>> squared_distances(torch.tensor([[[1e8, 0.0], [1e8, 0.5], [1e8, 2.0]]]))[0]
    tensor([[0.0000, 0.2500, 4.0000],
            [0.2500, 0.0000, 2.2500],
            [4.0000, 2.2500, 0.0000]], dtype=torch.float64)
    """
    points = points.double()
    seen = points - points[:, :1]
    products = gram_of(seen)
    size = products.diagonal(dim1=1, dim2=2)
    out = (size[:, :, None] + size[:, None]).sub_(products, alpha=2)
    own = out.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    bound = CLOSE * (size + size.amax(-1, keepdim=True))
    sample, row = (out.amin(-1) <= bound).nonzero().unbind(1)
    own.fill_(0.0)
    if len(row):
        _recompute(out, points, size, sample, row)
    return out


def _recompute(out: Tensor, points: Tensor, size: Tensor, sample: Tensor, row: Tensor) -> None:
    """The close pairs of these rows, from differences, on both sides of the diagonal."""
    total = size[sample, row, None] + size[sample]
    place, other = (out[sample, row] <= CLOSE * total).nonzero().unbind(1)
    once = (other > row[place]).nonzero()[:, 0]
    for part in once.split(max(1, AT_ONCE // points.shape[2])):
        s, i, j = sample[place[part]], row[place[part]], other[part]
        out[s, i, j] = out[s, j, i] = (points[s, i] - points[s, j]).square().sum(-1)


def distance_margin(points: Tensor) -> float:
    """Relative difference between `squared_distances` of these points that means nothing."""
    return rounding_slack(points) + rounding_slack(points.new_empty(0, dtype=torch.float64)) / CLOSE
