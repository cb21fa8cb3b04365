"""Selection: methods behind one front door, and search algorithms for any objective."""

from __future__ import annotations

from .front_door import Options, select, select_batch
from .record import Selection
from .registry import SELECTORS, Method
from .search import exhaustive, greedy, lazy_greedy, stochastic_greedy, top_k

__all__ = [
    "SELECTORS",
    "Method",
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
