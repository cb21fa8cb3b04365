"""Facility location: tokens of which each other token has one like it."""

from __future__ import annotations

from torch import Tensor

from ..checks import check_temperature, lookup
from ..distributions import gram_of, unit_rows
from .engine import Picks
from .facility import facility_greedy
from .kernels import DEFAULT_TEMPERATURE, KERNELS, coarseness, nonnegative_


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
    >>> import torch
    >>> pair = torch.tensor([[[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]])
    >>> facility_location(pair, budget=2).indices
    tensor([[1, 2]])
    """
    weights = token_weights(visual, kernel, temperature, zero_norm)
    scale = coarseness(kernel, temperature)
    return facility_greedy(weights, budget, symmetric=True, scale=scale)


def token_weights(visual: Tensor, kernel: str, temperature: float, zero_norm: str) -> Tensor:
    """Nonnegative similarity (b, n_v, n_v) of any two tokens, half of it computed.

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
    return nonnegative_(gram_of(unit), kernel, temperature)
