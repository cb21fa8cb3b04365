"""PMI of visual tokens with each other, by columns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ..checks import check_mask, check_matrix, check_temperature
from ..distributions import ROUNDING_UNITS, hide, outside, unit_rows
from ..errors import ParameterError
from ..priors import PriorContext, resolve_prior
from .pointwise import pmi
from .row_sums import half_products, is_resolved

SELF_CONDITIONALS = ("softmax", "minmax")
SELF_MARGINALS = ("uniform", "total_probability")
BLOCK = 512  # rows of V V^T that exist at a time, at most
AREA = 2**22  # entries of V V^T that exist at a time: beyond 8,192 tokens there are fewer rows


@dataclass(frozen=True, eq=False)
class SelfPMI:
    """PMI(v_i; v_j) that never builds the N x N matrix unless asked to.

    Every conditional offered is a function of the cosine and two numbers of its row, so that a
    column costs O(n_v d). `unit` : (..., n_v, d) unit rows; `shift`, `log_scale` : (..., n_v), the
    row's numbers; `log_marginal` : (..., n_v), log p(v_j); `cosine` : (..., n_v, n_v) if kept, only
    on and above the diagonal if `is_half`.
    """

    unit: Tensor
    temperature: float
    conditional: str
    shift: Tensor
    log_scale: Tensor
    log_marginal: Tensor
    self_loop: bool
    visual_mask: Tensor | None = None
    cosine: Tensor | None = None
    is_half: bool = False

    @cached_property
    def whole(self) -> Tensor | None:
        """All cosines (..., n_v, n_v), if they are kept."""
        if self.cosine is None or not self.is_half:
            return self.cosine
        return self.cosine.triu() + self.cosine.triu(1).mT

    def column(self, j: Tensor) -> Tensor:
        """PMI(v_i; v_j) for all i: (batch, n_v), with one j per sample, (batch,) int64."""
        chosen = self.unit.gather(1, j[:, None, None].expand(-1, 1, self.unit.shape[-1]))
        cosine = (self.unit @ chosen.transpose(1, 2)).squeeze(-1)  # (batch, n_v)
        log_cond = self._log_cond(cosine, self.shift, self.log_scale)
        if not self.self_loop:
            log_cond = log_cond.scatter(1, j[:, None], -math.inf)
        marginal = self.log_marginal.gather(1, j[:, None])
        column = pmi(log_cond.unsqueeze(-1), marginal).squeeze(-1)
        return hide(column.unsqueeze(-1), self.visual_mask, None).squeeze(-1)

    def log_cond(self, rows: slice = slice(None)) -> Tensor:
        """log p(v_j given v_i) of some rows: (..., rows, n_v), padded columns -inf."""
        cosine = _products(self.unit, rows, self.whole)
        out = self._log_cond(cosine, self.shift[..., rows, None], self.log_scale[..., rows, None])
        if not self.self_loop:
            out = out.masked_fill(_diagonal(out, rows), -math.inf)
        return hide(out, None, self.visual_mask)

    def matrix(self) -> Tensor:
        """The whole matrix (..., n_v, n_v), nats: for tests, figures and small n_v."""
        return hide(pmi(self.log_cond(), self.log_marginal), self.visual_mask, None)

    def log_degree(self) -> Tensor:
        """log D_i = log Σ_j exp(ρ_ij), (..., n_v): what the stationary prior needs."""
        if self.conditional != "softmax":
            raise ParameterError(
                f"log_degree: of the softmax conditional only, got {self.conditional!r}"
            )
        return self.log_scale

    def _log_cond(self, cosine: Tensor, shift: Tensor, log_scale: Tensor) -> Tensor:
        """log p(v_j given v_i) from the cosine and the numbers of row i."""
        if self.conditional == "softmax":
            return cosine / self.temperature - log_scale
        return _above(cosine, shift).log() - log_scale


def _above(cosine: Tensor, low: Tensor) -> Tensor:
    """cos - low, 0 within rounding: products of a column round otherwise than of a block."""
    slack = ROUNDING_UNITS * torch.finfo(cosine.dtype).eps
    return torch.where(cosine - low <= slack, 0.0, cosine - low)


def _diagonal(like: Tensor, rows: slice) -> Tensor:
    """True at (i, i) of a block of rows."""
    columns = torch.arange(like.shape[-1], device=like.device)
    return columns == columns[rows, None]


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
    keep_cosine: bool = False,
) -> SelfPMI:
    r"""PMI of visual tokens with each other, by columns: ``cos_ij / τ - lse_i - log p(v_j)``.

    Only row sums are computed beforehand, in blocks of rows.

    Source: Alg. 1, lines 6-9; Eqs. (16), (18), (50).

    Parameters
    ----------
    visual : (..., n_v, d)
    temperature : float > 0
    conditional : {"softmax", "minmax"}
    prior : a name of `PRIORS` or probabilities (..., n_v)
    grid : for the priors of position
    self_loop : bool
        Whether the diagonal cosine 1, the largest logit of its row, is in the denominator. The
        paper's Eq. (16) has it; without it PMI(v_i; v_i) is -inf.
    self_marginal : {"uniform", "total_probability"}
        "uniform": p(v_j) is the prior itself, Alg. 1 line 8. "total_probability": Eq. (50) on the
        same conditional. They agree only if the prior is stationary under it.
    visual_mask : (..., n_v) bool, optional
    zero_norm : {"error", "uninformative"}
    keep_cosine : bool
        Whether to keep the cosines, (..., n_v, n_v), of which the row sums are made.

    Returns
    -------
    SelfPMI

    Raises
    ------
    ParameterError
        If the temperature is not positive, or the conditional or the marginal is not among those.
    DTypeError, ShapeError, EmptyInputError, ZeroNormError
        If `visual` or its mask is malformed.
    UnknownNameError, MissingInputError, DistributionError
        If the prior is unknown, lacks its input, or is no distribution.

    Examples
    --------
    Two orthogonal tokens at τ = 1: p(v_1 given v_1) = e / (e + 1), against a marginal of 1/2.

    >>> self_pmi(torch.eye(2)[None], temperature=1.0).column(torch.tensor([0]))
    tensor([[ 0.3799, -0.6201]])
    """
    check_matrix("visual", visual, ndim=None)
    check_mask("visual_mask", visual_mask, visual.shape[:-1])
    unit = unit_rows("visual", visual, zero_norm=zero_norm, mask=visual_mask)
    return self_pmi_of_units(
        unit,
        temperature=temperature,
        conditional=conditional,
        prior=prior,
        grid=grid,
        self_loop=self_loop,
        self_marginal=self_marginal,
        visual_mask=visual_mask,
        keep_cosine=keep_cosine,
    )


def self_pmi_of_units(
    unit: Tensor,
    *,
    temperature: float,
    conditional: str,
    prior: str | Tensor,
    grid: tuple[int, ...] | None,
    self_loop: bool,
    self_marginal: str,
    visual_mask: Tensor | None = None,
    keep_cosine: bool = False,
) -> SelfPMI:
    """`self_pmi` of rows (..., n_v, d) that are checked and normalized already.

    On a CPU the softmax with self-loops takes half of the Gram matrix, N_V² d / 2 multiplications
    and N_V² / 2 exponentials; everything else takes it whole, in blocks of at most 512 rows. Memory
    is O(N_V) beyond a block, unless the cosines are kept.

    Source: Alg. 1, lines 6-9.

    Raises
    ------
    ParameterError, UnknownNameError, MissingInputError, DistributionError
        As `self_pmi`.

    Examples
    --------
    >>> self_pmi_of_units(
    ...     torch.eye(2)[None], temperature=1.0, conditional="softmax", prior="uniform", grid=None,
    ...     self_loop=True, self_marginal="uniform",
    ... ).column(torch.tensor([0]))
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
    n = unit.shape[-2]
    block = n if keep_cosine else max(1, min(BLOCK, AREA // n))
    blocks = [slice(i, i + block) for i in range(0, n, block)]
    shift = torch.zeros_like(unit[..., 0])
    plain = _is_plain(unit, temperature, conditional, self_loop, visual_mask)
    if plain:
        log_scale, cosine = half_products(unit, temperature, keep=keep_cosine)
    else:
        log_scale = torch.empty_like(shift)
        cosine = unit @ unit.transpose(-1, -2) if keep_cosine else None
        for rows in blocks:  # in place: small results kept between blocks fragment the heap
            shift[..., rows], log_scale[..., rows] = _row_numbers(
                unit, rows, temperature, conditional, self_loop, visual_mask, cosine
            )
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
        unit, temperature, conditional, shift, log_scale, log_prior, self_loop, visual_mask,
        cosine, is_half=plain,
    )  # fmt: skip
    if self_marginal == "uniform":
        return record
    total = torch.full_like(log_scale, -math.inf)
    for rows in blocks:
        part = (record.log_cond(rows) + log_prior[..., rows, None]).logsumexp(-2)
        total = torch.logaddexp(total, part)
    return replace(record, log_marginal=total)


def _is_plain(
    unit: Tensor,
    temperature: float,
    conditional: str,
    self_loop: bool,
    visual_mask: Tensor | None,
) -> bool:
    """Whether the row sums are those of a symmetric kernel with a diagonal of known size."""
    kernel = conditional == "softmax" and self_loop and visual_mask is None
    here = unit.is_cpu and not unit.requires_grad
    return kernel and here and is_resolved(temperature, unit.dtype)


def _products(unit: Tensor, rows: slice, kept: Tensor | None) -> Tensor:
    """Cosines (..., rows, n_v) of some tokens with all."""
    return unit[..., rows, :] @ unit.transpose(-1, -2) if kept is None else kept[..., rows, :]


def _row_numbers(
    unit: Tensor,
    rows: slice,
    temperature: float,
    conditional: str,
    self_loop: bool,
    visual_mask: Tensor | None,
    kept: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Shift and log scale of a block of rows."""
    cosine = _products(unit, rows, kept)
    if conditional == "softmax":
        logits = cosine / temperature
        if visual_mask is not None or not self_loop:
            logits = logits.masked_fill(_absent(logits, rows, self_loop, visual_mask), -math.inf)
        log_scale = logits.logsumexp(-1)
        return torch.zeros_like(log_scale), log_scale
    absent = _absent(cosine, rows, self_loop, visual_mask)
    low = cosine.masked_fill(absent, math.inf).amin(-1)
    total = _above(cosine, low.unsqueeze(-1)).masked_fill(absent, 0.0).sum(-1)
    flat = total == 0  # a constant row: uniform over its real columns, as `minmax` has it
    size = (~absent).sum(-1).to(total.dtype).clamp(min=1)
    return torch.where(flat, low - 1, low), torch.where(flat, size, total).log()


def _absent(like: Tensor, rows: slice, self_loop: bool, visual_mask: Tensor | None) -> Tensor:
    """True where a block's column is padding, or the row's own token without self-loops."""
    absent = outside(like, None, visual_mask)
    return absent if self_loop else absent | _diagonal(like, rows)
