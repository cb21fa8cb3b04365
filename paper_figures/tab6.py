"""Tab. 6: softmax against MinMax, beside ours."""

from __future__ import annotations

import pandas as pd

from . import counterparts, printed_tables
from .results import Results

METRICS = {"GQA": "GQA", "SQA": "SQA"}
CONDITIONALS = ("minmax", "softmax")
KEYS = {f"MI-Pruner({name})": name for name in CONDITIONALS}


def measure(results: Results) -> pd.DataFrame:
    """Accuracy by form of question of both conditionals."""
    names: dict[object, str] = {name: name for name in CONDITIONALS}
    return counterparts.varied(results, "conditional", names)


data = printed_tables.data_of(6, METRICS, measure, KEYS)
FIGURE = printed_tables.spec(
    6,
    "Normalization, as printed, and ours",
    data,
    "GQA is open-ended, SQA closed-form.",
)
