"""AutoPrune's schedule: the share of visual tokens that each layer keeps, one curve per sample."""

from __future__ import annotations

import math

from ..errors import BudgetError, ParameterError

LAYERS = 32
FIRST = 2.5  # of the target, kept by layer 0
HEIGHT, MIDDLE = 0.75, 14.9
SLOPE, PER_BIT = 0.4, 0.2
TURNS = 200  # of the bisection, far below rounding


def slope(information: float) -> float:
    """Steepness of the curve, max(0.4 − 0.2 I, 0), of a sample with information I in bits.

    Source: wang2025autoprune.

    Raises
    ------
    ParameterError
        If the information is not finite.

    Examples
    --------
    >>> slope(0.5), slope(3.0)
    (0.30000000000000004, 0.0)
    """
    if not math.isfinite(information):
        raise ParameterError(f"information: expected a finite number, got {information!r}")
    return max(SLOPE - PER_BIT * information, 0.0)


def raw_curve(information: float, n_layers: int = LAYERS) -> tuple[float, ...]:
    """Shares of layers 1 and up, before they are scaled: 0.75 / (1 + exp(k (l − (14.9 + k)))).

    With another number of layers, l runs over the same 31 steps of depth.

    Source: wang2025autoprune.
    """
    k = slope(information)
    depths = (layer * LAYERS / n_layers for layer in range(1, n_layers))
    return tuple(HEIGHT / (1 + math.exp(k * (depth - (MIDDLE + k)))) for depth in depths)


def retention_curve(
    information: float, target: float, n_v: int, *, n_layers: int = LAYERS
) -> tuple[int, ...]:
    """Visual tokens that every layer keeps, their mean over layers being about `target`.

    Layer 0 keeps N₀ = min(⌊2.5 target⌋, n_v); layer l keeps ⌈(N₀ − 1) p_l⌉, at most what is there,
    where the curve p is scaled, and cut at 1, so that N₀ + Σ (N₀ − 1) p_l is n_layers times the
    target. The rounding up makes the mean larger than the target by less than 1.

    Source: wang2025autoprune.

    Raises
    ------
    BudgetError
        If the target is below 1, or above n_v, or cannot be met: with layer 0 alone the mean is
        above it, or with every layer at N₀ below.
    ParameterError
        If the information is not finite, or there are fewer than two layers.

    Examples
    --------
    >>> counts = retention_curve(0.5, 64, 576)
    >>> counts[:4], counts[-1], round(sum(counts) / 32, 1)
    ((160, 127, 126, 126), 2, 64.5)
    """
    if n_layers < 2:
        raise ParameterError(f"n_layers: expected at least 2, got {n_layers}")
    if not 1 <= target <= n_v:
        raise BudgetError(f"target: expected within [1, {n_v}], got {target:g}")
    first = min(int(FIRST * target), n_v)
    curve = raw_curve(information, n_layers)
    rest = n_layers * target - first
    if not 0 <= rest <= (first - 1) * len(curve) + 1e-9 * n_v:
        low, high = first / n_layers, (first + (first - 1) * len(curve)) / n_layers
        raise BudgetError(
            f"target {target:g}: with {first} tokens in layer 0 a layer average is within "
            f"[{low:g}, {high:g}]"
        )
    scale = _scale(curve, rest / (first - 1) if first > 1 else 0.0)
    counts = [first]
    for share in curve:
        counts.append(min(counts[-1], math.ceil((first - 1) * min(scale * share, 1.0) - 1e-9)))
    return tuple(counts)


def _scale(curve: tuple[float, ...], total: float) -> float:
    """The factor at which the curve, cut at 1, has this sum."""
    low, high = 0.0, 1 / min(curve)
    for _ in range(TURNS):
        middle = (low + high) / 2
        if sum(min(middle * share, 1.0) for share in curve) < total:
            low = middle
        else:
            high = middle
    return (low + high) / 2
