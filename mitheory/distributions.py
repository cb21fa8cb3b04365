"""From embeddings to conditional probabilities: Eqs. (15), (16), (52), (53), in the log domain.

Tensors are ``(..., n_v, n_x)``; ragged batches are padded and masked. A masked column has
log-probability -inf and changes no real entry; what stands in a masked row means nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import check_nonzero_rows, check_temperature
from .errors import DistributionError, ParameterError, ShapeError

ZERO_NORM = ("error", "uninformative")


def unit_rows(
    name: str, x: Tensor, *, zero_norm: str = "error", mask: Tensor | None = None
) -> Tensor:
    """Rows of `x` scaled to norm 1; zero rows are an error, or stay zero if "uninformative".

    Rows are first divided by their largest entry, so that nothing overflows or underflows.
    """
    if zero_norm not in ZERO_NORM:
        raise ParameterError(f"zero_norm: expected one of {list(ZERO_NORM)}, got {zero_norm!r}")
    if zero_norm == "error":
        check_nonzero_rows(name, x, mask=mask)
    largest = x.abs().amax(-1, keepdim=True)
    scaled = x / torch.where(largest > 0, largest, 1.0)
    norm = scaled.norm(dim=-1, keepdim=True)
    return scaled / torch.where(norm > 0, norm, 1.0)


def cosine_similarity(x: Tensor, y: Tensor, *, zero_norm: str = "error") -> Tensor:
    """Cosine of every row of `x` with every row of `y`.

    Parameters
    ----------
    x : (..., n_x, d)
    y : (..., n_y, d)
    zero_norm : {"error", "uninformative"}
        What a zero row is: an error, or a row with cosine 0 with everything.

    Returns
    -------
    (..., n_x, n_y)

    Raises
    ------
    ShapeError
        If the dimensions differ.
    ZeroNormError
        If a row is zero and `zero_norm` is "error".

    Examples
    --------
    >>> cosine_similarity(torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    tensor([[1., 0.]])
    """
    if x.shape[-1] != y.shape[-1]:
        raise ShapeError(f"x and y: expected one dimension, got {x.shape[-1]} and {y.shape[-1]}")
    a = unit_rows("x", x, zero_norm=zero_norm)
    b = unit_rows("y", y, zero_norm=zero_norm)
    return a @ b.transpose(-1, -2)


def similarity(x: Tensor, y: Tensor, *, temperature: float, zero_norm: str = "error") -> Tensor:
    r"""Cosine similarity over temperature, the logits of every conditional.

    .. math:: \rho_{ij} = \tilde v_i^\top \tilde x_j / \tau

    Source: Eq. (15).

    Parameters
    ----------
    x, y : (..., n_x, d), (..., n_y, d)
    temperature : float > 0
    zero_norm : {"error", "uninformative"}

    Returns
    -------
    (..., n_x, n_y)

    Raises
    ------
    ParameterError
        If the temperature is not positive.
    ShapeError, ZeroNormError
        As `cosine_similarity`.
    """
    return cosine_similarity(x, y, zero_norm=zero_norm) / check_temperature(temperature)


def _hide(x: Tensor, mask: Tensor | None, axis: int) -> Tensor:
    """-inf where `mask` (over `axis`) is False."""
    if mask is None:
        return x
    mask = mask.unsqueeze(-2) if axis == -1 else mask.unsqueeze(-1)
    return x.masked_fill(~mask, -torch.inf)


def softmax(
    similarity: Tensor, *, row_mask: Tensor | None = None, column_mask: Tensor | None = None
) -> Tensor:
    r"""Log of p(x_j given v_i) = softmax over j.

    Source: Eq. (16). With one column it is 0 everywhere: PMI is 0, every patch ties (E2).

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
    return _hide(similarity, column_mask, -1).log_softmax(-1)


def minmax(
    similarity: Tensor, *, row_mask: Tensor | None = None, column_mask: Tensor | None = None
) -> Tensor:
    r"""Log of the two-stage MinMax conditional: rows mapped to [0, 1], then divided by their sum.

    Source: Eqs. (52), (53). It has an exact 0 (log -inf) in every row, is invariant to the
    temperature, and takes values in {0, 1} for two columns (E1). Where the formula is 0/0 (one
    column, or a constant row) the row is taken as uniform: nothing in it prefers any column.

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
    real = torch.ones_like(similarity, dtype=torch.bool)
    if column_mask is not None:
        real = real & column_mask.unsqueeze(-2)
    low = similarity.masked_fill(~real, torch.inf).amin(-1, keepdim=True)
    high = similarity.masked_fill(~real, -torch.inf).amax(-1, keepdim=True)
    flat = high == low
    scaled = (similarity - low) / torch.where(flat, 1.0, high - low)
    scaled = torch.where(flat, torch.ones_like(scaled), scaled).masked_fill(~real, 0.0)
    return scaled.log() - scaled.sum(-1, keepdim=True).log()


def joint_softmax(
    similarity: Tensor, *, row_mask: Tensor | None = None, column_mask: Tensor | None = None
) -> Tensor:
    """Log of a joint p(v_i, x_j) = softmax over all pairs; log-sum-exps to 0 over both axes.

    Its row marginal is the energy prior and its conditional is `softmax`: Eq. (21) read literally.

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
    hidden = _hide(_hide(similarity, column_mask, -1), row_mask, -2)
    return hidden.flatten(-2).log_softmax(-1).view_as(hidden)


def softmax_over_vision(
    similarity: Tensor, *, row_mask: Tensor | None = None, column_mask: Tensor | None = None
) -> Tensor:
    """Log of p(v_i given x_j) = softmax over i, the conditioning in which words do not compete.

    Source: MMTok's conditioning, bib key dong2026mmtok.

    Parameters
    ----------
    similarity : (..., n_v, n_x)
    row_mask, column_mask : (..., n_v), (..., n_x) bool, optional

    Returns
    -------
    (..., n_v, n_x), nats
        Columns log-sum-exp to 0.

    Examples
    --------
    >>> softmax_over_vision(torch.zeros(4, 1)).exp().T
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    return _hide(similarity, row_mask, -2).log_softmax(-2)


def sinkhorn(
    similarity: Tensor,
    *,
    row_mask: Tensor | None = None,
    column_mask: Tensor | None = None,
    tolerance: float = 1e-6,
    iterations: int = 10_000,
) -> Tensor:
    """Log of p(x_j given v_i) of the joint exp(similarity) scaled to uniform marginals.

    With it the uniform prior of Alg. 1, line 8 and the total probability of Eq. (50) agree (D1).
    Source: bib key sinkhorn1967.

    Parameters
    ----------
    similarity : (..., n_v, n_x)
    row_mask, column_mask : (..., n_v), (..., n_x) bool, optional
    tolerance : float
        Largest error of a column's log marginal.
    iterations : int

    Returns
    -------
    (..., n_v, n_x), nats
        Rows log-sum-exp to 0, and every column has mean probability 1 / n_x.

    Raises
    ------
    DistributionError
        If it has not converged after `iterations`.
    """
    joint = _hide(_hide(similarity, column_mask, -1), row_mask, -2)
    rows = _count(row_mask, similarity, -2)
    columns = _count(column_mask, similarity, -1)
    target = (rows / columns).log()
    for _ in range(iterations):
        joint = joint - _divisor(joint.logsumexp(-1, keepdim=True))
        excess = _divisor(joint.logsumexp(-2, keepdim=True)) - target
        excess = excess if column_mask is None else excess * column_mask.unsqueeze(-2)
        error = excess.abs().max()
        if error <= tolerance:
            return joint
        joint = joint - excess
    raise DistributionError(
        f"sinkhorn: expected column marginals within {tolerance:g} after {iterations} iterations, "
        f"got {float(error):g}; a larger temperature converges faster"
    )


def _count(mask: Tensor | None, x: Tensor, axis: int) -> Tensor:
    """Number of real rows or columns, broadcastable to `x`."""
    if mask is None:
        return x.new_full((1, 1), x.shape[axis])
    return mask.sum(-1).to(x.dtype)[..., None, None]


def _divisor(log_mass: Tensor) -> Tensor:
    """Log masses to divide by: those of masked rows and columns (-inf) become 0."""
    return log_mass.masked_fill(log_mass == -torch.inf, 0.0)


@dataclass(frozen=True)
class Conditional:
    """A way from similarity to probability, and what is known about it.

    given : "vision" for p(x given v), rows normalized; "text" for p(v given x), columns normalized.
    own_prior : whether the joint comes with its own p(v), the energy prior.
    competes : whether words compete for a patch's probability.
    """

    name: str
    log_prob: Callable[..., Tensor]
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
