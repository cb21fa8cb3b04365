"""Functions that cover rows with columns: diminishing returns by construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..errors import ShapeError
from ..properties import MONOTONE, NORMALIZED, SUBMODULAR, Property
from .base import SetFunction
from .validation import check_array, check_range


@dataclass(frozen=True, eq=False)
class FacilityLocation(SetFunction):
    """Each row is served by the best selected column: MMTok's objective.

    .. math:: f(S) = \\sum_r \\max_{j \\in S} M_{rj}

    Source: dong2026mmtok; nemhauser1978.

    Parameters
    ----------
    similarity : (m, n) nonnegative, so that the empty set's 0 is the worst service

    Examples
    --------
    >>> import torch
    >>> FacilityLocation(torch.tensor([[0.2, 0.9], [0.8, 0.1]])).value([0, 1])
    1.7
    """

    similarity: Tensor

    def __post_init__(self) -> None:
        check_array("similarity", self.similarity, rank=2)
        check_range("similarity", self.similarity, low=0.0)

    @property
    def n(self) -> int:
        """Number of columns."""
        return self.similarity.shape[1]

    @property
    def properties(self) -> frozenset[Property]:
        """Everything that 1 − 1/e asks for."""
        return frozenset({NORMALIZED, MONOTONE, SUBMODULAR})

    def value(self, selected: Sequence[int]) -> float:
        """Sum over rows of the best service."""
        return float(self.similarity[:, list(selected)].amax(1).sum()) if len(selected) else 0.0

    def start(self) -> Tensor:
        """Service of every row (m,) by nobody."""
        return self.similarity.new_zeros(len(self.similarity))

    def gains(self, state: Tensor) -> Tensor:
        """What each column would add to the service."""
        return (self.similarity - state[:, None]).clamp_min(0).sum(0)

    def gain_of(self, state: Tensor, i: int) -> float:
        """What one column would add."""
        return float((self.similarity[:, i] - state).clamp_min(0).sum())

    def extend(self, state: Tensor, i: int) -> Tensor:
        """Service with column i as well."""
        return state.maximum(self.similarity[:, i])


@dataclass(frozen=True, eq=False)
class Coverage(SetFunction):
    """Expected weight of the rows that at least one selected column covers.

    .. math:: f(S) = \\sum_r w_r \\bigl(1 - \\prod_{j \\in S} (1 - p_{rj})\\bigr)

    Source: nemhauser1978.

    Parameters
    ----------
    probability : (m, n) in [0, 1]; zeros and ones give the coverage of sets
    weights : (m,) nonnegative

    Examples
    --------
    >>> import torch
    >>> Coverage(torch.tensor([[1.0, 1.0], [0.0, 1.0]]), torch.tensor([1.0, 2.0])).gain(1, [0])
    2.0
    """

    probability: Tensor
    weights: Tensor

    def __post_init__(self) -> None:
        check_array("probability", self.probability, rank=2)
        check_range("probability", self.probability, low=0.0, high=1.0)
        check_array("weights", self.weights, rank=1)
        check_range("weights", self.weights, low=0.0)
        if len(self.weights) != len(self.probability):
            rows = len(self.probability)
            raise ShapeError(f"weights: expected ({rows},), got {tuple(self.weights.shape)}")

    @property
    def n(self) -> int:
        """Number of columns."""
        return self.probability.shape[1]

    @property
    def properties(self) -> frozenset[Property]:
        """Everything that 1 − 1/e asks for."""
        return frozenset({NORMALIZED, MONOTONE, SUBMODULAR})

    def value(self, selected: Sequence[int]) -> float:
        """Weight times the chance of being covered, summed over rows."""
        missed = (1 - self.probability[:, sorted(selected)]).prod(1)
        return float((self.weights * (1 - missed)).sum())

    def start(self) -> Tensor:
        """Chance of every row (m,) to be missed."""
        return self.probability.new_ones(len(self.probability))

    def gains(self, state: Tensor) -> Tensor:
        """What each column would add to the covered weight."""
        return (self.weights * state) @ self.probability

    def gain_of(self, state: Tensor, i: int) -> float:
        """What one column would add."""
        return float((self.weights * state * self.probability[:, i]).sum())

    def extend(self, state: Tensor, i: int) -> Tensor:
        """Chances with column i as well."""
        return state * (1 - self.probability[:, i])
