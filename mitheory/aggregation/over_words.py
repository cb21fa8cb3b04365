"""From a row of PMI to one score per visual token.

With P_i = p(. given v_i) and q = p(.), the Rényi divergences D_α(P_i || q) hold both of the
paper's: `kl` is D_1 and `maximum` is D_inf. The plain `mean` is another thing.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from ..checks import lookup
from ..errors import ParameterError, ShapeError


class Aggregation(Protocol):
    """One score per visual token (..., n_v) from PMI and log-probabilities (..., n_v, n_x)."""

    def __call__(
        self,
        pmi: Tensor,
        log_cond: Tensor,
        *,
        log_prior: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor: ...


def real_words(pmi: Tensor, mask: Tensor | None) -> Tensor:
    """True at words that are not padding, (..., 1, n_x).

    Without a mask those are the words that some token does not exclude: a word of probability 0
    given every token is taken for padding, and has no PMI to average.

    Examples
    --------
    >>> real_words(torch.tensor([[0.4, -torch.inf], [-torch.inf, -torch.inf]]), None)
    tensor([[ True, False]])
    >>> real_words(torch.zeros(2, 2), torch.tensor([False, True]))
    tensor([[False,  True]])
    """
    if mask is None:
        return (pmi > -math.inf).any(-2, keepdim=True)
    if mask.shape[-1:] != pmi.shape[-1:]:
        raise ShapeError(f"mask: expected a last axis of {pmi.shape[-1]}, got {tuple(mask.shape)}")
    return mask.unsqueeze(-2)


def _hide(pmi: Tensor, mask: Tensor | None) -> Tensor:
    return pmi if mask is None else pmi.masked_fill(~real_words(pmi, mask), -math.inf)


def _check_pair(pmi: Tensor, log_cond: Tensor) -> None:
    if pmi.shape != log_cond.shape:
        raise ShapeError(
            f"pmi and log_cond: expected one shape, got {tuple(pmi.shape)} and "
            f"{tuple(log_cond.shape)}"
        )


def maximum(
    pmi: Tensor,
    log_cond: Tensor,
    *,
    log_prior: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """max_j PMI_ij, the Rényi divergence of infinite order.

    Source: Eqs. (19), (20).

    Parameters
    ----------
    pmi, log_cond : (..., n_v, n_x), nats
        Padding -inf in both.
    log_prior : ignored
    mask : (..., n_x) bool, optional
        True where a word is real; only needed where padding is not -inf.

    Returns
    -------
    (..., n_v), nats

    Examples
    --------
    >>> maximum(torch.tensor([[0.5, -1.0]]), torch.zeros(1, 2))
    tensor([0.5000])
    """
    return _hide(pmi, mask).amax(-1)


def kl(
    pmi: Tensor,
    log_cond: Tensor,
    *,
    log_prior: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Σ_j p(x_j given v_i) PMI_ij = KL(P_i || q) = D_1: global aggregation.

    A word of probability 0 adds nothing, though its PMI is -inf: the limit of p log p.

    Source: Eq. (21) with its underbrace; Eqs. (54), (55).

    Parameters
    ----------
    pmi, log_cond : (..., n_v, n_x), nats
    log_prior : ignored
    mask : (..., n_x) bool, optional

    Returns
    -------
    (..., n_v), nats

    Raises
    ------
    ShapeError
        If `pmi` and `log_cond` differ in shape.

    Examples
    --------
    >>> kl(torch.tensor([[2.0, 1.0]]).log(), torch.tensor([[0.5, 0.5]]).log())
    tensor([0.3466])
    """
    _check_pair(pmi, log_cond)
    weight = _hide(log_cond, mask).exp()
    return torch.where(weight > 0, weight * pmi, 0.0).sum(-1)


