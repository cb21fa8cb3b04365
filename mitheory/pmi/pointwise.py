"""Marginals and pointwise mutual information of a conditional and a prior, in nats."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..checks import check_log_distribution
from ..distributions import joint_softmax, outside
from ..errors import ShapeError


def log_marginal(log_cond: Tensor, log_prior: Tensor) -> Tensor:
    r"""Log of the total probability p(x_j) = Σ_i p(v_i) p(x_j given v_i).

    Source: Eqs. (17), (50).

    Parameters
    ----------
    log_cond : (..., n_v, n_x), nats
    log_prior : (..., n_v), nats

    Returns
    -------
    (..., n_x), nats

    Raises
    ------
    ShapeError
        If the prior's last axis is not n_v.
    DistributionError
        If the prior does not log-sum-exp to 0, as when probabilities are given.

    Examples
    --------
    >>> import torch
    >>> log_cond = torch.tensor([[0.5, 0.5], [1.0, 0.0]]).log()
    >>> log_marginal(log_cond, torch.tensor([0.5, 0.5]).log()).exp()
    tensor([0.7500, 0.2500])
    """
    if log_prior.shape[-1] != log_cond.shape[-2]:
        raise ShapeError(
            f"log_prior: expected a last axis of {log_cond.shape[-2]}, got {tuple(log_prior.shape)}"
        )
    check_log_distribution("log_prior", log_prior)
    joint = log_cond + log_prior.unsqueeze(-1)
    impossible = (log_prior == -math.inf).unsqueeze(-1)  # its conditional may be anything
    if bool(impossible.any()):
        joint = joint.masked_fill(impossible, -math.inf)
    return joint.logsumexp(-2)


def pmi(log_cond: Tensor, log_marginal: Tensor) -> Tensor:
    r"""Pointwise mutual information of each visual token with each text token.

    .. math:: \mathrm{PMI}_{ij} = \log p(x_j \mid v_i) - \log p(x_j)

    Source: Eq. (18).

    Parameters
    ----------
    log_cond : (..., n_v, n_x), nats
        -inf allowed.
    log_marginal : (..., n_x), nats

    Returns
    -------
    (..., n_v, n_x), nats
        -inf where `log_cond` is; never NaN (a word of probability 0 everywhere has PMI -inf). +inf
        where only tokens of prior 0 have the word.

    Raises
    ------
    ShapeError
        If the column counts differ.

    Examples
    --------
    >>> import torch
    >>> pmi(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([0.25, 0.75]).log())
    tensor([[ 0.6931, -0.4055]])
    """
    if log_cond.shape[-1] != log_marginal.shape[-1]:
        raise ShapeError(
            f"log_cond and log_marginal: expected one number of columns, "
            f"got {log_cond.shape[-1]} and {log_marginal.shape[-1]}"
        )
    difference = log_cond - log_marginal.unsqueeze(-2)
    if bool(torch.isfinite(log_marginal).all()):
        return difference
    return difference.masked_fill(log_cond == -math.inf, -math.inf)


def centered_similarity(
    cosine: Tensor, *, row_mask: Tensor | None = None, column_mask: Tensor | None = None
) -> Tensor:
    r"""Double-centered cosine similarity: the limit of τ PMI as τ grows.

    .. math:: s_{ij} - \bar s_{i\cdot} - \bar s_{\cdot j} + \bar s_{\cdot\cdot}

    Parameters
    ----------
    cosine : (..., n_v, n_x)
    row_mask, column_mask : (..., n_v), (..., n_x) bool, optional

    Returns
    -------
    (..., n_v, n_x)
        Rows and columns of real entries average to 0; masked entries are 0.

    Examples
    --------
    >>> import torch
    >>> centered_similarity(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    tensor([[ 0.2500, -0.2500],
            [-0.2500,  0.2500]])
    """
    if row_mask is None and column_mask is None:
        means = [cosine.mean(axes, keepdim=True) for axes in ((-1,), (-2,), (-2, -1))]
        return cosine - means[0] - means[1] + means[2]
    hidden = outside(cosine, row_mask, column_mask)
    entries = cosine.masked_fill(hidden, 0.0)

    def mean(axes: tuple[int, ...]) -> Tensor:
        count = (~hidden).sum(axes, keepdim=True).clamp(min=1)
        return entries.sum(axes, keepdim=True) / count

    centered = entries - mean((-1,)) - mean((-2,)) + mean((-2, -1))
    return centered.masked_fill(hidden, 0.0)


def joint_pmi(similarity: Tensor) -> Tensor:
    r"""PMI of the joint softmax by its definition: softmax PMI under the energy prior.

    .. math:: \log p(v_i, x_j) - \log p(v_i) - \log p(x_j)

    Source: Eq. (18), first form.

    Parameters
    ----------
    similarity : (..., n_v, n_x)

    Returns
    -------
    (..., n_v, n_x), nats

    Examples
    --------
    >>> import torch
    >>> joint_pmi(torch.zeros(2, 3)).abs().max() < 1e-6
    tensor(True)
    """
    joint = joint_softmax(similarity)
    return joint - joint.logsumexp(-1, keepdim=True) - joint.logsumexp(-2, keepdim=True)
