"""What a budget means: visual tokens layer by layer, their averages, and the cost of a prefill.

One method prunes before the decoder, another inside it, a third in several steps, and "64 tokens"
is the number left at the end for one and a layer average for another. A `Schedule` makes them
comparable: it says how many visual tokens every layer of the decoder works on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from .errors import BudgetError, ParameterError
from .selection import sparsevlm_budgets
from .selection.retention_curve import retention_curve
from .selection.sparsevlm_budgets import recycled, stage_budgets


def _check_layer(layer: int, n_layers: int) -> None:
    if isinstance(layer, bool) or not isinstance(layer, int) or not 0 <= layer < n_layers:
        raise ParameterError(f"layer: expected within 0..{n_layers - 1}, got {layer!r}")


def _check_whole(
    name: str, value: object, *, least: int, error: type[BudgetError | ParameterError] = BudgetError
) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise error(f"{name}: expected a whole number of at least {least}, got {value!r}")


@dataclass(frozen=True)
class Decoder:
    """Sizes of a decoder that its cost depends on.

    Parameters
    ----------
    width, intermediate : d of the residual stream and m of the feed-forward layer
    is_gated : three matrices of a gated feed-forward layer (SwiGLU), or two
    key_value_share : key and value heads per query head: 1 with multi-head attention, less with
        grouped queries

    Raises
    ------
    ParameterError
        If a size is not positive, or the share is outside (0, 1].
    """

    width: int
    intermediate: int
    is_gated: bool = True
    key_value_share: float = 1.0

    def __post_init__(self) -> None:
        for name in ("width", "intermediate"):
            _check_whole(name, getattr(self, name), least=1, error=ParameterError)
        if not 0 < self.key_value_share <= 1:
            raise ParameterError(
                f"key_value_share: expected within (0, 1], got {self.key_value_share!r}"
            )


LLAVA_7B = Decoder(4096, 11008)
"""Vicuna-7B, the decoder of LLaVA-1.5-7B; it has 32 layers."""


def layer_flops(n: int | float, decoder: Decoder) -> float:
    """Cost of one decoder layer on a prefill of n tokens, a multiplication and addition being one.

    2 (1 + s) n d² for queries, keys, values and output (s the share of key and value heads), 2 n² d
    for attention, and 2 n d m for the feed-forward layer, 3 n d m if it is gated.

    Source: chen2024fastv (4 n d² + 2 n² d + 2 n d m).

    Examples
    --------
    >>> layer_flops(10, Decoder(4, 8, is_gated=False)) == 4 * 10 * 16 + 2 * 100 * 4 + 2 * 10 * 32
    True
    """
    d, m = decoder.width, decoder.intermediate
    projections = 2 * (1 + decoder.key_value_share) * n * d**2
    return projections + 2 * n**2 * d + (3 if decoder.is_gated else 2) * n * d * m


@dataclass(frozen=True)
class Schedule:
    """How many visual tokens of a sample every layer of a decoder works on.

    Parameters
    ----------
    tokens_per_layer : of each layer, the visual tokens that go into it
    n_v : visual tokens before any pruning
    left : visual tokens after the last layer; by default those that went into it

    Raises
    ------
    BudgetError
        If there is no layer, or a number is none, or grows from layer to layer.

    Examples
    --------
    >>> plan = Schedule((576, 576, 64, 64), n_v=576)
    >>> plan.n_layers, plan.tokens_after_pruning, plan.layer_average
    (4, 64, 320.0)
    """

    tokens_per_layer: tuple[int, ...]
    n_v: int
    left: int | None = None

    def __post_init__(self) -> None:
        if not self.tokens_per_layer:
            raise BudgetError("tokens_per_layer: expected at least one layer, got none")
        counts = (self.n_v, *self.tokens_per_layer, self.tokens_after_pruning)
        for count in counts:
            _check_whole("tokens_per_layer", count, least=0)
        if any(after > before for before, after in pairwise(counts)):
            raise BudgetError(
                f"tokens_per_layer: expected no more tokens than before, got {list(counts)}"
            )

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.tokens_per_layer)

    @property
    def tokens_after_pruning(self) -> int:
        """Visual tokens that are left at the end."""
        return self.tokens_per_layer[-1] if self.left is None else self.left

    @property
    def layer_average(self) -> float:
        """Mean over layers of the visual tokens that go into a layer: those it works on."""
        return sum(self.tokens_per_layer) / self.n_layers

    @property
    def layer_average_after(self) -> float:
        """Mean over layers of the visual tokens that come out of a layer.

        SparseVLM's "192 tokens" is this; the layer that prunes still works on what it drops.
        """
        return (sum(self.tokens_per_layer[1:]) + self.tokens_after_pruning) / self.n_layers

    def flops(self, decoder: Decoder, n_text: int = 0) -> float:
        """Cost of the prefill with `n_text` other tokens; what the selection costs is not in it.

        Source: chen2024fastv.
        """
        return sum(layer_flops(n + n_text, decoder) for n in self.tokens_per_layer)

    def flop_ratio(self, decoder: Decoder, n_text: int = 0) -> float:
        """`flops` as a share of those without pruning.

        Examples
        --------
        >>> round(before_decoder(576, 64, 32).flop_ratio(LLAVA_7B, n_text=60), 3)
        0.191
        """
        full = layer_flops(self.n_v + n_text, decoder) * self.n_layers
        return self.flops(decoder, n_text) / full


def staged(n_v: int, budgets: Mapping[int, int], n_layers: int) -> Schedule:
    """Pruning to `budgets[layer]` tokens right before each of these layers, counted from 0.

    Raises
    ------
    BudgetError
        If a budget is below 1, or above what is there.
    ParameterError
        If a layer is none of the decoder's.

    Examples
    --------
    >>> staged(576, {3: 309, 7: 204, 16: 113}, 32).layer_average
    206.5
    """
    _check_whole("n_v", n_v, least=1)
    _check_whole("n_layers", n_layers, least=1, error=ParameterError)
    counts, here = [], n_v
    for layer, budget in budgets.items():
        _check_layer(layer, n_layers)
        _check_whole(f"budget before layer {layer}", budget, least=1)
    for layer in range(n_layers):
        if layer in budgets:
            if budgets[layer] > here:
                raise BudgetError(
                    f"budget before layer {layer}: expected at most the {here} tokens there, "
                    f"got {budgets[layer]}"
                )
            here = budgets[layer]
        counts.append(here)
    return Schedule(tuple(counts), n_v)


def before_decoder(n_v: int, budget: int, n_layers: int) -> Schedule:
    """Pruning before the first layer: every layer works on the budget.

    Raises
    ------
    BudgetError
        If the budget is below 1 or above n_v.

    Examples
    --------
    >>> before_decoder(576, 64, 32).layer_average
    64.0
    """
    return staged(n_v, {0: budget}, n_layers)


def fastv(n_v: int, budget: int, layer: int, n_layers: int) -> Schedule:
    """FastV: `layer` layers work on all tokens, the others on the budget.

    Source: chen2024fastv.

    Raises
    ------
    BudgetError, ParameterError
        As `staged`.

    Examples
    --------
    >>> fastv(576, 64, 2, 32).layer_average
    96.0
    """
    return staged(n_v, {layer: budget}, n_layers)


def dart(n_v: int, budget: int, layer: int, n_layers: int, *, mode: str = "exact") -> Schedule:
    """DART: as FastV; its public code keeps 4 + 8 ⌊budget / 8⌋ tokens (`mode="faithful"`).

    Source: wen2025dart.

    Raises
    ------
    BudgetError
        As `staged`.
    ParameterError
        As `staged`, or if the mode is neither "exact" nor "faithful".

    Examples
    --------
    >>> [dart(576, k, 2, 32, mode="faithful").tokens_after_pruning for k in (7, 32, 64, 128)]
    [4, 36, 68, 132]
    """
    if mode not in ("exact", "faithful"):
        raise ParameterError(f"mode: expected 'exact' or 'faithful', got {mode!r}")
    _check_whole("budget", budget, least=1)
    kept = budget if mode == "exact" else min(4 + 8 * (budget // 8), n_v)
    return staged(n_v, {layer: kept}, n_layers)


def sparsevlm(version: str, target: int, *, n_v: int = 576, n_layers: int = 32) -> Schedule:
    """SparseVLM with one of its tables: the outputs of layers 2, 6 and 15 are pruned.

    A stage keeps at most one token less than there are; version 1.5 adds its averaged tokens. Its
    target is `layer_average_after`; the layers work on more, `layer_average`. Version 1.0 has no
    table: how many it keeps depends on the rank of every sample's attention.

    Source: zhang2025sparsevlm.

    Raises
    ------
    UnknownNameError
        If there is no table of that version.
    BudgetError
        If its table has no such target, or there are too few tokens to prune three times.
    ParameterError
        If the decoder has no layer after the last stage.

    Examples
    --------
    >>> plan = sparsevlm("1.5", 64)
    >>> plan.layer_average_after, plan.layer_average
    (64.8125, 82.25)
    """
    _check_whole("n_v", n_v, least=2)
    budgets, here = {}, n_v
    for layer, count in zip(sparsevlm_budgets.LAYERS, stage_budgets(version, target), strict=True):
        kept = min(count, here - 1)
        here = kept + (recycled(here - kept)[1] if version == "1.5" else 0)
        budgets[layer + 1] = here
    return staged(n_v, budgets, n_layers)


def autoprune(n_v: int, target: float, information: float, *, n_layers: int = 32) -> Schedule:
    """AutoPrune for a sample whose words share `information` (bits) with its image.

    Every layer's output is pruned, along a curve that is the flatter the more information there is;
    the target is `layer_average_after`. Averaged tokens that it adds are not counted.

    Source: wang2025autoprune.

    Raises
    ------
    BudgetError, ParameterError
        As `retention_curve`.

    Examples
    --------
    >>> steep, flat = (autoprune(576, 64, bits) for bits in (0.0, 3.0))
    >>> steep.tokens_per_layer[:4], flat.tokens_per_layer[:4]
    ((576, 160, 128, 127), (576, 160, 61, 61))
    """
    counts = retention_curve(information, target, n_v, n_layers=n_layers)
    return Schedule((n_v, *counts[:-1]), n_v, left=counts[-1])


def geometric(n_v: int, budget: int, stages: int) -> tuple[int, ...]:
    """Budgets of several stages that each keep the same share, the last of them `budget`.

    Raises
    ------
    BudgetError
        If the budget is below 1 or above n_v.
    ParameterError
        If there is no stage.

    Examples
    --------
    >>> geometric(144, 18, 3)
    (72, 36, 18)
    """
    _check_whole("stages", stages, least=1, error=ParameterError)
    _check_whole("n_v", n_v, least=1)
    _check_whole("budget", budget, least=1)
    if budget > n_v:
        raise BudgetError(f"budget: expected at most {n_v}, got {budget}")
    shares = [(budget / n_v) ** (i / stages) for i in range(1, stages + 1)]
    return (*(math.floor(n_v * share + 0.5) for share in shares[:-1]), budget)


def budget_for_layer_average(average: float, n_v: int, layer: int, n_layers: int) -> int:
    """The largest budget before `layer` whose layer average is at most `average`.

    Raises
    ------
    BudgetError
        If even one token would exceed the average, or the average is above n_v.
    ParameterError
        If the layer is none of the decoder's.

    Examples
    --------
    >>> budget_for_layer_average(192, 576, 2, 32)
    166
    >>> fastv(576, 166, 2, 32).layer_average <= 192 < fastv(576, 167, 2, 32).layer_average
    True
    >>> budget_for_layer_average(32, 576, 2, 32)
    Traceback (most recent call last):
    ...
    mitheory.errors.BudgetError: layer average 32: expected within [36.9375, 576] for one pruning \
before layer 2 of 32, because the layers before it work on all 576 tokens
    """
    _check_whole("n_v", n_v, least=1)
    _check_whole("n_layers", n_layers, least=1, error=ParameterError)
    _check_layer(layer, n_layers)
    least = fastv(n_v, 1, layer, n_layers).layer_average
    if not least <= average <= n_v:
        raise BudgetError(
            f"layer average {average:g}: expected within [{least:g}, {n_v}] for one pruning "
            f"before layer {layer} of {n_layers}, because the layers before it work on all "
            f"{n_v} tokens"
        )
    exact = (average * n_layers - layer * n_v) / (n_layers - layer)
    return math.floor(exact + 1e-9 * n_v)  # 96 * 32 is exact, 96.1 * 32 is not
