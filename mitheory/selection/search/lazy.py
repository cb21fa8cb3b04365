"""Lazy greedy: a heap of gains that are upper bounds, where it is proved that they are."""

from __future__ import annotations

import heapq

import torch

from ...checks import check_budget
from ...errors import PropertyError
from ...properties import ANTITONE, ANTITONE_AFTER_FIRST, MODULAR, SUBMODULAR
from ..record import Selection
from .objective import Objective, best_open, declared, greedy_guarantee, record

ROUNDING_UNITS = 64  # a gain refreshed higher by no more than this has not risen


def lazy_greedy(
    objective: Objective,
    budget: int | float,
    *,
    seed_after_first: bool = False,
    certify: bool = False,
) -> Selection:
    """The greedy choices with a heap of stale gains, each refreshed only when it comes to the top.

    A stale gain is an upper bound only if gains never rise: SUBMODULAR or ANTITONE must be
    declared. `seed_after_first` fills the heap after a full first choice, which is all that the
    greedy score with a maximum needs (ANTITONE_AFTER_FIRST), whatever its empty redundancy.

    `certify` runs the heap on any objective and then says whether this run was greedy. Keys that
    rose when refreshed are a warning sign and no more: a key that was never refreshed may have
    risen unseen. So the choices are followed once more with *all* gains at every step, and the run
    is certified if each choice is the one that greedy makes there. That costs as many evaluations
    as greedy does, less those of the steps after the first difference; only a declared property
    makes laziness cheap. `Selection.info` then has

    - ``certified``: whether these are the choices of `greedy`
    - ``first_difference``: the first step (from 0) that is not greedy, or None
    - ``risen_keys``: how many refreshed gains exceeded their key
    - ``check_evaluations``: the cost of the check, which is part of `evaluations`

    Source: minoux1978.

    Raises
    ------
    PropertyError
        If the objective does not declare the property, unless `certify`.

    Examples
    --------
    >>> from mitheory.selection import greedy
    >>> from mitheory.setfunctions import FacilityLocation
    >>> covers = FacilityLocation(torch.tensor([4.0, 3.0, 2.0, 1.0]).diag())
    >>> lazy, eager = lazy_greedy(covers, 3), greedy(covers, 3)
    >>> lazy.indices.equal(eager.indices), lazy.evaluations, eager.evaluations
    (True, 6, 9)
    """
    enough = {SUBMODULAR, MODULAR, ANTITONE}
    enough |= {ANTITONE_AFTER_FIRST} if seed_after_first else set()
    if not certify and not enough & objective.properties:
        needed = " or ".join(sorted(p.name for p in enough))
        hint = "" if seed_after_first else ", set `empty_redundancy` below every PMI"
        raise PropertyError(
            f"lazy_greedy: expected an objective that declares {needed}, got "
            f"{type(objective).__name__} with {declared(objective)}; use `greedy`{hint}"
            + ("" if seed_after_first else ", or `seed_after_first=True`")
            + ", or `certify=True`"
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
    risen, rounding = 0, ROUNDING_UNITS * torch.finfo(keys.dtype).eps
    while len(chosen) < k:
        key, i, seen = heapq.heappop(heap)
        if seen == len(chosen):  # fresh: nothing below can be better
            chosen.append(i)
            gains.append(-key)
            state = objective.extend(state, i)
        else:
            gain = objective.gain_of(state, i)
            risen += gain > -key + rounding * max(1.0, abs(key), abs(gain))
            heapq.heappush(heap, (-gain, i, len(chosen)))
            evaluations += 1
    info: dict[str, object] = {}
    if certify:
        difference, checked = _first_difference(objective, chosen)
        evaluations += checked
        info = {
            "certified": difference is None,
            "first_difference": difference,
            "risen_keys": risen,
            "check_evaluations": checked,
        }
    guarantee = greedy_guarantee(objective)
    if info and not info["certified"]:
        guarantee = None
    return record("lazy_greedy", objective, chosen, gains, guarantee, evaluations, info)


def _first_difference(objective: Objective, chosen: list[int]) -> tuple[int | None, int]:
    """First step at which greedy would choose another element, and the gains that it took."""
    state, evaluations = objective.start(), 0
    open_ = torch.ones(objective.n, dtype=torch.bool)
    for step, i in enumerate(chosen):
        evaluations += objective.n - step
        if best_open(objective.gains(state), open_)[0] != i:
            return step, evaluations
        open_[i] = False
        state = objective.extend(state, i)
    return None, evaluations
