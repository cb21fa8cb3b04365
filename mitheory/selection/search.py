"""Search: the largest total gain within a budget, for any objective.

An objective is a `SetFunction` or a score rule such as `MIScore`: pure functions from a state to
the gain of every element, with declared properties. What may be promised of the result, and which
algorithm may run at all, follows from those. Ties go to the lowest index.
"""

from __future__ import annotations

import heapq
import math
from itertools import combinations
from typing import Any, Protocol

import torch
from torch import Tensor

from ..checks import check_budget
from ..errors import ParameterError, PropertyError
from ..properties import (
    ANTITONE,
    ANTITONE_AFTER_FIRST,
    MODULAR,
    MONOTONE,
    NORMALIZED,
    SUBMODULAR,
    Property,
)
from ..setfunctions import SetFunction
from .record import Selection

LARGEST_ENUMERATION = 2_000_000


class Objective(Protocol):
    """What the algorithms ask of an objective."""

    @property
    def n(self) -> int:
        """Number of elements."""
        ...

    @property
    def properties(self) -> frozenset[Property]:
        """What is proved of it."""
        ...

    def start(self) -> Any:
        """State of the empty selection."""
        ...

    def gains(self, state: Any) -> Tensor:
        """Gain of every element (n,)."""
        ...

    def gain_of(self, state: Any, i: int) -> float:
        """Gain of one element."""
        ...

    def extend(self, state: Any, i: int) -> Any:
        """State with i selected."""
        ...


def greedy(objective: Objective, budget: int | float) -> Selection:
    """Take the element of largest gain, again and again.

    Source: Eqs. (14), (24); nemhauser1978 for 1 − 1/e, which only a normalized, monotone,
    submodular set function has.

    Examples
    --------
    >>> from mitheory.setfunctions import FacilityLocation
    >>> covers = FacilityLocation(torch.tensor([[0.2, 0.9, 0.8], [0.8, 0.1, 0.2]]))
    >>> kept = greedy(covers, 2)
    >>> kept.indices, kept.guarantee
    (tensor([0, 1]), '1-1/e')
    """
    k = check_budget(budget, objective.n)
    state, chosen, gains = objective.start(), [], []
    open_ = torch.ones(objective.n, dtype=torch.bool)
    for _ in range(k):
        i, gain = _best(objective.gains(state), open_)
        chosen.append(i)
        gains.append(gain)
        open_[i] = False
        state = objective.extend(state, i)
    evaluations = sum(objective.n - t for t in range(k))
    return _selection("greedy", objective, chosen, gains, greedy_guarantee(objective), evaluations)


def lazy_greedy(
    objective: Objective, budget: int | float, *, seed_after_first: bool = False
) -> Selection:
    """The greedy choices with a heap of stale gains, each refreshed only when it comes to the top.

    A stale gain is an upper bound only if gains never rise: SUBMODULAR or ANTITONE must be
    declared. `seed_after_first` fills the heap after a full first choice, which is all that the
    greedy score with a maximum needs (ANTITONE_AFTER_FIRST), whatever its empty redundancy.

    Source: minoux1978.

    Raises
    ------
    PropertyError
        If the objective does not declare the property.
    """
    enough = {SUBMODULAR, MODULAR, ANTITONE}
    enough |= {ANTITONE_AFTER_FIRST} if seed_after_first else set()
    if not enough & objective.properties:
        needed = " or ".join(sorted(p.name for p in enough))
        hint = "" if seed_after_first else ", set `empty_redundancy` below every PMI"
        raise PropertyError(
            f"lazy_greedy: expected an objective that declares {needed}, got "
            f"{type(objective).__name__} with {_names(objective)}; use `greedy`{hint}"
            + ("" if seed_after_first else ", or `seed_after_first=True`")
        )
    k = check_budget(budget, objective.n)
    state, chosen, gains = objective.start(), [], []
    keys = objective.gains(state)
    evaluations = objective.n
    open_ = torch.ones(objective.n, dtype=torch.bool)
    if seed_after_first:
        i, gain = _best(keys, open_)
        chosen.append(i)
        gains.append(gain)
        state = objective.extend(state, i)
        keys = objective.gains(state)
        evaluations += objective.n - 1
    heap = [(-g, i, len(chosen)) for i, g in enumerate(keys.tolist()) if i not in chosen]
    heapq.heapify(heap)
    while len(chosen) < k:
        key, i, seen = heapq.heappop(heap)
        if seen == len(chosen):  # fresh: nothing below can be better
            chosen.append(i)
            gains.append(-key)
            state = objective.extend(state, i)
        else:
            heapq.heappush(heap, (-objective.gain_of(state, i), i, len(chosen)))
            evaluations += 1
    name = "lazy_greedy"
    return _selection(name, objective, chosen, gains, greedy_guarantee(objective), evaluations)


