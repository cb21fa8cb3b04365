"""Pruning inside a decoder, whatever the decoder: where methods do it, and what they keep there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..budgets import geometric
from ..checks import check_budget
from ..errors import ParameterError, ShapeError
from ..names import lookup
from ..selection import SELECTORS, Mode
from ..selection.sparsevlm_budgets import LAYERS, TABLES, recycled
from .base import Stage

FINAL_NORM = ("dart",)
"""Methods whose public code reads the states behind the model's final norm."""

OBSERVED = (
    "text_attention", "llm_visual_states", "llm_text_states", "llm_visual_keys", "llm_text_keys",
)  # fmt: skip
"""What a stage may ask of the block before it."""


def reads_decoder(method: str) -> bool:
    """Whether a method looks at anything of the decoder.

    Examples
    --------
    >>> reads_decoder("fastv"), reads_decoder("mi_pruner")
    (True, False)
    """
    return bool(set(OBSERVED) & set(lookup(method, SELECTORS, "method").inputs))


def check_stages(
    stages: Sequence[Stage], n_samples: int, n_layers: int, *, first: int = 0
) -> list[list[int | float]]:
    """Budgets by stage and sample.

    Parameters
    ----------
    first : the first layer before which can be pruned

    Raises
    ------
    ParameterError
        If a layer is none of the decoder's, or the layers do not ascend.
    ShapeError
        If a stage has budgets for another number of samples.

    Examples
    --------
    >>> stages = [Stage(1, "fastv", 8), Stage(3, "fastv", (4, 2))]
    >>> check_stages(stages, n_samples=2, n_layers=4)
    [[8, 8], [4, 2]]
    """
    layers = [stage.layer for stage in stages]
    if any(not first <= layer < n_layers for layer in layers) or layers != sorted(set(layers)):
        raise ParameterError(
            f"stages: expected ascending layers within {first}..{n_layers - 1}, got {layers}"
        )
    found = []
    for stage in stages:
        own = stage.budget if isinstance(stage.budget, tuple) else (stage.budget,) * n_samples
        if len(own) != n_samples:
            raise ShapeError(
                f"budget before layer {stage.layer}: expected one or {n_samples} of them, "
                f"got {len(own)}"
            )
        found.append(list(own))
    return found


@dataclass(frozen=True)
class Place:
    """Where a method's public code prunes.

    Parameters
    ----------
    layers : before which, counted from 0
    shares : what every stage keeps, as a multiple of the budget
    mode : "exact" or "faithful"
    """

    layers: tuple[int, ...]
    shares: tuple[float, ...]
    mode: Mode = "exact"


_SPARSEVLM = TABLES["1.5"][64]

PUBLISHED: Mapping[str, Place] = MappingProxyType(
    {
        "fastv": Place((2,), (1.0,)),
        "dart": Place((2,), (1.0,)),
        "sparsevlm": Place(
            tuple(layer + 1 for layer in LAYERS), tuple(n / 64 for n in _SPARSEVLM), "faithful"
        ),
    }
)
"""By method. SparseVLM's stages keep what its table (version 1.5) has for a target of 64, in
proportion to the budget, and merge on top of it: its "64" is a layer average, see
`mitheory.budgets.sparsevlm`. The budgets of the others are what is left at the end."""


def stages_of(
    method: str,
    budget: int | float,
    n_v: Sequence[int],
    *,
    layers: Sequence[int] = (),
    options: Mapping[str, Any] | None = None,
    mode: Mode = "exact",
) -> list[Stage]:
    """The stages of a method, with a budget for every sample.

    Parameters
    ----------
    method : a name of `SELECTORS`
    budget : tokens, or a ratio of those that a sample has
    n_v : visual tokens of every sample
    layers : before which it prunes, every stage keeping the same share, so that the budget is what
        is left at the end; without, where its public code does (`PUBLISHED`)
    options : of the method
    mode : "exact" or "faithful"; SparseVLM's table is of mode "faithful" in any case

    Raises
    ------
    UnknownNameError
        If there is no such method.
    ParameterError
        If there are no layers, and none are published.
    BudgetError
        If a sample has fewer tokens than the budget.

    Examples
    --------
    >>> [(s.layer, s.budget) for s in stages_of("sparsevlm", 64, [576])]
    [(3, (66,)), (7, (30,)), (16, (17,))]
    >>> [(s.layer, s.budget) for s in stages_of("random", 18, [144, 36], layers=(1, 2))]
    [(1, (51, 25)), (2, (18, 18))]
    """
    lookup(method, SELECTORS, "method")
    wanted = [check_budget(budget, n) for n in n_v]
    if layers:
        by_sample = [geometric(n, k, len(layers)) for n, k in zip(n_v, wanted, strict=True)]
    elif method in PUBLISHED:
        place = PUBLISHED[method]
        layers, mode = place.layers, "faithful" if mode == "faithful" else place.mode
        by_sample = [_published(place, method, n, k) for n, k in zip(n_v, wanted, strict=True)]
    else:
        raise ParameterError(
            f"layers: expected some for {method}; those of {sorted(PUBLISHED)} are published"
        )
    return [
        Stage(layer, method, tuple(own[i] for own in by_sample), dict(options or {}), mode)
        for i, layer in enumerate(layers)
    ]


def _published(place: Place, method: str, n: int, budget: int) -> tuple[int, ...]:
    """What every stage keeps of n tokens; never more than are there, nor less than one."""
    found, here = [], n
    for share in place.shares:
        count = max(1, min(math.floor(budget * share + 0.5), here))
        found.append(count)
        dropped = here - min(count, here - 1) if method == "sparsevlm" else 0
        here = here - dropped + recycled(dropped)[1] if dropped else count
    return tuple(found)


def layers_in(text: str) -> tuple[int, ...]:
    """Layers as one axis of a grid writes them.

    Raises
    ------
    ParameterError
        If they are no ascending numbers.

    Examples
    --------
    >>> layers_in("3+7+16"), layers_in("2")
    ((3, 7, 16), (2,))
    """
    parts = text.split("+")
    layers = tuple(int(part) for part in parts if part.isdecimal())
    if len(layers) != len(parts) or list(layers) != sorted(set(layers)):
        raise ParameterError(f"layers: expected ascending numbers such as 3+7+16, got {text!r}")
    return layers
