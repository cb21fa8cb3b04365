"""Submodular mutual information with a query: what the selection and the query share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..errors import ParameterError, ShapeError
from ..properties import MONOTONE, NORMALIZED, SUBMODULAR, Property
from .base import SetFunction
from .covering import FacilityLocation
from .gaussian import _log_det
from .validation import check_array, check_range, check_symmetric


@dataclass(frozen=True, eq=False)
class FLMI(SetFunction):
    """Facility location in which a row counts no more than the query wants it.

    .. math:: f(S) = \\sum_r \\min\\bigl(\\max_{a \\in S} s_{ra},\\; η \\max_q s_{rq}\\bigr)

    The cap may be taken inside the maximum: it is `FacilityLocation` on min(s_ra, η max_q s_rq).

    Source: iyer2021.

    Parameters
    ----------
    similarity : (m, n) nonnegative, of the rows of the ground set and the elements
    query : (m, q) nonnegative, of the rows and the queries
    eta : η ≥ 0

    Examples
    --------
    >>> FLMI(torch.eye(2), torch.tensor([[0.25], [2.0]])).value([0, 1])
    1.25
    """

    similarity: Tensor
    query: Tensor
    eta: float = 1.0

    def __post_init__(self) -> None:
        check_array("similarity", self.similarity, rank=2)
        check_range("similarity", self.similarity, low=0.0)
        check_array("query", self.query, rank=2)
        check_range("query", self.query, low=0.0)
        check_range("eta", torch.tensor(self.eta), low=0.0)
        rows = len(self.similarity)
        if len(self.query) != rows:
            raise ShapeError(f"query: expected ({rows}, q), got {tuple(self.query.shape)}")

    @property
    def n(self) -> int:
        """Number of elements."""
        return self.similarity.shape[1]

    @property
    def properties(self) -> frozenset[Property]:
        """Everything that 1 − 1/e asks for."""
        return frozenset({NORMALIZED, MONOTONE, SUBMODULAR})

    @cached_property
    def capped(self) -> FacilityLocation:
        """The same function as a facility location."""
        cap = self.eta * self.query.amax(1, keepdim=True)
        return FacilityLocation(self.similarity.minimum(cap))

    def value(self, selected: Sequence[int]) -> float:
        """Sum over rows of the best service or the cap, whichever is less."""
        if not len(selected):
            return 0.0
        best = self.similarity[:, sorted(selected)].amax(1)
        return float(best.minimum(self.eta * self.query.amax(1)).sum())

    def start(self) -> Tensor:
        """As of the facility location."""
        return self.capped.start()

    def gains(self, state: Tensor) -> Tensor:
        """As of the facility location."""
        return self.capped.gains(state)

    def gain_of(self, state: Tensor, i: int) -> float:
        """As of the facility location."""
        return self.capped.gain_of(state, i)

    def extend(self, state: Tensor, i: int) -> Tensor:
        """As of the facility location."""
        return self.capped.extend(state, i)


@dataclass(frozen=True, eq=False)
class FLQMI(SetFunction):
    """Each query is served by its best element, and each element counts by its best query.

    .. math:: f(S) = \\sum_q \\max_{a \\in S} s_{qa} + η \\sum_{a \\in S} \\max_q s_{qa}

    Source: iyer2021.

    Parameters
    ----------
    query : (q, n) nonnegative similarity of queries and elements
    eta : η ≥ 0

    Examples
    --------
    >>> FLQMI(torch.tensor([[1.0, 0.5], [0.0, 0.25]])).value([0, 1])
    2.75
    """

    query: Tensor
    eta: float = 1.0

    def __post_init__(self) -> None:
        check_array("query", self.query, rank=2)
        check_range("query", self.query, low=0.0)
        check_range("eta", torch.tensor(self.eta), low=0.0)

    @property
    def n(self) -> int:
        """Number of elements."""
        return self.query.shape[1]

    @property
    def properties(self) -> frozenset[Property]:
        """Everything that 1 − 1/e asks for."""
        return frozenset({NORMALIZED, MONOTONE, SUBMODULAR})

    @cached_property
    def _own(self) -> Tensor:
        return self.eta * self.query.amax(0)

    @cached_property
    def _served(self) -> FacilityLocation:
        return FacilityLocation(self.query)

    def value(self, selected: Sequence[int]) -> float:
        """Service of the queries and worth of the elements."""
        s = sorted(selected)
        return self._served.value(s) + float(self._own[s].sum())

    def start(self) -> Tensor:
        """Service (q,) of the queries by nobody."""
        return self._served.start()

    def gains(self, state: Tensor) -> Tensor:
        """What each element adds."""
        return self._own + self._served.gains(state)

    def gain_of(self, state: Tensor, i: int) -> float:
        """What one element adds."""
        return float(self._own[i]) + self._served.gain_of(state, i)

    def extend(self, state: Tensor, i: int) -> Tensor:
        """Service with element i as well."""
        return self._served.extend(state, i)


@dataclass(frozen=True, eq=False)
class LogDetMI(SetFunction):
    """Log-determinant mutual information of the selection and the query.

    .. math:: f(S) = \\log\\det K_S - \\log\\det (K_S - η^2 K_{SQ} K_{QQ}^{-1} K_{QS})

    For η ≤ 1 it is twice the Gaussian mutual information of variables with covariance K, those of
    the query damped by η: monotone, but *not* submodular: two elements can tell of the query
    together what neither tells alone. So a heap of stale gains is refused.

    Source: iyer2021; krause2005.

    Parameters
    ----------
    kernel : (n, n) symmetric
    query : (n, q) of elements and queries
    query_kernel : (q, q) symmetric; the joint matrix must be positive definite
    eta : η in [0, 1]

    Examples
    --------
    >>> f = LogDetMI(torch.eye(1), torch.tensor([[0.6]]), torch.eye(1))
    >>> round(f.value([0]), 4)  # −log 0.64
    0.4463
    """

    kernel: Tensor
    query: Tensor
    query_kernel: Tensor
    eta: float = 1.0

    def __post_init__(self) -> None:
        check_symmetric("kernel", self.kernel)
        check_array("query", self.query, rank=2)
        check_symmetric("query_kernel", self.query_kernel, size=self.query.shape[1])
        check_range("eta", torch.tensor(self.eta), low=0.0, high=1.0)
        n = len(self.kernel)
        if len(self.query) != n:
            raise ShapeError(f"query: expected ({n}, q), got {tuple(self.query.shape)}")
        joint = torch.cat(
            [
                torch.cat([self.kernel, self.query], 1),
                torch.cat([self.query.T, self.query_kernel], 1),
            ]
        )
        if int(torch.linalg.cholesky_ex(joint).info):
            raise ParameterError(
                "kernel: expected a positive definite joint matrix, got one not so"
            )

    @property
    def n(self) -> int:
        """Number of elements."""
        return len(self.kernel)

    @property
    def properties(self) -> frozenset[Property]:
        """Mutual information never falls; it need not have diminishing returns."""
        return frozenset({NORMALIZED, MONOTONE})

    @cached_property
    def given(self) -> Tensor:
        """Kernel of the elements given the query (n, n)."""
        told = self.query @ torch.linalg.solve(self.query_kernel, self.query.T)
        return self.kernel - self.eta**2 * told

    def value(self, selected: Sequence[int]) -> float:
        """Difference of the two log-determinants."""
        s = sorted(selected)
        return _log_det(self.kernel[s][:, s]) - _log_det(self.given[s][:, s])

    def start(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Cholesky rows (0, n) and unexplained variances (n,) of both determinants."""
        none = self.kernel.new_zeros(0, self.n)
        return none, self.kernel.diagonal(), none, self.given.diagonal()

    def gains(self, state: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        """Log ratio of what is unexplained without and with the query."""
        return (state[1] / state[3]).log()

    def gain_of(self, state: tuple[Tensor, Tensor, Tensor, Tensor], i: int) -> float:
        """One entry of `gains`."""
        return float((state[1][i] / state[3][i]).log())

    def extend(
        self, state: tuple[Tensor, Tensor, Tensor, Tensor], i: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One more row of either factor.

        Source: chen2018, Algorithm 1.
        """
        rows, variance, given_rows, given_variance = state
        return *_row(self.kernel, rows, variance, i), *_row(
            self.given, given_rows, given_variance, i
        )


def _row(matrix: Tensor, rows: Tensor, variance: Tensor, i: int) -> tuple[Tensor, Tensor]:
    """Factor and variance after pivot i; those of selected elements mean nothing."""
    new = (matrix[i] - rows[:, i] @ rows) / variance[i].sqrt()
    return torch.cat([rows, new[None]]), variance - new.square()
