"""The largest PMI of every token with a word, without a matrix of PMI."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..distributions import row_products


def largest_pmi(rho: Tensor, temperature: float) -> Tensor:
    r"""max_j PMI(v_i; t_j) under the softmax and the uniform prior, without a matrix of PMI.

    .. math:: \log \max_j \frac{p(t_j \mid v_i)}{\frac1{N_V} \sum_k p(t_j \mid v_k)}

    One softmax and one logarithm per token. Logits are within 1/τ of 0, so that no probability is
    below e^(−2/τ) / N_T; where that is too small a number, this is taken in the log domain.

    Source: Eqs. (16)-(19).

    Parameters
    ----------
    rho : (..., n_v, n_t), cosines over temperature
    temperature : float > 0

    Returns
    -------
    (..., n_v), nats

    Examples
    --------
    >>> import torch
    >>> largest_pmi(torch.eye(2), 1.0)  # log(e / (e + 1) / 0.5)
    tensor([0.3799, 0.3799])
    """
    if _fits(temperature, rho.shape[-1], rho.dtype):
        conditional = rho.softmax(-1)
        return (conditional / conditional.mean(-2, keepdim=True)).amax(-1).log()
    log_cond = rho.log_softmax(-1)
    log_prior = -math.log(rho.shape[-2])
    return (log_cond - (log_cond + log_prior).logsumexp(-2, keepdim=True)).amax(-1)


def largest_pmi_of_rows(
    rows: Tensor, words: Tensor, temperature: float, *, norm: Tensor | None = None
) -> Tensor:
    r"""`largest_pmi` of rows over their norm with unit words; on a CPU without probabilities.

    With the weights :math:`e_{ij} = \exp(\rho_{ij})`, their sums :math:`s_i` over words, and
    :math:`m_j = \sum_k e_{kj} / s_k`, this is :math:`\log \max_j (e_{ij} / m_j) - \log s_i + \log
    N_V`: two matrix-vector products, and one pass for the largest.

    Source: Eqs. (16)-(19).

    Parameters
    ----------
    rows : (b, n_v, d)
    words : (b, n_t, d) of norm 1, or 0
    temperature : float > 0
    norm : (b, n_v) of the rows, where they are not of norm 1 (or 0) already

    Returns
    -------
    (b, n_v), nats

    Examples
    --------
    >>> rows = torch.tensor([[[2.0, 0.0], [0.0, 3.0]]])
    >>> largest_pmi_of_rows(rows, torch.eye(2)[None], 1.0, norm=torch.tensor([[2.0, 3.0]]))
    tensor([[0.3799, 0.3799]])
    """
    watched = rows.requires_grad or words.requires_grad
    if watched or not rows.is_cpu or not _fits(temperature, words.shape[1], rows.dtype):
        unit = rows if norm is None else rows / norm.unsqueeze(-1)
        return largest_pmi(row_products(unit, words) / temperature, temperature)
    scale = 1 / (temperature * math.log(2))
    found = [
        _of_sample(rows[s : s + 1], words[s : s + 1], None if norm is None else norm[s], scale)
        for s in range(len(rows))
    ]
    return found[0].unsqueeze(0) if len(found) == 1 else torch.stack(found)


def _of_sample(rows: Tensor, words: Tensor, norm: Tensor | None, scale: float) -> Tensor:
    """Of a batch of one, in memory of its own: where that begins changes how sums are rounded."""
    weights = row_products(rows, words)[0]
    if norm is None:
        weights *= scale
    else:
        weights *= norm.reciprocal().mul_(scale).unsqueeze(-1)
    weights.exp2_()
    n_v, n_t = weights.shape
    share = torch.mv(weights, weights.new_ones(n_t)).reciprocal_()
    mass = torch.mv(weights.T, share).mul_(1 / n_v)  # p(t_j)
    return weights.mul_(mass.reciprocal_()).amax(-1).mul_(share).log_()


def _fits(temperature: float, n_t: int, dtype: torch.dtype) -> bool:
    """Whether the least probability that logits within 1/τ of 0 can have is a normal number."""
    return -2 / temperature - math.log(n_t) - 1 > math.log(torch.finfo(dtype).tiny)
