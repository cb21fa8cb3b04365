"""Score rules: scores that depend on the order of selection and add up to no set function.

The greedy score of MI-Pruner subtracts the redundancy with what is already selected. Its running
total depends on the order of selection, so that it has a next score and no value, and no guarantee
that needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import torch
from torch import Tensor

from .checks import check_relevance_weight, lookup
from .errors import ParameterError, ShapeError
from .properties import (
    ANTITONE,
    ANTITONE_AFTER_FIRST,
    MODULAR,
    PATH_INDEPENDENT,
    Property,
)

Aggregation = Literal["max", "global"]


class ScoreRule(Protocol):
    """The next score of every element, given what is selected. It has no `value(S)`."""

    @property
    def n(self) -> int:
        """Number of elements."""
        ...

    @property
    def properties(self) -> frozenset[Property]:
        """What is proved of this instance."""
        ...

    def scores(self, selected: Sequence[int]) -> Tensor:
        """Score of every element (n,) once these are selected."""
        ...


@dataclass(frozen=True)
class State:
    """Redundancy so far of every element (n,), and the number of selected ones."""

    redundancy: Tensor
    size: int


@dataclass(frozen=True, eq=False)
class MIScore:
    """S_i = λ S_i^cross − (1 − λ) S_i^self, made by `mi_score`."""

    relevance: Tensor
    pmi: Tensor
    weights: Tensor | None
    relevance_weight: float
    empty_redundancy: float
    aggregation: Aggregation

    @property
    def n(self) -> int:
        """Number of visual tokens."""
        return len(self.relevance)

    @cached_property
    def properties(self) -> frozenset[Property]:
        """Antitone for the maximum only; from the start only if the empty set is worth least."""
        if self.relevance_weight == 1:
            return frozenset({MODULAR, PATH_INDEPENDENT, ANTITONE, ANTITONE_AFTER_FIRST})
        if self.aggregation != "max":
            return frozenset()
        below = self.empty_redundancy <= lowest_redundancy(self.pmi)
        return frozenset({ANTITONE_AFTER_FIRST} | ({ANTITONE} if below else set()))

    def scores(self, selected: Sequence[int]) -> Tensor:
        """Eq. (22) from its definition.

        Source: Eqs. (20)-(23).
        """
        state = self.start()
        for j in selected:
            state = self.extend(state, j)
        return self.gains(state)

    def start(self) -> State:
        """Nothing selected."""
        return State(torch.full_like(self.relevance, -torch.inf), 0)

    def gains(self, state: State) -> Tensor:
        """Score of every element (n,), nats."""
        redundancy = state.redundancy
        if state.size == 0:
            redundancy = torch.full_like(self.relevance, self.empty_redundancy)
        return weighted_score(self.relevance, redundancy, self.relevance_weight)

    def gain_of(self, state: State, i: int) -> float:
        """Score of one element."""
        redundancy = state.redundancy[i : i + 1]
        if state.size == 0:
            redundancy = torch.full_like(redundancy, self.empty_redundancy)
        score = weighted_score(self.relevance[i : i + 1], redundancy, self.relevance_weight)
        return float(score)

    def extend(self, state: State, i: int) -> State:
        """Redundancy with element i selected as well; one column of the PMI."""
        column = REDUNDANCIES[self.aggregation](state, self, i)
        return State(column, state.size + 1)


def weighted_score(relevance: Tensor, redundancy: Tensor, relevance_weight: float) -> Tensor:
    """λ · relevance − (1 − λ) · redundancy, with a term of weight 0 left out.

    A token without any relevance (−∞) scores −∞ whatever its redundancy.

    Source: Eq. (22).

    Examples
    --------
    >>> weighted_score(torch.tensor([1.0, -torch.inf]), torch.tensor([-torch.inf] * 2), 0.5)
    tensor([inf, -inf])
    """
    lam = relevance_weight
    if lam == 1:
        return relevance
    if lam == 0:
        return -redundancy
    score = lam * relevance - (1 - lam) * redundancy
    return torch.where(torch.isneginf(relevance), relevance, score)


def lowest_redundancy(pmi: Tensor) -> float:
    """Smallest self-PMI between two different tokens: the empty set worth less is antitone.

    Source: Eq. (20).

    Examples
    --------
    >>> lowest_redundancy(torch.tensor([[-9.0, 1.0], [-2.0, -9.0]]))
    -2.0
    """
    if len(pmi) < 2:
        return float("inf")
    off = ~torch.eye(len(pmi), dtype=torch.bool, device=pmi.device)
    return float(pmi[off].min())


def mi_score(
    relevance: Tensor,
    self_pmi: Tensor,
    *,
    relevance_weight: float = 0.5,
    empty_redundancy: float | Literal["lowest"] = 0.0,
    aggregation: Aggregation = "max",
    log_cond: Tensor | None = None,
) -> MIScore:
    """The paper's greedy score as a rule over the elements of one sample.

    Source: Eqs. (20)-(23).

    Parameters
    ----------
    relevance : (n_v,) nats
        S_i^cross; −∞ allowed.
    self_pmi : (n_v, n_v) nats
        PMI(v_i; v_j) in row i and column j; −∞ allowed.
    relevance_weight : λ in [0, 1]
    empty_redundancy : nats
        S_i^self before the first choice, which Eq. (20) leaves undefined. Every constant gives the
        same greedy choices. Above some PMI a score rises after the first choice, so that the rule
        is not ANTITONE; "lowest" takes the smallest PMI between different tokens, and it is.
    aggregation : "max" (Eq. 20) or "global" (Eq. 21 over V_S, which is not antitone)
    log_cond : (n_v, n_v) nats, log p(v_j | v_i); needed by "global"

    Raises
    ------
    ParameterError
        If λ is outside [0, 1], "global" lacks `log_cond`, or "lowest" would be −∞.
    ShapeError
        If `self_pmi` or `log_cond` is not square of the size of `relevance`.

    Examples
    --------
    >>> pmi = torch.tensor([[0.0, -1.0], [-1.0, 0.0]])
    >>> rule = mi_score(torch.tensor([1.0, 0.5]), pmi)
    >>> rule.scores([]), rule.scores([0])  # the second token's score has risen
    (tensor([0.5000, 0.2500]), tensor([0.5000, 0.7500]))
    >>> ANTITONE in rule.properties
    False
    """
    n = len(relevance)
    for name, matrix in (("self_pmi", self_pmi), ("log_cond", log_cond)):
        if matrix is not None and matrix.shape != (n, n):
            raise ShapeError(f"{name}: expected ({n}, {n}), got {tuple(matrix.shape)}")
    check_relevance_weight(relevance_weight)
    lookup(aggregation, REDUNDANCIES, "redundancy aggregation")
    if aggregation == "global" and log_cond is None:
        raise ParameterError('aggregation: "global" weighs with p(v_j | v_i); give log_cond')
    empty = resolve_empty_redundancy(empty_redundancy, self_pmi)
    weights = None if log_cond is None else log_cond.exp()
    return MIScore(relevance, self_pmi, weights, relevance_weight, empty, aggregation)


def resolve_empty_redundancy(empty_redundancy: float | str, self_pmi: Tensor) -> float:
    """The number that "lowest" stands for; any other number is itself.

    Source: Eq. (20).

    Examples
    --------
    >>> own = torch.tensor([[0.5, -0.25], [-0.25, 0.5]])
    >>> resolve_empty_redundancy("lowest", own), resolve_empty_redundancy(0, own)
    (-0.25, 0.0)
    """
    if not isinstance(empty_redundancy, str):
        return float(empty_redundancy)
    if empty_redundancy != "lowest":
        raise ParameterError(
            f'empty_redundancy: expected a number or "lowest", got {empty_redundancy!r}'
        )
    lowest = lowest_redundancy(self_pmi)
    if lowest == -torch.inf:
        raise ParameterError('empty_redundancy: "lowest" is -inf for this PMI; give a number')
    return 0.0 if lowest == torch.inf else lowest


def _running_max(state: State, rule: MIScore, i: int) -> Tensor:
    return state.redundancy.maximum(rule.pmi[:, i])


def _running_sum(state: State, rule: MIScore, i: int) -> Tensor:
    """Σ_j p(v_j | v_i) PMI(v_i; v_j), where 0 · −∞ is 0."""
    assert rule.weights is not None
    weight = rule.weights[:, i]
    term = torch.where(weight > 0, weight * rule.pmi[:, i], 0.0)
    return term if state.size == 0 else state.redundancy + term


REDUNDANCIES: dict[str, Callable[[State, MIScore, int], Tensor]] = {
    "max": _running_max,
    "global": _running_sum,
}
"""How the redundancy with a growing selection is kept, by name."""
