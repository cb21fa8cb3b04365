"""Searches for what the greedy score selects: exact ones, and what a heap in code would do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from mitheory.properties import ANTITONE, MODULAR, Property
from mitheory.scores import MIScore, lowest_redundancy
from mitheory.selection import Selection
from mitheory.selection.search import greedy, lazy_greedy, stochastic_greedy, top_k

EAGER, STATIC = "eager", "static heap"
AFTER_FIRST, FROM_LOWEST = "lazy, filled after first", "lazy, empty set lowest"


@dataclass(frozen=True)
class Trusted:
    """A rule taken to be antitone, or modular, though it is not: what a heap in code would do."""

    of: MIScore
    properties: frozenset[Property] = field(default=frozenset({ANTITONE, MODULAR}))

    @property
    def n(self) -> int:
        """Number of elements."""
        return self.of.n

    def start(self) -> Any:
        """Nothing selected."""
        return self.of.start()

    def gains(self, state: Any) -> torch.Tensor:
        """Score of every element."""
        return self.of.gains(state)

    def gain_of(self, state: Any, i: int) -> float:
        """Score of one element."""
        return self.of.gain_of(state, i)

    def extend(self, state: Any, i: int) -> Any:
        """The state with one more."""
        return self.of.extend(state, i)


Search = Callable[[MIScore, int, int], Selection]


def _stochastic(score: MIScore, budget: int, seed: int) -> Selection:
    return stochastic_greedy(score, budget, rng=torch.Generator().manual_seed(seed))


def _from_lowest(score: MIScore, budget: int, seed: int) -> Selection:
    return lazy_greedy(replace(score, empty_redundancy=lowest_redundancy(score.pmi)), budget)


SEARCHES: dict[str, Search] = {
    EAGER: lambda score, budget, seed: greedy(score, budget),
    AFTER_FIRST: lambda score, budget, seed: lazy_greedy(score, budget, seed_after_first=True),
    FROM_LOWEST: _from_lowest,
    "lazy, empty set 0": lambda score, budget, seed: lazy_greedy(Trusted(score), budget),
    STATIC: lambda score, budget, seed: top_k(Trusted(score), budget),
    "stochastic": _stochastic,
}
PROVED_EXACT = (AFTER_FIRST, FROM_LOWEST)
