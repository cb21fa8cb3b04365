"""Mutual information of Gaussian variables, and the log-determinant that it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..errors import ParameterError
from ..properties import MODULAR, MONOTONE, NORMALIZED, SUBMODULAR, Property
from .base import SetFunction
from .validation import check_array, check_range, check_symmetric


def _log_det(matrix: Tensor) -> float:
    """Zero for the empty matrix, −inf where it is singular."""
    return float(torch.linalg.slogdet(matrix).logabsdet) if len(matrix) else 0.0


@dataclass(frozen=True, eq=False)
class GaussianMI(SetFunction):
    """f(S) = I(V_S; T) for jointly Gaussian V_1..V_n and T.

    .. math:: f(S) = \\tfrac12 \\log\\det Σ_{SS} - \\tfrac12 \\log\\det Σ_{SS \\mid T}

    Submodular is declared only where the covariance given T is diagonal; `LogDet` is then the same
    function. Source: cover2006, Theorem 8.4.1; krause2005.

    Parameters
    ----------
    covariance : (n + m, n + m) positive definite, the n variables V first, then T
    n_v : n
    """

    covariance: Tensor
    n_v: int

    def __post_init__(self) -> None:
        check_symmetric("covariance", self.covariance)
        if not 0 < self.n_v < len(self.covariance):
            size = len(self.covariance)
            raise ParameterError(f"n_v: expected 1..{size - 1}, got {self.n_v}")
        if int(torch.linalg.cholesky_ex(self.covariance).info):
            raise ParameterError("covariance: expected a positive definite matrix, got one not so")

    @property
    def n(self) -> int:
        """Number of variables beside T."""
        return self.n_v

    @cached_property
    def conditional(self) -> Tensor:
        """Covariance of V given T (n, n), the Schur complement."""
        v, vt = self.covariance[: self.n_v, : self.n_v], self.covariance[: self.n_v, self.n_v :]
        return v - vt @ torch.linalg.solve(self.covariance[self.n_v :, self.n_v :], vt.T)

    @property
    def relevance(self) -> Tensor:
        """I(V_i; T) of each variable (n,), nats."""
        return 0.5 * (self.covariance.diagonal()[: self.n_v] / self.conditional.diagonal()).log()

    @property
    def correlation(self) -> Tensor:
        """Correlation matrix of V (n, n)."""
        scale = self.covariance.diagonal()[: self.n_v].rsqrt()
        return scale[:, None] * self.covariance[: self.n_v, : self.n_v] * scale

    @property
    def is_conditionally_independent(self) -> bool:
        """Whether the V_i are independent given T."""
        scale = self.conditional.diagonal().rsqrt()
        partial = scale[:, None] * self.conditional * scale
        return bool((partial - torch.eye(self.n_v).to(partial)).abs().max() <= 1e-6)

    @cached_property
    def properties(self) -> frozenset[Property]:
        """Submodular under conditional independence."""
        proved = {SUBMODULAR} if self.is_conditionally_independent else set()
        return frozenset({NORMALIZED, MONOTONE} | proved)

    def value(self, selected: Sequence[int]) -> float:
        """Half the difference of the two log-determinants, nats."""
        s = list(selected)
        whole = self.covariance[s][:, s]
        return 0.5 * (_log_det(whole) - _log_det(self.conditional[s][:, s]))


@dataclass(frozen=True, eq=False)
class LogDet(SetFunction):
    """Relevance plus half the log-determinant of a correlation matrix.

    .. math:: f(S) = \\sum_{i \\in S} r_i + \\tfrac12 \\log\\det (C_{SS} + ε I)

    Gaussian mutual information under conditional independence when r_i = I(V_i; T) and ε = 0;
    CDPruner's objective, halved, when r_i is the log of its relevance. Submodular for any r; not
    monotone in general, so greedy has no 1 − 1/e here.

    Source: krause2005; zhang2025cdpruner.

    Parameters
    ----------
    relevance : (n,) nats
    correlation : (n, n) positive semidefinite
    ridge : ε ≥ 0

    Examples
    --------
    >>> f = LogDet(torch.zeros(2), torch.tensor([[1.0, 0.6], [0.6, 1.0]]))
    >>> round(f.value([0, 1]), 4)  # half of log 0.64
    -0.2231
    """

    relevance: Tensor
    correlation: Tensor
    ridge: float = 0.0

    def __post_init__(self) -> None:
        check_array("relevance", self.relevance, rank=1)
        check_symmetric("correlation", self.correlation, size=len(self.relevance))
        check_range("ridge", torch.tensor(self.ridge), low=0.0)
        lowest = float(torch.linalg.eigvalsh(self.correlation)[0])
        if lowest < -1e-5:
            raise ParameterError(
                f"correlation: expected positive semidefinite, got eigenvalue {lowest:.3g}"
            )

    @property
    def n(self) -> int:
        """Number of elements."""
        return len(self.relevance)

    @cached_property
    def properties(self) -> frozenset[Property]:
        """Modular besides where nothing is correlated."""
        off = self.correlation - torch.diag(self.correlation.diagonal())
        return frozenset({NORMALIZED, SUBMODULAR} | (set() if bool(off.any()) else {MODULAR}))

    def value(self, selected: Sequence[int]) -> float:
        """−inf where the selected correlations are singular."""
        s = list(selected)
        kernel = self.correlation[s][:, s] + self.ridge * torch.eye(len(s)).to(self.correlation)
        return float(self.relevance[s].sum()) + 0.5 * _log_det(kernel)

    def start(self) -> tuple[Tensor, Tensor]:
        """Cholesky rows of the selection (0, n), and the variance it leaves unexplained (n,)."""
        return self.correlation.new_zeros(0, self.n), self.correlation.diagonal() + self.ridge

    def gains(self, state: tuple[Tensor, Tensor]) -> Tensor:
        """Relevance plus half the log of the unexplained variance.

        Source: chen2018, Eq. 9.
        """
        return self.relevance + 0.5 * state[1].clamp_min(0).log()

    def gain_of(self, state: tuple[Tensor, Tensor], i: int) -> float:
        """One entry of `gains`."""
        return float(self.gains(state)[i])

    def extend(self, state: tuple[Tensor, Tensor], i: int) -> tuple[Tensor, Tensor]:
        """One more row of the Cholesky factor.

        Source: chen2018, Algorithm 1.
        """
        rows, variance = state
        if float(variance[i]) <= 0:  # a copy of what is selected explains nothing more
            return rows, variance
        column = self.correlation[i] - rows[:, i] @ rows  # (n,)
        column[i] += self.ridge
        new = column / variance[i].sqrt()
        return torch.cat([rows, new[None]]), variance - new.square()
