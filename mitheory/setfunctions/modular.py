"""Sums of weights: the functions that a sort maximizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..properties import MODULAR, MONOTONE, NORMALIZED, SUBMODULAR, Property
from .base import SetFunction
from .validation import check_array


@dataclass(frozen=True, eq=False)
class Modular(SetFunction):
    """Sum of the weights of the elements; MI-Pruner's relevance at λ = 1.

    Source: Eq. (22) with λ = 1.

    Parameters
    ----------
    weights : (n,) finite

    Examples
    --------
    >>> import torch
    >>> Modular(torch.tensor([0.5, 2.0, -1.0])).value([0, 1])
    2.5
    """

    weights: Tensor

    def __post_init__(self) -> None:
        check_array("weights", self.weights, rank=1)

    @property
    def n(self) -> int:
        """Number of weights."""
        return len(self.weights)

    @property
    def properties(self) -> frozenset[Property]:
        """Monotone only where no weight is negative."""
        always = {MODULAR, SUBMODULAR, NORMALIZED}
        return frozenset(always | ({MONOTONE} if bool((self.weights >= 0).all()) else set()))

    def value(self, selected: Sequence[int]) -> float:
        """Sum of the selected weights."""
        return float(self.weights[list(selected)].sum())

    def gains(self, state: tuple[int, ...]) -> Tensor:
        """The weights, whatever is selected."""
        return self.weights

    def gain_of(self, state: tuple[int, ...], i: int) -> float:
        """The weight of element i."""
        return float(self.weights[i])
