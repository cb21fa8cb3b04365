"""Concave functions of sums: every further unit of the same thing is worth less."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..checks import lookup
from ..errors import ParameterError, ShapeError
from ..properties import MODULAR, MONOTONE, NORMALIZED, SUBMODULAR, Property
from .base import SetFunction
from .validation import check_array, check_range

CONCAVE: dict[str, Callable[[Tensor], Tensor]] = {"sqrt": torch.sqrt, "log1p": torch.log1p}
"""Concave, nondecreasing functions on [0, ∞) that are 0 at 0, by name."""


@dataclass(frozen=True, eq=False)
class COM(SetFunction):
    """Concave over modular: each query saturates, and each element counts by itself besides.

    .. math::

        f(S) = η \\sum_{a \\in S} ψ\\Bigl(\\sum_q s_{qa}\\Bigr)
               + \\sum_q ψ\\Bigl(\\sum_{a \\in S} s_{qa}\\Bigr)

    Source: iyer2021.

    Parameters
    ----------
    query : (q, n) nonnegative similarity of queries and elements
    eta : η ≥ 0
    concave : "sqrt" or "log1p", ψ

    Examples
    --------
    >>> COM(torch.tensor([[4.0, 5.0]]), eta=0.0).value([0, 1])
    3.0
    """

    query: Tensor
    eta: float = 1.0
    concave: str = "sqrt"

    def __post_init__(self) -> None:
        check_array("query", self.query, rank=2)
        check_range("query", self.query, low=0.0)
        check_range("eta", torch.tensor(self.eta), low=0.0)
        lookup(self.concave, CONCAVE, "concave function")

    @property
    def n(self) -> int:
        """Number of elements."""
        return self.query.shape[1]

    @property
    def properties(self) -> frozenset[Property]:
        """Everything that 1 − 1/e asks for."""
        return frozenset({NORMALIZED, MONOTONE, SUBMODULAR})

    @cached_property
    def _alone(self) -> Tensor:
        return self.eta * CONCAVE[self.concave](self.query.sum(0))

    def value(self, selected: Sequence[int]) -> float:
        """The modular part and the saturated one."""
        s = sorted(selected)
        mass = self.query[:, s].sum(1)
        return float(self._alone[s].sum() + CONCAVE[self.concave](mass).sum())

    def start(self) -> Tensor:
        """Mass (q,) that every query has."""
        return self.query.new_zeros(len(self.query))

    def gains(self, state: Tensor) -> Tensor:
        """What each element adds to its own part and to that of the queries."""
        psi = CONCAVE[self.concave]
        return self._alone + (psi(state[:, None] + self.query) - psi(state)[:, None]).sum(0)

    def gain_of(self, state: Tensor, i: int) -> float:
        """What one element adds."""
        psi = CONCAVE[self.concave]
        return float(self._alone[i] + (psi(state + self.query[:, i]) - psi(state)).sum())

    def extend(self, state: Tensor, i: int) -> Tensor:
        """Mass with element i as well."""
        return state + self.query[:, i]


@dataclass(frozen=True, eq=False)
class LogMass(SetFunction):
    """Expected log of the posterior mass that the selection retains for every row.

    .. math:: f(S) = \\sum_r w_r \\log \\frac{ε + \\sum_{i \\in S} p_{ri}}{ε}

    Concave in a modular function for every row, hence normalized, monotone and submodular;
    `FacilityLocation` is the relative with a maximum instead of the log of a sum.

    Source: nemhauser1978.

    Parameters
    ----------
    probability : (m, n) in [0, 1], p(v_i | row r)
    weights : (m,) nonnegative
    floor : ε > 0, the mass of a row that has nothing

    Examples
    --------
    >>> f = LogMass(torch.tensor([[0.5, 0.25]]), torch.ones(1), floor=0.25)
    >>> round(f.value([0, 1]), 4)  # log 4
    1.3863
    """

    probability: Tensor
    weights: Tensor
    floor: float = 0.01

    def __post_init__(self) -> None:
        check_array("probability", self.probability, rank=2)
        check_range("probability", self.probability, low=0.0, high=1.0)
        check_array("weights", self.weights, rank=1)
        check_range("weights", self.weights, low=0.0)
        rows = len(self.probability)
        if len(self.weights) != rows:
            raise ShapeError(f"weights: expected ({rows},), got {tuple(self.weights.shape)}")
        if not 0 < self.floor < float("inf"):
            raise ParameterError(f"floor: expected a positive number, got {self.floor!r}")

    @property
    def n(self) -> int:
        """Number of columns."""
        return self.probability.shape[1]

    @property
    def properties(self) -> frozenset[Property]:
        """Everything that 1 − 1/e asks for."""
        return frozenset({NORMALIZED, MONOTONE, SUBMODULAR})

    def value(self, selected: Sequence[int]) -> float:
        """Weighted logs of the mass over the floor."""
        mass = self.probability[:, sorted(selected)].sum(1)
        return float((self.weights * torch.log1p(mass / self.floor)).sum())

    def start(self) -> Tensor:
        """Mass (m,) of the rows."""
        return self.probability.new_zeros(len(self.probability))

    def gains(self, state: Tensor) -> Tensor:
        """What each column adds."""
        return self.weights @ torch.log1p(self.probability / (self.floor + state)[:, None])

    def gain_of(self, state: Tensor, i: int) -> float:
        """What one column adds."""
        added = torch.log1p(self.probability[:, i] / (self.floor + state))
        return float((self.weights * added).sum())

    def extend(self, state: Tensor, i: int) -> Tensor:
        """Mass with column i as well."""
        return state + self.probability[:, i]


@dataclass(frozen=True, eq=False)
class GCMI(SetFunction):
    """Graph-cut mutual information: the similarity of the selection with all queries.

    .. math:: f(S) = 2 λ \\sum_{a \\in S} \\sum_q s_{qa}

    Modular: whether two selected elements are copies changes nothing.

    Source: iyer2021.

    Parameters
    ----------
    query : (q, n) nonnegative similarity of queries and elements
    weight : λ ≥ 0

    Examples
    --------
    >>> GCMI(torch.tensor([[1.0, 2.0], [0.5, 0.0]])).value([0, 1])
    7.0
    """

    query: Tensor
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_array("query", self.query, rank=2)
        check_range("query", self.query, low=0.0)
        check_range("weight", torch.tensor(self.weight), low=0.0)

    @property
    def n(self) -> int:
        """Number of elements."""
        return self.query.shape[1]

    @property
    def properties(self) -> frozenset[Property]:
        """Modular with nonnegative weights."""
        return frozenset({NORMALIZED, MONOTONE, SUBMODULAR, MODULAR})

    @cached_property
    def _weights(self) -> Tensor:
        return 2 * self.weight * self.query.sum(0)

    def value(self, selected: Sequence[int]) -> float:
        """Sum of the weights."""
        return float(self._weights[sorted(selected)].sum())

    def gains(self, state: tuple[int, ...]) -> Tensor:
        """The weights, whatever is selected."""
        return self._weights

    def gain_of(self, state: tuple[int, ...], i: int) -> float:
        """The weight of element i."""
        return float(self._weights[i])