def joint(
    pmi: Tensor,
    log_cond: Tensor,
    *,
    log_prior: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Σ_j p(v_i, x_j) PMI_ij: Eq. (21) read literally, `kl` times the prior p(v_i).

    Under the uniform prior it ranks as `kl` does.

    Source: Eq. (21) without its underbrace.

    Parameters
    ----------
    pmi, log_cond : (..., n_v, n_x), nats
    log_prior : (..., n_v), nats
    mask : (..., n_x) bool, optional

    Returns
    -------
    (..., n_v), nats

    Raises
    ------
    ParameterError
        If there is no `log_prior`.

    Examples
    --------
    >>> half = torch.tensor([[0.5, 0.5]]).log()
    >>> joint(torch.tensor([[2.0, 1.0]]).log(), half, log_prior=torch.tensor([0.5]).log())
    tensor([0.1733])
    """
    if log_prior is None:
        raise ParameterError("log_prior: aggregation 'joint' weighs by p(v), which was not given")
    return kl(pmi, log_cond, mask=mask) * log_prior.exp()


def mean(
    pmi: Tensor,
    log_cond: Tensor,
    *,
    log_prior: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Plain mean of PMI over words, -KL(u || P_i) + const: prefers patches without preference.

    It is not Eq. (21), though "average" (Fig. 6a) may mean it. -inf where a word has probability 0.

    Source: Fig. 6a, "average".

    Parameters
    ----------
    pmi, log_cond : (..., n_v, n_x), nats
    log_prior : ignored
    mask : (..., n_x) bool, optional
        Without it a column that is -inf in `pmi` for all tokens is padding.

    Returns
    -------
    (..., n_v), nats

    Examples
    --------
    >>> mean(torch.tensor([[0.5, -1.0]]), torch.zeros(1, 2))
    tensor([-0.2500])
    """
    real = real_words(pmi, mask)
    total = torch.where(real, pmi, 0.0).sum(-1)
    return total / real.sum(-1).clamp(min=1).to(pmi.dtype)


def lse(
    pmi: Tensor,
    log_cond: Tensor,
    *,
    log_prior: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """log Σ_j exp(PMI_ij): the smooth upper approximation of max that App. A.3 starts from.

    Source: Eqs. (41), (44), (45).

    Parameters
    ----------
    pmi, log_cond : (..., n_v, n_x), nats
    log_prior : ignored
    mask : (..., n_x) bool, optional

    Returns
    -------
    (..., n_v), nats

    Examples
    --------
    >>> lse(torch.tensor([[2.0, 1.0]]).log(), torch.zeros(1, 2)).exp()
    tensor([3.])
    """
    return _hide(pmi, mask).logsumexp(-1)


def renyi(alpha: float) -> Aggregation:
    r"""The Rényi divergence of order α >= 1 as an aggregation.

    .. math:: D_\alpha(P_i\|q) = \frac{1}{\alpha-1}\log\sum_j P_{ij} e^{(\alpha-1)\mathrm{PMI}_{ij}}

    α = 1 is `kl`, α = inf is `maximum`; it grows with α.

    Source: renyi1961; vanerven2014renyi.

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
    order = float(alpha) - 1

    def divergence(
        pmi: Tensor,
        log_cond: Tensor,
        *,
        log_prior: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        _check_pair(pmi, log_cond)
        weight = _hide(log_cond, mask)
        exponent = (order * pmi).masked_fill(weight == -math.inf, 0.0)
        far = (weight + exponent).logsumexp(-1)
        # near order 1 the sum is 1 + something small, whose logarithm rounding would swamp
        near = (weight.exp() * torch.expm1(exponent.clamp(max=1))).sum(-1).log1p()
        return torch.where(exponent.abs().amax(-1) < 0.5, near, far) / order

    return divergence


AGGREGATIONS: dict[str, Aggregation] = {
    "max": maximum,
    "kl": kl,
    "joint": joint,
    "mean": mean,
    "lse": lse,
}
"""Every aggregation by name; the Rényi family is `renyi`, or "renyi:α" by `resolve_aggregation`."""


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
