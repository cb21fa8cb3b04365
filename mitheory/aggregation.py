"""From a row of PMI to one score per visual token: Eqs. (19)-(21) and what lies between them.

With P_i = p(. given v_i) and q = p(.), every aggregation but the plain mean is a Rényi divergence
D_α(P_i || q) or a bound of one: kl = D_1, max = D_inf, and D_inf <= lse <= D_inf + log N (C2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .checks import lookup
from .errors import ParameterError

Aggregation = Callable[..., Tensor]


def _weighted(weight: Tensor, value: Tensor) -> Tensor:
    """Σ_j weight value with 0 · (-inf) = 0, the limit of p log p."""
    return torch.where(weight > 0, weight * value, torch.zeros_like(value)).sum(-1)


def maximum(pmi: Tensor, log_cond: Tensor, *, log_prior: Tensor | None = None) -> Tensor:
    """max_j PMI_ij: the Rényi divergence of infinite order ("pivot word").

    Source: Eqs. (19), (20).

    Parameters
    ----------
    pmi, log_cond : (..., n_v, n_x), nats
        Padding -inf in both.
    log_prior : ignored

    Returns
    -------
    (..., n_v), nats
    """
    return pmi.amax(-1)


def kl(pmi: Tensor, log_cond: Tensor, *, log_prior: Tensor | None = None) -> Tensor:
    """Σ_j p(x_j given v_i) PMI_ij = KL(P_i || q) = D_1: global aggregation.

    Source: Eq. (21) with its underbrace, Eqs. (54), (55).

    Parameters
    ----------
    pmi, log_cond : (..., n_v, n_x), nats
    log_prior : ignored

    Returns
    -------
    (..., n_v), nats
    """
    return _weighted(log_cond.exp(), pmi)


def joint(pmi: Tensor, log_cond: Tensor, *, log_prior: Tensor | None = None) -> Tensor:
    """Σ_j p(v_i, x_j) PMI_ij: Eq. (21) read literally, `kl` times the prior p(v_i) (C4).

    Under the uniform prior it ranks as `kl` does.

    Source: Eq. (21) without its underbrace.

    Parameters
    ----------
    pmi, log_cond : (..., n_v, n_x), nats
    log_prior : (..., n_v), nats

    Returns
    -------
    (..., n_v), nats

    Raises
    ------
    ParameterError
        If there is no `log_prior`.
    """
    if log_prior is None:
        raise ParameterError("log_prior: aggregation 'joint' weighs by p(v), which was not given")
    return kl(pmi, log_cond) * log_prior.exp()


def mean(pmi: Tensor, log_cond: Tensor, *, log_prior: Tensor | None = None) -> Tensor:
    """Plain mean of PMI over words, -KL(u || P_i) + const: prefers patches without preference (C5).

    Fig. 6a's "average" may mean this; it is not Eq. (21). -inf where any word has probability 0.

    Parameters
    ----------
    pmi, log_cond : (..., n_v, n_x), nats
        A column that is -inf in `pmi` for all tokens is padding.
    log_prior : ignored

    Returns
    -------
    (..., n_v), nats
    """
    real = (pmi > -math.inf).any(-2, keepdim=True)
    total = torch.where(real, pmi, torch.zeros_like(pmi)).sum(-1)
    return total / real.sum(-1).clamp(min=1).to(pmi.dtype)


def lse(pmi: Tensor, log_cond: Tensor, *, log_prior: Tensor | None = None) -> Tensor:
    """log Σ_j exp(PMI_ij): the smooth upper approximation of max that App. A.3 starts from.

    Source: Eqs. (41), (45).

    Parameters
    ----------
    pmi, log_cond : (..., n_v, n_x), nats
    log_prior : ignored

    Returns
    -------
    (..., n_v), nats
    """
    return pmi.logsumexp(-1)


def renyi(alpha: float) -> Aggregation:
    r"""The Rényi divergence of order α >= 1 as an aggregation.

    .. math:: D_\alpha(P_i\|q) = \frac{1}{\alpha-1}\log\sum_j P_{ij} e^{(\alpha-1)\mathrm{PMI}_{ij}}

    α = 1 is `kl`, α = inf is `maximum`; it grows with α. Source: bib key vanerven2014renyi.

    Parameters
    ----------
    alpha : float >= 1

    Returns
    -------
    aggregation
        Called as the others: (pmi, log_cond) -> (..., n_v), nats.

    Raises
    ------
    ParameterError
        If α is below 1 or no number.

    Examples
    --------
    >>> p, q = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    >>> renyi(2.0)(p - q, p)  # log(0.25 / 0.25 + 0.25 / 0.75)
    tensor([0.2877])
    """
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not alpha >= 1:
        raise ParameterError(f"alpha: expected a number >= 1, got {alpha!r}")
    if alpha == 1:
        return kl
    if alpha == math.inf:
        return maximum

    def divergence(pmi: Tensor, log_cond: Tensor, *, log_prior: Tensor | None = None) -> Tensor:
        term = log_cond + (alpha - 1) * pmi
        return term.masked_fill(log_cond == -math.inf, -math.inf).logsumexp(-1) / (alpha - 1)

    return divergence


AGGREGATIONS: dict[str, Aggregation] = {
    "max": maximum,
    "kl": kl,
    "joint": joint,
    "mean": mean,
    "lse": lse,
}


def resolve_aggregation(name: str) -> Aggregation:
    """An aggregation by name; "renyi:2" is `renyi(2)`.

    Raises
    ------
    UnknownNameError
        If the name is not known.
    ParameterError
        If the order is not a number >= 1.

    Examples
    --------
    >>> resolve_aggregation("renyi:inf") is maximum
    True
    """
    family, _, order = str(name).partition(":")
    if family != "renyi":
        return lookup(name, AGGREGATIONS | {"renyi:<alpha>": maximum}, "aggregation")
    try:
        alpha = float(order)
    except ValueError:
        raise ParameterError(f"aggregation: expected renyi:<number >= 1>, got {name!r}") from None
    return renyi(alpha)


class Bound(NamedTuple):
    """Both sides of an inequality, per visual token; it says lower <= upper."""

    lower: Tensor
    upper: Tensor
    name: str
    source: str

    def gap(self) -> Tensor:
        """upper - lower, nats: negative where the inequality fails."""
        return self.upper - self.lower


def max_below_lse(pmi: Tensor, log_cond: Tensor) -> Bound:
    """max_j PMI <= LSE_j PMI. Source: Eqs. (42), (46)."""
    return Bound(maximum(pmi, log_cond), lse(pmi, log_cond), "max <= lse", "Eq. (42)")


def lse_below_max_plus_log(pmi: Tensor, log_cond: Tensor) -> Bound:
    """LSE_j PMI <= max_j PMI + log N, N the number of real words. Source: Eq. (42)."""
    size = (pmi > -math.inf).any(-2).sum(-1, keepdim=True).to(pmi.dtype)
    upper = maximum(pmi, log_cond) + size.log()
    return Bound(lse(pmi, log_cond), upper, "lse <= max + log N", "Eq. (42)")


def global_below_max(pmi: Tensor, log_cond: Tensor) -> Bound:
    """Σ_j p PMI <= max_j PMI: how Eq. (21) relates to Eq. (19), the reverse of App. A.3 (C2)."""
    return Bound(kl(pmi, log_cond), maximum(pmi, log_cond), "kl <= max", "Eqs. (19), (21)")


def renyi_grows(pmi: Tensor, log_cond: Tensor, *, low: float, high: float) -> Bound:
    """D_low <= D_high for orders 1 <= low <= high. Source: bib key vanerven2014renyi, Theorem 3."""
    return Bound(
        renyi(low)(pmi, log_cond), renyi(high)(pmi, log_cond), f"D_{low:g} <= D_{high:g}", "C2"
    )


def max_below_sum(pmi: Tensor, log_cond: Tensor) -> Bound:
    """max_j PMI <= Σ_j PMI, as Eq. (48) says. REFUTED: it does not follow from Eq. (47) and fails
    whenever q is uniform and a row is not (C1). Both sides are returned to be looked at."""
    real = (pmi > -math.inf).any(-2, keepdim=True)
    total = torch.where(real, pmi, torch.zeros_like(pmi)).sum(-1)
    return Bound(maximum(pmi, log_cond), total, "max <= sum", "Eq. (48)")


BOUNDS: dict[str, Callable[[Tensor, Tensor], Bound]] = {
    "max_below_lse": max_below_lse,
    "lse_below_max_plus_log": lse_below_max_plus_log,
    "global_below_max": global_below_max,
}
"""The bounds that hold; `max_below_sum`, which does not, is left out on purpose."""
