"""Scaling of a kernel to uniform marginals on both sides."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import DistributionError
from .masks import hide


def sinkhorn(
    similarity: Tensor,
    *,
    row_mask: Tensor | None = None,
    column_mask: Tensor | None = None,
    tolerance: float | None = None,
    iterations: int = 10_000,
) -> Tensor:
    """Log of p(x_j given v_i) of the joint exp(similarity) scaled to uniform marginals.

    With it the uniform prior of Alg. 1, line 8 and the total probability of Eq. (50) agree. Each
    sample of a batch stops at its own convergence, so that none depends on its neighbors. Kernels
    that nearly fall apart into blocks of unequal size converge slowly: at τ = 0.1 eight clusters of
    576 tokens took some 1,000 iterations, tokens without clusters 30.

    Source: sinkhorn1967.

    Parameters
    ----------
    similarity : (..., n_v, n_x)
    row_mask, column_mask : (..., n_v), (..., n_x) bool, optional
    tolerance : float, optional
        Largest error of a column's log marginal; by default 1e-6, or 64 rounding units of the
        largest logit where that is more.
    iterations : int

    Returns
    -------
    (..., n_v, n_x), nats
        Rows log-sum-exp to 0, and every column has mean probability 1 / n_x.

    Raises
    ------
    DistributionError
        If it has not converged after `iterations`.

    Examples
    --------
    >>> sinkhorn(torch.tensor([[0.0, 1.0], [0.0, 3.0]])).exp().mean(0)
    tensor([0.5000, 0.5000])
    """
    joint = hide(similarity, row_mask, column_mask)
    target = (_count(row_mask, joint, -2) / _count(column_mask, joint, -1)).log()
    allowed = _tolerance(joint) if tolerance is None else joint.new_full((1, 1), tolerance)
    done = torch.zeros_like(allowed, dtype=torch.bool)
    for _ in range(iterations):
        joint = torch.where(done, joint, joint - _divisor(joint.logsumexp(-1, keepdim=True)))
        mass = joint.logsumexp(-2, keepdim=True)
        excess = (mass - target).masked_fill(mass == -torch.inf, 0.0)  # of padding, nothing
        error = excess.abs().amax((-2, -1), keepdim=True)
        done = done | (error <= allowed)
        if bool(done.all()):
            return joint
        joint = torch.where(done, joint, joint - excess)
    raise DistributionError(
        f"sinkhorn: expected every column's log marginal within tolerance after {iterations} "
        f"iterations, got {float(error.max()):g} off; a larger temperature converges faster"
    )


def _tolerance(joint: Tensor) -> Tensor:
    """1e-6, or what rounding alone may leave in sums of exponentials of logits of this size."""
    largest = joint.masked_fill(joint == -torch.inf, 0.0).abs().amax((-2, -1), keepdim=True)
    return (64 * torch.finfo(joint.dtype).eps * largest).clamp(min=1e-6)


def _count(mask: Tensor | None, x: Tensor, axis: int) -> Tensor:
    """Number of real rows or columns, broadcastable to `x`."""
    if mask is None:
        return x.new_full((1, 1), x.shape[axis])
    return mask.sum(-1).to(x.dtype)[..., None, None]


def _divisor(log_mass: Tensor) -> Tensor:
    """Log masses to divide by: those of padded rows (-inf) become 0."""
    return log_mass.masked_fill(log_mass == -torch.inf, 0.0)