def top_k(objective: Objective, budget: int | float) -> Selection:
    """The elements of largest gain at the start, by one stable sort: exact where gains are fixed.

    Source: Eq. (22) with λ = 1; Sec. 3.3.

    Raises
    ------
    PropertyError
        If the objective does not declare MODULAR.
    """
    if MODULAR not in objective.properties:
        raise PropertyError(
            f"top_k: expected an objective that declares MODULAR, got "
            f"{type(objective).__name__} with {_names(objective)}; use `greedy`"
        )
    k = check_budget(budget, objective.n)
    gains, order = objective.gains(objective.start()).sort(descending=True, stable=True)
    chosen, values = order[:k].tolist(), gains[:k].tolist()
    return _selection("top_k", objective, chosen, values, "exact", objective.n)


def stochastic_greedy(
    objective: Objective, budget: int | float, *, rng: torch.Generator, epsilon: float = 0.1
) -> Selection:
    """Greedy over a fresh random sample of (n/k) log(1/ε) elements at each step.

    Source: mirzasoleiman2015, Algorithm 1.

    Raises
    ------
    ParameterError
        If ε is not inside (0, 1).
    """
    if not 0 < epsilon < 1:
        raise ParameterError(f"epsilon: expected inside (0, 1), got {epsilon}")
    k = check_budget(budget, objective.n)
    size = math.ceil(objective.n / k * math.log(1 / epsilon))
    state, chosen, gains = objective.start(), [], []
    rest, evaluations = list(range(objective.n)), 0
    for _ in range(k):
        drawn = torch.randperm(len(rest), generator=rng)[:size].tolist()
        candidates = sorted(rest[d] for d in drawn)
        values = [objective.gain_of(state, c) for c in candidates]
        gain = max(values)
        i = candidates[values.index(gain)]
        chosen.append(i)
        gains.append(gain)
        rest.remove(i)
        evaluations += len(candidates)
        state = objective.extend(state, i)
    licensed = greedy_guarantee(objective) is not None
    promise = f"1-1/e-{epsilon:g} in expectation" if licensed else None
    return _selection("stochastic_greedy", objective, chosen, gains, promise, evaluations)


def exhaustive(objective: SetFunction, budget: int | float) -> Selection:
    """The best of all sets of the budget's size; the lexicographically first among equals.

    Source: nemhauser1978.

    Raises
    ------
    PropertyError
        If the objective has no value: then there is no best set.
    ParameterError
        If there are more than two million sets.
    """
    if not hasattr(objective, "value"):
        raise PropertyError(
            f"exhaustive: expected a SetFunction, got {type(objective).__name__}, whose total "
            "depends on the order of selection"
        )
    k = check_budget(budget, objective.n)
    count = math.comb(objective.n, k)
    if count > LARGEST_ENUMERATION:
        raise ParameterError(
            f"budget: expected at most {LARGEST_ENUMERATION} sets, got {count} ({k} of "
            f"{objective.n})"
        )
    best = max(combinations(range(objective.n), k), key=objective.value)
    gains = [objective.gain(i, best[:t]) for t, i in enumerate(best)]
    return _selection("exhaustive", objective, list(best), gains, "exact", count)


def greedy_guarantee(objective: Objective) -> str | None:
    """What the declared properties license greedy to promise.

    Source: nemhauser1978.
    """
    if MODULAR in objective.properties:
        return "exact"
    is_set_function = isinstance(objective, SetFunction)
    if is_set_function and {NORMALIZED, MONOTONE, SUBMODULAR} <= objective.properties:
        return "1-1/e"
    return None


def _best(gains: Tensor, open_: Tensor) -> tuple[int, float]:
    """First open element of largest gain; −∞ is a gain like any other."""
    candidates = open_.nonzero()[:, 0]
    values = gains[candidates]
    i = int(candidates[int((values == values.max()).nonzero()[0])])
    return i, float(gains[i])


def _names(objective: Objective) -> str:
    return "{" + ", ".join(sorted(p.name for p in objective.properties)) + "}"


def _selection(
    name: str,
    objective: Objective,
    chosen: list[int],
    gains: list[float],
    guarantee: str | None,
    evaluations: int,
) -> Selection:
    return Selection(
        indices=torch.tensor(chosen, dtype=torch.int64),
        gains=torch.tensor(gains, dtype=torch.float64),
        method=name,
        budget=len(chosen),
        n_v=objective.n,
        guarantee=guarantee,
        evaluations=evaluations,
    )
