"""Selection: methods behind one front door, and search algorithms for any objective."""

from __future__ import annotations

from .front_door import Options, select, select_batch
from .merging import Merge
from .record import Mode, Selection
from .registry import SELECTORS, Method
from .search import exhaustive, greedy, lazy_greedy, stochastic_greedy, top_k

__all__ = [
    "SELECTORS",
    "Merge",
    "Method",
    "Mode",
    "Options",
    "Selection",
    "exhaustive",
    "greedy",
    "lazy_greedy",
    "select",
    "select_batch",
    "stochastic_greedy",
    "top_k",
]
