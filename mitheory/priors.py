"""Priors p(v) over visual tokens: what Eq. (17) averages over and App. A.4 leaves open.

Each takes a `PriorContext` and returns log-probabilities (..., n_v); masked tokens have -inf.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import lookup
from .errors import DistributionError, DTypeError, MissingInputError, ShapeError


@dataclass(frozen=True)
class PriorContext:
    """What a prior may be computed from; which of it is needed depends on the prior.

    log_degree : (..., n_v), log of D_i = Σ_j exp(ρ_ij), the vision-vision kernel (`stationary`).
    cross : (..., n_v, n_t), vision-text similarity over temperature (`energy`).
    grid : (rows, cols[, frames]), for the priors of position.
    """

    n_v: int
    log_degree: Tensor | None = None
    cross: Tensor | None = None
    grid: tuple[int, ...] | None = None
    visual_mask: Tensor | None = None
    text_mask: Tensor | None = None
    dtype: torch.dtype = torch.float32
    device: torch.device | str = "cpu"


def _normalize(log_weight: Tensor, mask: Tensor | None) -> Tensor:
    hidden = log_weight if mask is None else log_weight.masked_fill(~mask, -torch.inf)
    return hidden.log_softmax(-1)


def uniform(context: PriorContext) -> Tensor:
    """Every token alike, 1 / n_v.

    Source: Alg. 1, line 8; App. A.4; Eq. (51).

    Examples
    --------
    >>> uniform(PriorContext(n_v=4)).exp()
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    shape = (context.n_v,) if context.visual_mask is None else context.visual_mask.shape
    zeros = torch.zeros(shape, dtype=context.dtype, device=context.device)
    return _normalize(zeros, context.visual_mask)


def stationary(context: PriorContext) -> Tensor:
    """The self-consistent prior π_i = D_i / ΣD, stationary under p(v_j given v_i).

    With it p(v_i) p(v_j given v_i) is symmetric, and so is PMI. It needs the row sums of the kernel
    and not the kernel.

    Source: the fixed point of Eq. (50) between visual tokens.

    Raises
    ------
    MissingInputError
        If the context has no `log_degree`.
    DistributionError
        If no token has a neighbor: a single one without self-loop.

    Examples
    --------
    >>> stationary(PriorContext(n_v=2, log_degree=torch.tensor([3.0, 1.0]).log())).exp()
    tensor([0.7500, 0.2500])
    """
    log_degree = _need(context.log_degree, "stationary", "log_degree")
    prior = _normalize(log_degree, context.visual_mask)
    if bool(torch.isnan(prior).any()):
        raise DistributionError("log_degree: expected a token of positive degree, got none")
    return prior


def energy(context: PriorContext) -> Tensor:
    """p(v_i) ∝ Σ_j exp(ρ_ij) over the prompt's words: the row marginal of the joint softmax.

    Source: the row marginal of the joint in Eq. (21).

    Raises
    ------
    MissingInputError
        If the context has no `cross`.

    Examples
    --------
    >>> energy(PriorContext(n_v=2, cross=torch.tensor([[1.0, 2.0], [3.0, 0.0]]).log())).exp()
    tensor([0.5000, 0.5000])
    """
    cross = _need(context.cross, "energy", "cross")
    if context.text_mask is not None:
        cross = cross.masked_fill(~context.text_mask.unsqueeze(-2), -torch.inf)
    return _normalize(cross.logsumexp(-1), context.visual_mask)


def _need(x: Tensor | None, prior: str, field: str) -> Tensor:
    if x is None:
        raise MissingInputError(f"prior {prior!r} needs {field!r}, which was not given")
    return x


def _at_points(context: PriorContext, name: str, points: tuple[float, ...]) -> Tensor:
    """Equal mixture of Gaussians at the crossings of `points` (fractions of height and of width).

    The standard deviation is a twelfth of the side: at a sixth two thirds merge into one peak.
    """
    if context.grid is None:
        raise MissingInputError(f"prior {name!r} needs 'grid', which was not given")
    if len(context.grid) not in (2, 3) or min(context.grid) < 1:
        raise ShapeError(f"grid: expected (rows, cols[, frames]), got {context.grid}")
    rows, columns = context.grid[:2]
    frames = math.prod(context.grid[2:])
    if rows * columns * frames != context.n_v:
        raise ShapeError(f"grid: expected a product of n_v = {context.n_v}, got {context.grid}")
    axes = [(torch.arange(n, dtype=context.dtype) + 0.5) / n for n in (rows, columns)]
    rows_bump, columns_bump = (
        torch.stack([torch.exp(-0.5 * ((a - p) * 12) ** 2) for p in points]).sum(0) for a in axes
    )
    frame = torch.outer(rows_bump, columns_bump).flatten().log().repeat(frames)  # frames outermost
    weight = frame.to(context.device)
    if context.visual_mask is not None:
        weight = weight.expand(context.visual_mask.shape)
    return _normalize(weight, context.visual_mask)


def center_biased(context: PriorContext) -> Tensor:
    """A Gaussian at the center of the picture. Needs `grid`.

    Source: App. A.4, "predefined spatial heuristics".

    Examples
    --------
    >>> center_biased(PriorContext(n_v=9, grid=(3, 3))).argmax()
    tensor(4)
    """
    return _at_points(context, "center_biased", (0.5,))


