"""Facility location: tokens of which each other token has one like it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..checks import check_temperature, lookup
from ..distributions import unit_rows
from .engine import Picks
from .facility import facility_greedy
from .kernels import DEFAULT_TEMPERATURE, KERNELS, coarseness, nonnegative_

ROWS = 128  # of the matrix at a time


def facility_location(
    visual: Tensor,
    *,
    budget: int,
    kernel: str = "shifted",
    temperature: float = DEFAULT_TEMPERATURE,
    zero_norm: str = "error",
) -> Picks:
    """Greedy f(S) = Σ_i max_{j∈S} s_ij, s the nonnegative similarity of two tokens.

    The whole matrix is kept, n_v² numbers.

    Source: nemhauser1978; minoux1978.

    Parameters
    ----------
    visual : (b, n_v, d)
    kernel : "shifted" for (1 + cos) / 2, "exponential" for exp((cos − 1) / τ), "clipped" for
        max(cos, 0)
    temperature : τ > 0, of "exponential"

    Examples
    --------
    >>> pair = torch.tensor([[[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]])
    >>> facility_location(pair, budget=2).indices
    tensor([[1, 2]])
    """
    weights = token_weights(visual, kernel, temperature, zero_norm)
    scale = coarseness(kernel, temperature)
    return facility_greedy(weights, budget, symmetric=True, scale=scale)


def token_weights(visual: Tensor, kernel: str, temperature: float, zero_norm: str) -> Tensor:
    """Nonnegative similarity (b, n_v, n_v) of any two tokens, a block of rows at a time.

    Source: Eq. (15).

    Parameters
    ----------
    visual : (b, n_v, d)
    kernel, temperature : as in `nonnegative`
    zero_norm : as in `select`
    """
    check_temperature(temperature)
    lookup(kernel, KERNELS, "kernel")
    unit = unit_rows("visual", visual, zero_norm=zero_norm)
    b, n, _ = unit.shape
    if not unit.is_cpu:
        return nonnegative_(unit @ unit.mT, kernel, temperature)
    out = unit.new_empty(b, n, n)
    for sample in range(b):  # nothing but the matrix, in cache while changed
        for start in range(0, n, ROWS):
            part = out[sample, start : start + ROWS]
            torch.mm(unit[sample, start : start + ROWS], unit[sample].T, out=part)
            nonnegative_(part, kernel, temperature)
    return out
