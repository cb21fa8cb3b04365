"""Greedy, and greedy over random samples: every gain is computed afresh."""

from __future__ import annotations

import math

import torch

from ...checks import check_budget
from ...errors import ParameterError
from ..record import Selection
from .objective import Objective, best_open, greedy_guarantee, record


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
        i, gain = best_open(objective.gains(state), open_)
        chosen.append(i)
        gains.append(gain)
        open_[i] = False
        state = objective.extend(state, i)
    evaluations = sum(objective.n - t for t in range(k))
    return record("greedy", objective, chosen, gains, greedy_guarantee(objective), evaluations)


def stochastic_greedy(
    objective: Objective, budget: int | float, *, rng: torch.Generator, epsilon: float = 0.1
) -> Selection:
    """Greedy over a fresh random sample of (n/k) log(1/ε) elements at each step.

    Source: mirzasoleiman2015, Algorithm 1.

    Raises
    ------
    ParameterError
        If ε is not inside (0, 1).

    Examples
    --------
    >>> from mitheory.setfunctions import FacilityLocation
    >>> covers = FacilityLocation(torch.tensor([4.0, 3.0, 2.0, 1.0]).diag())
    >>> found = stochastic_greedy(covers, 2, rng=torch.Generator().manual_seed(0), epsilon=0.5)
    >>> found.indices, found.evaluations, found.guarantee
    (tensor([0, 1]), 4, '1-1/e-0.5 in expectation')
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
    return record("stochastic_greedy", objective, chosen, gains, promise, evaluations)