def rule_of_thirds(context: PriorContext) -> Tensor:
    """Gaussians at the four crossings of the thirds. Source: App. A.4. Needs `grid`.

    Examples
    --------
    >>> log_prior = rule_of_thirds(PriorContext(n_v=64, grid=(8, 8)))
    >>> log_prior.topk(4).indices.sort().values  # rows and columns 2 and 5
    tensor([18, 21, 42, 45])
    """
    return _at_points(context, "rule_of_thirds", (1 / 3, 2 / 3))


def golden_ratio(context: PriorContext) -> Tensor:
    """Gaussians at the four crossings of the golden sections. Needs `grid`.

    Source: App. A.4, "Golden Ratio".

    Examples
    --------
    >>> log_prior = golden_ratio(PriorContext(n_v=64, grid=(8, 8)))
    >>> log_prior.topk(4).indices.sort().values  # rows and columns 3 and 4
    tensor([27, 28, 35, 36])
    """
    section = (math.sqrt(5) - 1) / 2
    return _at_points(context, "golden_ratio", (1 - section, section))


def count_positions(positions: Tensor, n_v: int) -> Tensor:
    """How often each token's place occurs among raster indices, for `empirical`.

    Parameters
    ----------
    positions : (n,) int64
        Places of relevant tokens in a held-out split.
    n_v : int

    Returns
    -------
    (n_v,) float64

    Raises
    ------
    DTypeError, ShapeError
        If they are not whole numbers within 0 .. n_v - 1, in one axis.

    Examples
    --------
    >>> count_positions(torch.tensor([0, 2, 2]), 4)
    tensor([1., 0., 2., 0.], dtype=torch.float64)
    """
    if not isinstance(positions, Tensor) or positions.dtype != torch.int64:
        came = positions.dtype if isinstance(positions, Tensor) else type(positions).__name__
        raise DTypeError(f"positions: expected an int64 tensor, got {came}")
    if positions.ndim != 1 or bool(((positions < 0) | (positions >= n_v)).any()):
        raise ShapeError(f"positions: expected one axis of indices in 0 .. {n_v - 1}, got others")
    return torch.bincount(positions, minlength=n_v).double()


def empirical(counts: Tensor, *, smoothing: float = 1.0) -> Tensor:
    """Probability of each place from how often it was relevant on a held-out split.

    Give it as an explicit prior. Never fit it on the split it is used on.

    Source: App. A.4, "an estimator from the validation set".

    Parameters
    ----------
    counts : (n_v,) non-negative
        Such as `count_positions` makes.
    smoothing : float
        Added to every count; with 0 a place never seen has probability 0.

    Returns
    -------
    (n_v,) probabilities

    Raises
    ------
    DistributionError
        If a count is negative or not finite, or all are zero and nothing is added.

    Examples
    --------
    >>> empirical(torch.tensor([3.0, 0.0]), smoothing=1.0)
    tensor([0.8000, 0.2000])
    """
    total = counts + smoothing
    usable = bool(torch.isfinite(total).all()) and not bool((counts < 0).any()) and smoothing >= 0
    if not usable or not bool(total.sum() > 0):
        raise DistributionError(
            "counts: expected non-negative counts, not all zero after smoothing"
        )
    return total / total.sum()


PRIORS: dict[str, Callable[[PriorContext], Tensor]] = {
    "uniform": uniform,
    "stationary": stationary,
    "energy": energy,
    "center_biased": center_biased,
    "rule_of_thirds": rule_of_thirds,
    "golden_ratio": golden_ratio,
}


def explicit(prior: Tensor, context: PriorContext) -> Tensor:
    """Log of a prior given as probabilities (..., n_v), checked.

    Raises
    ------
    ShapeError
        If its last axis is not n_v.
    DistributionError
        If it is negative, not finite, or does not sum to 1.

    Examples
    --------
    >>> explicit(torch.tensor([0.75, 0.25]), PriorContext(n_v=2)).exp()
    tensor([0.7500, 0.2500])
    """
    if prior.shape[-1:] != (context.n_v,):
        raise ShapeError(f"prior: expected a last axis of {context.n_v}, got {tuple(prior.shape)}")
    p = prior.to(context.device, context.dtype)
    if context.visual_mask is not None:
        p = p.masked_fill(~context.visual_mask, 0.0)
    off = (p.sum(-1) - 1).abs().max()
    if not bool((p >= 0).all()) or not bool(off <= 1e-4):
        raise DistributionError(
            f"prior: expected probabilities that sum to 1, got a sum off by {float(off):g}"
            f" and a minimum of {float(p.min()):g}"
        )
    return _normalize(p.log(), context.visual_mask)


def resolve_prior(prior: str | Tensor, context: PriorContext) -> Tensor:
    """Log prior of a name in `PRIORS` or of an explicit tensor of probabilities.

    Examples
    --------
    >>> resolve_prior("uniform", PriorContext(n_v=2)).exp()
    tensor([0.5000, 0.5000])
    >>> resolve_prior(torch.tensor([0.75, 0.25]), PriorContext(n_v=2)).exp()
    tensor([0.7500, 0.2500])
    """
    if isinstance(prior, Tensor):
        return explicit(prior, context)
    return lookup(prior, PRIORS, "prior")(context)
