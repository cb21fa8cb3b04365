"""What a set function is: a value for every set, and gains that are differences of values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..properties import Property


class SetFunction(ABC):
    """A number for every set of elements, whatever their order.

    `value` defines the function. `start`, `gains`, `gain_of` and `extend` are the incremental form
    that algorithms use: a state stands for the set selected so far and is never changed in place.
    Here they go through `value`; a subclass that has a faster way overrides them.
    """

    @property
    @abstractmethod
    def n(self) -> int:
        """Size of the ground set."""

    @property
    @abstractmethod
    def properties(self) -> frozenset[Property]:
        """What is proved of this instance; algorithms refuse on the strength of it."""

    @abstractmethod
    def value(self, selected: Sequence[int]) -> float:
        """Value of a set of distinct elements."""

    def gain(self, i: int, selected: Sequence[int]) -> float:
        """What element i adds to the set.

        Source: Eq. (9).
        """
        return self.value([*selected, i]) - self.value(selected)

    def start(self) -> Any:
        """The state of the empty set."""
        return ()

    def gains(self, state: Any) -> Tensor:
        """Gain of every element (n,), float64; those of selected elements mean nothing."""
        rest = [0.0 if i in state else self.gain_of(state, i) for i in range(self.n)]
        return torch.tensor(rest, dtype=torch.float64)

    def gain_of(self, state: Any, i: int) -> float:
        """Gain of one element."""
        return self.gain(i, state)

    def extend(self, state: Any, i: int) -> Any:
        """The state with element i added."""
        return (*state, i)
