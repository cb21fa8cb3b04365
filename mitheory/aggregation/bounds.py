"""Inequalities between aggregations as functions that return both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .over_words import kl, lse, maximum, real_words, renyi


class Bound(NamedTuple):
    """Both sides of an inequality, per visual token; it says lower <= upper."""

    lower: Tensor
    upper: Tensor
    name: str
    source: str

    def gap(self) -> Tensor:
        """upper - lower, nats: negative where the inequality fails."""
        return self.upper - self.lower


def kl_not_negative(pmi: Tensor, log_cond: Tensor) -> Bound:
    """0 <= Σ_j p PMI: global aggregation is a divergence.

    Source: Eqs. (54), (55).

    Examples
    --------
    Two words, q uniform, P = (3/4, 1/4): ¾ log 3/2 + ¼ log 1/2.

    >>> pmi, log_cond = torch.tensor([[1.5, 0.5]]).log(), torch.tensor([[0.75, 0.25]]).log()
    >>> kl_not_negative(pmi, log_cond).gap()
    tensor([0.1308])
    """
    upper = kl(pmi, log_cond)
    return Bound(torch.zeros_like(upper), upper, "0 <= kl", "Eq. (55)")


def max_below_lse(pmi: Tensor, log_cond: Tensor) -> Bound:
    """max_j PMI <= LSE_j PMI.

    Source: Eqs. (42), (46).

    Examples
    --------
    Two words, ratios 3/2 and 1/2: log 3/2 against log (3/2 + 1/2).

    >>> pmi, log_cond = torch.tensor([[1.5, 0.5]]).log(), torch.tensor([[0.75, 0.25]]).log()
    >>> max_below_lse(pmi, log_cond).gap()  # log 4/3
    tensor([0.2877])
    """
    return Bound(maximum(pmi, log_cond), lse(pmi, log_cond), "max <= lse", "Eq. (42)")


def lse_below_max_plus_log(pmi: Tensor, log_cond: Tensor) -> Bound:
    """LSE_j PMI <= max_j PMI + log N, N the number of words that are not padding.

    Source: Eq. (42).

    Examples
    --------
    Two words, ratios 3/2 and 1/2: log (3/2 + 1/2) against log 3/2 + log 2.

    >>> pmi, log_cond = torch.tensor([[1.5, 0.5]]).log(), torch.tensor([[0.75, 0.25]]).log()
    >>> lse_below_max_plus_log(pmi, log_cond).gap()  # log 3/2
    tensor([0.4055])
    """
    size = real_words(pmi, None).sum(-1).to(pmi.dtype)
    upper = maximum(pmi, log_cond) + size.log()
    return Bound(lse(pmi, log_cond), upper, "lse <= max + log N", "Eq. (42)")


def global_below_max(pmi: Tensor, log_cond: Tensor) -> Bound:
    """Σ_j p PMI <= max_j PMI: the maximum is an upper bound of the global score, D_1 <= D_inf.

    Departs from the paper: App. A.3 calls max aggregation a lower bound.

    Source: Eqs. (19), (21).

    Examples
    --------
    Two words, q uniform, P = (3/4, 1/4): ¾ log 3/2 + ¼ log 1/2 against log 3/2.

    >>> pmi, log_cond = torch.tensor([[1.5, 0.5]]).log(), torch.tensor([[0.75, 0.25]]).log()
    >>> global_below_max(pmi, log_cond).gap()  # ¼ log 3
    tensor([0.2747])
    """
    return Bound(kl(pmi, log_cond), maximum(pmi, log_cond), "kl <= max", "Eqs. (19), (21)")


def renyi_grows(pmi: Tensor, log_cond: Tensor, *, low: float, high: float) -> Bound:
    """D_low <= D_high for orders 1 <= low <= high.

    Source: vanerven2014renyi, Theorem 3.

    Examples
    --------
    Two words, q uniform, P = (3/4, 1/4): D_2 = log 5/4 against D_inf = log 3/2.

    >>> pmi, log_cond = torch.tensor([[1.5, 0.5]]).log(), torch.tensor([[0.75, 0.25]]).log()
    >>> renyi_grows(pmi, log_cond, low=2.0, high=float("inf")).gap()  # log 6/5
    tensor([0.1823])
    """
    name = f"D_{low:g} <= D_{high:g}"
    return Bound(renyi(low)(pmi, log_cond), renyi(high)(pmi, log_cond), name, "vanerven2014renyi")


def max_below_sum(pmi: Tensor, log_cond: Tensor) -> Bound:
    """max_j PMI <= Σ_j PMI, as the paper says. It does not follow, and fails in general.

    The left side is never negative; under a uniform marginal the right side is never positive, so
    that only rows equal to the marginal satisfy it. Both sides are returned to be looked at.

    Source: Eq. (48), which does not follow from Eq. (47).

    Examples
    --------
    Two words, q uniform, P = (3/4, 1/4): log 3/2 against log 3/4.

    >>> pmi = torch.tensor([[1.5, 0.5]]).log()
    >>> max_below_sum(pmi, torch.tensor([[0.75, 0.25]]).log()).gap()  # log 1/2
    tensor([-0.6931])
    """
    total = torch.where(real_words(pmi, None), pmi, 0.0).sum(-1)
    return Bound(maximum(pmi, log_cond), total, "max <= sum", "Eq. (48)")


BOUNDS: dict[str, Callable[[Tensor, Tensor], Bound]] = {
    "kl_not_negative": kl_not_negative,
    "max_below_lse": max_below_lse,
    "lse_below_max_plus_log": lse_below_max_plus_log,
    "global_below_max": global_below_max,
}
"""The bounds that hold; `max_below_sum`, which does not, is left out on purpose."""
