"""Lazy greedy: a heap of gains that are upper bounds, where it is proved that they are."""

from __future__ import annotations

import heapq

import torch

from ...checks import check_budget
from ...errors import PropertyError
from ...properties import ANTITONE, ANTITONE_AFTER_FIRST, MODULAR, SUBMODULAR
from ..record import Selection
from .objective import Objective, best_open, declared, greedy_guarantee, record


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
            f"{type(objective).__name__} with {declared(objective)}; use `greedy`{hint}"
            + ("" if seed_after_first else ", or `seed_after_first=True`")
        )
    k = check_budget(budget, objective.n)
    state, chosen, gains = objective.start(), [], []
    keys = objective.gains(state)
    evaluations = objective.n
    open_ = torch.ones(objective.n, dtype=torch.bool)
    if seed_after_first:
        i, gain = best_open(keys, open_)
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
    return record(name, objective, chosen, gains, greedy_guarantee(objective), evaluations)
