"""Search: the largest total gain within a budget, for any objective.

An objective is a `SetFunction` or a score rule such as `MIScore`: pure functions from a state to
the gain of every element, with declared properties. What may be promised of the result, and which
algorithm may run at all, follows from those. Ties go to the lowest index.
"""

from __future__ import annotations

from .eager import greedy, stochastic_greedy
from .exact import exhaustive, top_k
from .lazy import lazy_greedy
from .objective import Objective, greedy_guarantee

__all__ = [
    "Objective",
    "exhaustive",
    "greedy",
    "greedy_guarantee",
    "lazy_greedy",
    "stochastic_greedy",
    "top_k",
]
