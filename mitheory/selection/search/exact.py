"""Searches that find the best set: one sort where gains are fixed, else all sets."""

from __future__ import annotations

import math
from itertools import combinations

from ...checks import check_budget
from ...errors import ParameterError, PropertyError
from ...properties import MODULAR
from ...setfunctions import SetFunction
from ..record import Selection
from .objective import Objective, declared, record

LARGEST_ENUMERATION = 2_000_000


def top_k(objective: Objective, budget: int | float) -> Selection:
    """The elements of largest gain at the start, by one stable sort: exact where gains are fixed.

    Source: Eq. (22) with λ = 1; Sec. 3.3.

    Raises
    ------
    PropertyError
        If the objective does not declare MODULAR.

    Examples
    --------
    >>> import torch
    >>> from mitheory.scores import mi_score
    >>> relevance = torch.tensor([0.2, 0.9, 0.5])
    >>> top_k(mi_score(relevance, torch.eye(3), relevance_weight=1.0), 2).indices
    tensor([1, 2])
    """
    if MODULAR not in objective.properties:
        raise PropertyError(
            f"top_k: expected an objective that declares MODULAR, got "
            f"{type(objective).__name__} with {declared(objective)}; use `greedy`"
        )
    k = check_budget(budget, objective.n)
    gains, order = objective.gains(objective.start()).sort(descending=True, stable=True)
    chosen, values = order[:k].tolist(), gains[:k].tolist()
    return record("top_k", objective, chosen, values, "exact", objective.n)


def exhaustive(objective: SetFunction, budget: int | float) -> Selection:
    """The best of all sets of the budget's size; the lexicographically first among equals.

    Source: nemhauser1978.

    Raises
    ------
    PropertyError
        If the objective has no value: then there is no best set.
    ParameterError
        If there are more than two million sets.

    Examples
    --------
    The column that alone is best is in no best pair.

    >>> import torch
    >>> from mitheory.setfunctions import FacilityLocation
    >>> covers = FacilityLocation(torch.tensor([[0, 1, 0], [1, 1, 0], [1, 0, 1], [0.5, 0, 1]]))
    >>> exhaustive(covers, 1).indices, exhaustive(covers, 2).indices
    (tensor([0]), tensor([1, 2]))
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
    return record("exhaustive", objective, list(best), gains, "exact", count)
