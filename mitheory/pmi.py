"""Marginals and pointwise mutual information: Eqs. (17), (18), (50), in nats."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import check_temperature, lookup
from .distributions import CONDITIONALS, joint_softmax, similarity, unit_rows
from .errors import ParameterError, ShapeError
from .priors import PriorContext, resolve_prior

SELF_MARGINALS = ("uniform", "total_probability")
BLOCK = 512  # rows of V V^T that exist at a time


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

    Examples
    --------
    >>> log_cond = torch.tensor([[0.5, 0.5], [1.0, 0.0]]).log()
    >>> log_marginal(log_cond, torch.tensor([0.5, 0.5]).log()).exp()
    tensor([0.7500, 0.2500])
    """
    if log_prior.shape[-1] != log_cond.shape[-2]:
        raise ShapeError(
            f"log_prior: expected a last axis of {log_cond.shape[-2]}, got {tuple(log_prior.shape)}"
        )
    return (log_cond + log_prior.unsqueeze(-1)).logsumexp(-2)


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
        -inf where `log_cond` is; never NaN (a word of probability 0 everywhere has PMI -inf).

    Raises
    ------
    ShapeError
        If the column counts differ.

    Examples
    --------
    >>> pmi(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([0.25, 0.75]).log())
    tensor([[ 0.6931, -0.4055]])
    """
    if log_cond.shape[-1] != log_marginal.shape[-1]:
        raise ShapeError(
            f"log_cond and log_marginal: expected one number of columns, "
            f"got {log_cond.shape[-1]} and {log_marginal.shape[-1]}"
        )
    difference = log_cond - log_marginal.unsqueeze(-2)
    return difference.masked_fill(log_cond == -math.inf, -math.inf)


def centered_similarity(
    cosine: Tensor, *, row_mask: Tensor | None = None, column_mask: Tensor | None = None
) -> Tensor:
    r"""Double-centered cosine similarity: the limit of τ PMI as τ grows (E3).

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
    >>> centered_similarity(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    tensor([[ 0.2500, -0.2500],
            [-0.2500,  0.2500]])
    """
    weight = torch.ones_like(cosine)
    if row_mask is not None:
        weight = weight * row_mask.unsqueeze(-1)
    if column_mask is not None:
        weight = weight * column_mask.unsqueeze(-2)

    def mean(axes: tuple[int, ...]) -> Tensor:
        total = weight.sum(axes, keepdim=True).clamp(min=1)
        return (cosine * weight).sum(axes, keepdim=True) / total

    return (cosine - mean((-1,)) - mean((-2,)) + mean((-2, -1))) * weight


@dataclass(frozen=True)
class CrossPMI:
    """PMI of every visual with every text token, and the distributions it came from.

    pmi, log_cond : (..., n_v, n_t) nats, masked entries -inf. `log_cond` is p(t given v) under
    every conditional (for "softmax_over_vision" by Bayes with equally likely words), since it
    weighs the words in Eq. (21). log_prior : (..., n_v).
    """

    pmi: Tensor
    log_cond: Tensor
    log_prior: Tensor


def cross_pmi(
    visual: Tensor,
    text: Tensor,
    *,
    temperature: float,
    conditional: str = "softmax",
    prior: str | Tensor = "uniform",
    grid: tuple[int, ...] | None = None,
    log_degree: Tensor | None = None,
    visual_mask: Tensor | None = None,
    text_mask: Tensor | None = None,
    zero_norm: str = "error",
) -> CrossPMI:
    """PMI(v_i; t_j) of Eq. (18) under a conditional and a prior.

    Parameters
    ----------
    visual : (..., n_v, d)
    text : (..., n_t, d)
    temperature : float > 0
    conditional : a name of `CONDITIONALS`
        "joint" comes with its own prior and takes no other than "uniform" (which it ignores) or
        "energy" (which it is).
    prior : a name of `PRIORS`, or probabilities (..., n_v)
    grid : for the priors of position
    log_degree : (..., n_v), for the stationary prior; see `self_pmi`
    visual_mask, text_mask : (..., n_v), (..., n_t) bool, optional
    zero_norm : {"error", "uninformative"}

    Returns
    -------
    CrossPMI

    Raises
    ------
    ParameterError
        If "joint" is given a prior of its own.
    ShapeError, ZeroNormError, UnknownNameError, MissingInputError, DistributionError
    """
    rule = lookup(conditional, CONDITIONALS, "conditional")
    a = unit_rows("visual", visual, zero_norm=zero_norm, mask=visual_mask)
    b = unit_rows("text", text, zero_norm=zero_norm, mask=text_mask)
    rho = similarity(a, b, temperature=temperature, zero_norm="uninformative")
    context = PriorContext(
        n_v=visual.shape[-2],
        log_degree=log_degree,
        cross=rho,
        grid=grid,
        visual_mask=visual_mask,
        text_mask=text_mask,
        dtype=rho.dtype,
        device=rho.device,
    )
    if rule.own_prior and (isinstance(prior, Tensor) or prior not in ("uniform", "energy")):
        raise ParameterError(
            "prior: conditional 'joint' has its own, the energy prior; got another"
        )
    log_prior = resolve_prior("energy" if rule.own_prior else prior, context)
    log_prior = log_prior.expand(rho.shape[:-1])
    log_cond = rule.log_prob(rho, row_mask=visual_mask, column_mask=text_mask)
    if rule.given == "text":
        ratio = log_cond - log_prior.unsqueeze(-1)  # log p(v given t) / p(v)
        log_cond = log_cond.masked_fill(_outside(rho, visual_mask, None), 0.0)
        if text_mask is not None:
            log_cond = log_cond.masked_fill(~text_mask.unsqueeze(-2), -math.inf)
        log_cond = log_cond.log_softmax(-1)
    else:
        ratio = pmi(log_cond, log_marginal(log_cond, log_prior))
    outside = _outside(rho, visual_mask, text_mask)
    return CrossPMI(
        ratio.masked_fill(outside, -math.inf), log_cond.masked_fill(outside, -math.inf), log_prior
    )


def _outside(like: Tensor, row_mask: Tensor | None, column_mask: Tensor | None) -> Tensor:
    """True at padding."""
    outside = torch.zeros_like(like, dtype=torch.bool)
    if row_mask is not None:
        outside = outside | ~row_mask.unsqueeze(-1)
    if column_mask is not None:
        outside = outside | ~column_mask.unsqueeze(-2)
    return outside


@dataclass(frozen=True)
class SelfPMI:
    """PMI(v_i; v_j) that never builds the N x N matrix unless asked to.

    Every conditional offered is a function of the cosine and two numbers of its row, so that a
    column costs O(n_v d). `unit` : (..., n_v, d) unit rows; `shift`, `log_scale` : (..., n_v), the
    row's numbers; `log_marginal` : (..., n_v), log p(v_j).
    """

    unit: Tensor
    temperature: float
    conditional: str
    shift: Tensor
    log_scale: Tensor
    log_marginal: Tensor
    self_loop: bool
    visual_mask: Tensor | None = None

    def column(self, j: Tensor) -> Tensor:
        """PMI(v_i; v_j) for all i: (batch, n_v), with one j per sample, (batch,) int64."""
        chosen = self.unit.gather(1, j[:, None, None].expand(-1, 1, self.unit.shape[-1]))
        cosine = (self.unit @ chosen.transpose(1, 2)).squeeze(-1)  # (batch, n_v)
        log_cond = _self_log_cond(cosine, self.shift, self.log_scale, self)
        if not self.self_loop:
            log_cond = log_cond.scatter(1, j[:, None], -math.inf)
        return self._hide(log_cond - self.log_marginal.gather(1, j[:, None]))

    def log_cond(self, rows: slice = slice(None)) -> Tensor:
        """log p(v_j given v_i) of some rows: (..., rows, n_v), padding -inf."""
        cosine = self.unit[..., rows, :] @ self.unit.transpose(-1, -2)
        out = _self_log_cond(
            cosine, self.shift[..., rows, None], self.log_scale[..., rows, None], self
        )
        if not self.self_loop:
            out = out.masked_fill(_diagonal(out, rows), -math.inf)
        if self.visual_mask is not None:
            out = out.masked_fill(~self.visual_mask.unsqueeze(-2), -math.inf)
        return out

    def matrix(self) -> Tensor:
        """The whole matrix (..., n_v, n_v), nats: for tests, figures and small n_v."""
        out = pmi(self.log_cond(), self.log_marginal)
        return (
            out
            if self.visual_mask is None
            else out.masked_fill(~self.visual_mask.unsqueeze(-1), -math.inf)
        )

    def log_degree(self) -> Tensor:
        """log D_i = log Σ_j exp(ρ_ij), (..., n_v): what the stationary prior needs."""
        if self.conditional != "softmax":
            raise ParameterError(
                f"log_degree: of the softmax conditional only, got {self.conditional!r}"
            )
        return self.log_scale

    def _hide(self, x: Tensor) -> Tensor:
        return x if self.visual_mask is None else x.masked_fill(~self.visual_mask, -math.inf)


def _diagonal(like: Tensor, rows: slice) -> Tensor:
    """True at (i, i) of a block of rows."""
    n = like.shape[-1]
    return torch.eye(n, dtype=torch.bool, device=like.device)[rows]


def _self_log_cond(cosine: Tensor, shift: Tensor, log_scale: Tensor, of: SelfPMI) -> Tensor:
    """log p(v_j given v_i) from the cosine and the numbers of row i."""
    if of.conditional == "softmax":
        return cosine / of.temperature - log_scale
    # minmax: (cos - min) / Σ(cos - min); rounding may leave cos a hair below its own minimum
    return (cosine - shift).clamp(min=0).log() - log_scale


SELF_CONDITIONALS = ("softmax", "minmax")


def self_pmi(
    visual: Tensor,
    *,
    temperature: float,
    conditional: str = "softmax",
    prior: str | Tensor = "uniform",
    grid: tuple[int, ...] | None = None,
    self_loop: bool = True,
    self_marginal: str = "uniform",
    visual_mask: Tensor | None = None,
    zero_norm: str = "error",
) -> SelfPMI:
    r"""PMI of visual tokens with each other, by columns: ``cos_ij / τ - lse_i - log p(v_j)``.

    Only row sums are computed beforehand, in blocks of rows.

    Parameters
    ----------
    visual : (..., n_v, d)
    temperature : float > 0
    conditional : {"softmax", "minmax"}
    prior : a name of `PRIORS` or probabilities (..., n_v)
    grid : for the priors of position
    self_loop : bool
        Whether the diagonal cosine 1, the largest logit of its row, is in the denominator (E5). The
        paper's Eq. (16) has it; without it PMI(v_i; v_i) is -inf.
    self_marginal : {"uniform", "total_probability"}
        "uniform": p(v_j) is the prior itself, Alg. 1 line 8. "total_probability": Eq. (50) on the
        same conditional. They agree only if the prior is stationary under it (D1).
    visual_mask : (..., n_v) bool, optional
    zero_norm : {"error", "uninformative"}

    Returns
    -------
    SelfPMI

    Raises
    ------
    ParameterError, ZeroNormError, UnknownNameError, MissingInputError, DistributionError

    Examples
    --------
    Two orthogonal tokens at τ = 1: p(v_1 given v_1) = e / (e + 1), against a marginal of 1/2.

    >>> self_pmi(torch.eye(2)[None], temperature=1.0).column(torch.tensor([0]))
    tensor([[ 0.3799, -0.6201]])
    """
    if conditional not in SELF_CONDITIONALS:
        raise ParameterError(
            f"conditional: expected one of {list(SELF_CONDITIONALS)} between visual tokens, "
            f"got {conditional!r}"
        )
    if self_marginal not in SELF_MARGINALS:
        raise ParameterError(
            f"self_marginal: expected one of {list(SELF_MARGINALS)}, got {self_marginal!r}"
        )
    check_temperature(temperature)
    unit = unit_rows("visual", visual, zero_norm=zero_norm, mask=visual_mask)
    blocks = [
        _row_numbers(unit, slice(i, i + BLOCK), temperature, conditional, self_loop, visual_mask)
        for i in range(0, unit.shape[-2], BLOCK)
    ]
    shift, log_scale = (torch.cat(parts, -1) for parts in zip(*blocks, strict=True))
    context = PriorContext(
        n_v=unit.shape[-2],
        log_degree=log_scale if conditional == "softmax" else None,
        grid=grid,
        visual_mask=visual_mask,
        dtype=unit.dtype,
        device=unit.device,
    )
    log_prior = resolve_prior(prior, context).expand(unit.shape[:-1])
    record = SelfPMI(
        unit, temperature, conditional, shift, log_scale, log_prior, self_loop, visual_mask
    )
    if self_marginal == "uniform":
        return record
    parts = [
        record.log_cond(rows) + log_prior[..., rows, None]
        for rows in (slice(i, i + BLOCK) for i in range(0, unit.shape[-2], BLOCK))
    ]
    total = torch.stack([part.logsumexp(-2) for part in parts]).logsumexp(0)
    return SelfPMI(unit, temperature, conditional, shift, log_scale, total, self_loop, visual_mask)


def _row_numbers(
    unit: Tensor,
    rows: slice,
    temperature: float,
    conditional: str,
    self_loop: bool,
    visual_mask: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Shift and log scale of a block of rows."""
    cosine = unit[..., rows, :] @ unit.transpose(-1, -2)  # (..., rows, n_v)
    out = torch.zeros_like(cosine, dtype=torch.bool)
    if visual_mask is not None:
        out = out | ~visual_mask.unsqueeze(-2)
    if not self_loop:
        out = out | _diagonal(cosine, rows)
    if conditional == "softmax":
        log_scale = (cosine / temperature).masked_fill(out, -math.inf).logsumexp(-1)
        return torch.zeros_like(log_scale), log_scale
    low = cosine.masked_fill(out, math.inf).amin(-1)
    total = (cosine - low.unsqueeze(-1)).masked_fill(out, 0.0).sum(-1)
    flat = ~(total > 0)  # constant row: uniform over its real columns, as `minmax` has it
    size = (~out).sum(-1).to(total.dtype)
    return (
        torch.where(flat, low - 1, low),
        torch.where(flat, size.clamp(min=1), total).log(),
    )


def joint_pmi(similarity: Tensor) -> Tensor:
    """PMI of the joint softmax by definition, log p(v, x) - log p(v) - log p(x): a slow twin."""
    joint = joint_softmax(similarity)
    return joint - joint.logsumexp(-1, keepdim=True) - joint.logsumexp(-2, keepdim=True)
