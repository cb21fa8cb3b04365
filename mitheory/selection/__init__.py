"""Selection: methods behind one front door, and search algorithms for any objective."""

from __future__ import annotations

from .front_door import Options, select, select_batch
from .merging import Merge
from .record import Mode, Selection
from .registry import SELECTORS, Method
from .search import exhaustive, greedy, lazy_greedy, stochastic_greedy, top_k
from .stopping import (
    calibrated_level,
    certified_curve,
    certified_curve_of,
    gain_curve,
    prefix,
    stop,
    stopped,
)
from .words import select_words

__all__ = [
    "SELECTORS",
    "Merge",
    "Method",
    "Mode",
    "Options",
    "Selection",
    "calibrated_level",
    "certified_curve",
    "certified_curve_of",
    "exhaustive",
    "gain_curve",
    "greedy",
    "lazy_greedy",
    "prefix",
    "select",
    "select_batch",
    "select_words",
    "stochastic_greedy",
    "stop",
    "stopped",
    "top_k",
]
