"""Tab. 5: the temperature, beside ours."""

from __future__ import annotations

import pandas as pd

from . import counterparts, printed_tables
from .results import Results

METRICS = {"GQA": "GQA", "SQA": "SQA"}
TEMPERATURES = (0.01, 0.1, 0.5)
KEYS = {f"MI-Pruner(tau={value:g})": f"tau={value:g}" for value in TEMPERATURES}


def measure(results: Results) -> pd.DataFrame:
    """Accuracy by form of question at the printed temperatures."""
    names: dict[object, str] = {value: f"tau={value:g}" for value in TEMPERATURES}
    return counterparts.varied(results, "temperature", names)


data = printed_tables.data_of(5, METRICS, measure, KEYS)
FIGURE = printed_tables.spec(
    5,
    "The temperature, as printed, and ours",
    data,
    "GQA is open-ended, SQA closed-form.",
)
