"""From similarity to conditional probabilities, in the log domain.

A masked column has log-probability -inf and changes no real entry; what stands in a masked row
means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .masks import hide, outside
from .scaling import sinkhorn

ROUNDING_UNITS = 8
"""Similarities of a row that differ by no more than this many of its rounding units are equal."""


def softmax(
    similarity: Tensor, *, row_mask: Tensor | None = None, column_mask: Tensor | None = None
) -> Tensor:
    r"""Log of p(x_j given v_i) = softmax over j.

    With one column it is 0 everywhere, so that PMI is 0 and every patch ties.

    Source: Eq. (16).

    Parameters
    ----------
    similarity : (..., n_v, n_x)
    row_mask, column_mask : (..., n_v), (..., n_x) bool, optional

    Returns
    -------
    (..., n_v, n_x), nats
        Rows log-sum-exp to 0.

    Examples
    --------
    >>> softmax(torch.tensor([[0.0, 0.0]])).exp()
    tensor([[0.5000, 0.5000]])
    """
    return hide(similarity, None, column_mask).log_softmax(-1)


def minmax(
    similarity: Tensor, *, row_mask: Tensor | None = None, column_mask: Tensor | None = None
) -> Tensor:
    r"""Log of the two-stage MinMax conditional: rows mapped to [0, 1], then divided by their sum.

    It has an exact 0 (log -inf) in every row, is invariant to the temperature, and takes values in
    {0, 1} for two columns. Where the formula is 0/0 (one column, or a row that is constant up to
    rounding) the row is taken as uniform: nothing in it prefers any column. Entries within rounding
    of the row's minimum count as the minimum.

    Source: Eqs. (52), (53).

    Parameters
    ----------
    similarity : (..., n_v, n_x)
    row_mask, column_mask : (..., n_v), (..., n_x) bool, optional

    Returns
    -------
    (..., n_v, n_x), nats

    Examples
    --------
    >>> minmax(torch.tensor([[1.0, 2.0, 4.0], [5.0, 5.0, 5.0]])).exp()
    tensor([[0.0000, 0.2500, 0.7500],
            [0.3333, 0.3333, 0.3333]])
    """
    hidden = outside(similarity, None, column_mask)
    low = similarity.masked_fill(hidden, torch.inf).amin(-1, keepdim=True)
    high = similarity.masked_fill(hidden, -torch.inf).amax(-1, keepdim=True)
    slack = (
        ROUNDING_UNITS * torch.finfo(similarity.dtype).eps * torch.maximum(low.abs(), high.abs())
    )
    flat = high - low <= slack
    above = torch.where(similarity - low <= slack, 0.0, similarity - low)
    scaled = above / torch.where(flat, 1.0, high - low)
    weight = torch.where(flat, 1.0, scaled).masked_fill(hidden, 0.0)
    return weight.log() - weight.sum(-1, keepdim=True).log()


def joint_softmax(
    similarity: Tensor, *, row_mask: Tensor | None = None, column_mask: Tensor | None = None
) -> Tensor:
    """Log of a joint p(v_i, x_j) = softmax over all pairs; log-sum-exps to 0 over both axes.

    Its row marginal is the energy prior and its conditional is `softmax`.

    Source: Eq. (21), whose weights are a joint.

    Parameters
    ----------
    similarity : (..., n_v, n_x)
    row_mask, column_mask : (..., n_v), (..., n_x) bool, optional

    Returns
    -------
    (..., n_v, n_x), nats

    Examples
    --------
    >>> joint_softmax(torch.zeros(2, 2)).exp()
    tensor([[0.2500, 0.2500],
            [0.2500, 0.2500]])
    """
    hidden = hide(similarity, row_mask, column_mask)
    return hidden.flatten(-2).log_softmax(-1).view_as(hidden)


def softmax_over_vision(
    similarity: Tensor, *, row_mask: Tensor | None = None, column_mask: Tensor | None = None
) -> Tensor:
    """Log of p(v_i given x_j) = softmax over i: the other conditioning; words do not compete.

    Source: dong2026mmtok.

    Parameters
    ----------
    similarity : (..., n_v, n_x)
    row_mask, column_mask : (..., n_v), (..., n_x) bool, optional

    Returns
    -------
    (..., n_v, n_x), nats
        Columns log-sum-exp to 0; what stands in a masked column means nothing.

    Examples
    --------
    >>> softmax_over_vision(torch.zeros(4, 1)).exp().T
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    return hide(similarity, row_mask, None).log_softmax(-2)


class LogProbability(Protocol):
    """Log-probabilities (..., n_v, n_x) of a similarity of that shape."""

    def __call__(
        self,
        similarity: Tensor,
        /,
        *,
        row_mask: Tensor | None = None,
        column_mask: Tensor | None = None,
    ) -> Tensor: ...


@dataclass(frozen=True)
class Conditional:
    """A way from similarity to probability, and what is known about it.

    given : "vision" for p(x given v), rows normalized; "text" for p(v given x), columns normalized.
    own_prior : whether the joint comes with its own p(v), the energy prior.
    competes : whether words compete for a patch's probability.
    temperature_invariant : whether the temperature changes nothing.
    """

    name: str
    log_prob: LogProbability
    given: str = "vision"
    own_prior: bool = False
    competes: bool = True
    temperature_invariant: bool = False


CONDITIONALS: dict[str, Conditional] = {
    "softmax": Conditional("softmax", softmax),
    "minmax": Conditional("minmax", minmax, temperature_invariant=True),
    "joint": Conditional("joint", softmax, own_prior=True),
    "softmax_over_vision": Conditional(
        "softmax_over_vision", softmax_over_vision, given="text", competes=False
    ),
    "sinkhorn": Conditional("sinkhorn", sinkhorn),
}
"""Every conditional by name."""
