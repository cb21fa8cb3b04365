"""Mutual information of discrete variables, exactly, from a joint table; its pairwise relative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..properties import MONOTONE, NORMALIZED, SUBMODULAR, Property
from .base import SetFunction
from .validation import check_array, check_range, check_symmetric, check_table


def entropy(probability: Tensor) -> float:
    """Shannon entropy of a table of probabilities, nats.

    Source: cover2006, Eq. 2.1.

    Examples
    --------
    >>> round(entropy(torch.tensor([0.5, 0.5])), 4)
    0.6931
    """
    return float(-torch.special.xlogy(probability, probability).sum())


def is_conditionally_independent(table: Tensor, *, tolerance: float = 1e-9) -> bool:
    """Whether V_1..V_n are independent given T, the last axis of the joint table.

    The assumption under which Sec. 2.3 calls mutual information submodular. Source: krause2005.

    Examples
    --------
    Two copies of a fair bit T, and two fair bits with T their exclusive or.

    >>> copies = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]]) / 2
    >>> exclusive_or = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]]) / 4
    >>> is_conditionally_independent(copies), is_conditionally_independent(exclusive_or)
    (True, False)
    """
    p_t = table.sum(dim=tuple(range(table.ndim - 1)))
    given = torch.where(p_t > 0, table / p_t.clamp_min(torch.finfo(table.dtype).tiny), 0.0)
    product = torch.ones_like(p_t)
    for i in range(table.ndim - 1):
        others = tuple(j for j in range(table.ndim - 1) if j != i)
        factor = given.sum(dim=others) if others else given  # (k_i, k_T)
        shape = [1] * (table.ndim - 1) + [table.shape[-1]]
        shape[i] = table.shape[i]
        product = product * factor.reshape(shape)
    return bool(((given - product).abs() * p_t <= tolerance).all())


@dataclass(frozen=True, eq=False)
class DiscreteMI(SetFunction):
    """f(S) = I(V_S; T) of discrete variables, by entropies of marginal tables.

    Monotone always; submodular is declared only where the table itself is conditionally
    independent given T. Exclusive or is the counter-example without it.

    Source: Eqs. (8), (11).

    Parameters
    ----------
    table : (k_1, ..., k_n, k_T) joint probabilities, T last

    Examples
    --------
    >>> xor = torch.zeros(2, 2, 2, dtype=torch.float64)
    >>> for a, b in [(0, 0), (0, 1), (1, 0), (1, 1)]:
    ...     xor[a, b, a ^ b] = 0.25
    >>> f = DiscreteMI(xor)
    >>> round(f.gain(0, []), 4), round(f.gain(0, [1]), 4)
    (0.0, 0.6931)
    """

    table: Tensor

    def __post_init__(self) -> None:
        check_table("table", self.table)

    @property
    def n(self) -> int:
        """Number of variables beside T."""
        return self.table.ndim - 1

    @cached_property
    def properties(self) -> frozenset[Property]:
        """Submodular under conditional independence, which the table is asked for."""
        proved = {SUBMODULAR} if is_conditionally_independent(self.table) else set()
        return frozenset({NORMALIZED, MONOTONE} | proved)

    def value(self, selected: Sequence[int]) -> float:
        """H(V_S) + H(T) − H(V_S, T), nats."""
        left_out = tuple(i for i in range(self.n) if i not in selected)
        joint = self.table.sum(dim=left_out) if left_out else self.table  # (..., k_T)
        p_t = joint.sum(dim=tuple(range(joint.ndim - 1))) if joint.ndim > 1 else joint
        return entropy(joint.sum(dim=-1)) + entropy(p_t) - entropy(joint)


@dataclass(frozen=True, eq=False)
class ChowLiuMI(SetFunction):
    """Sum of relevances minus the heaviest spanning tree of pairwise redundancy.

    The tree bounds the total correlation from below, and contains the pairwise maximum of Eq. (20)
    made independent of order. It is not submodular in general, and not monotone.

    Source: chow1968; Eq. (20).

    Parameters
    ----------
    relevance : (n,) nats, I(V_i; T)
    redundancy : (n, n) symmetric, nonnegative nats, I(V_i; V_j)

    Examples
    --------
    >>> pairs = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]])
    >>> ChowLiuMI(torch.zeros(3), pairs).value([0, 1, 2])
    -5.0
    """

    relevance: Tensor
    redundancy: Tensor

    def __post_init__(self) -> None:
        check_array("relevance", self.relevance, rank=1)
        check_symmetric("redundancy", self.redundancy, size=len(self.relevance))
        check_range("redundancy", self.redundancy, low=0.0)

    @property
    def n(self) -> int:
        """Number of variables."""
        return len(self.relevance)

    @property
    def properties(self) -> frozenset[Property]:
        """Nothing but the empty set's zero."""
        return frozenset({NORMALIZED})

    def value(self, selected: Sequence[int]) -> float:
        """Relevance minus the weight of the maximum spanning tree (Prim) of the set."""
        chosen = sorted(selected)  # the order of summation must not depend on the path
        total = float(self.relevance[chosen].sum())
        if len(chosen) < 2:
            return total
        weights = self.redundancy[chosen][:, chosen]
        outside = torch.ones(len(chosen), dtype=torch.bool)
        outside[0] = False
        best = weights[0].clone()  # heaviest edge from the tree to each vertex
        for _ in range(len(chosen) - 1):
            j = int(best.masked_fill(~outside, -1.0).argmax())
            total -= float(best[j])
            outside[j] = False
            best = torch.maximum(best, weights[j])
        return total
