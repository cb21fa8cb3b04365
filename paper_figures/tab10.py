"""Tab. 10: POPE by kind of absent thing, beside ours."""

from __future__ import annotations

import pandas as pd

from . import pope, printed_tables
from .results import Results

SPLITS = ("random", "popular", "adversarial", "average")
SHORT = {"random": "rand.", "popular": "pop.", "adversarial": "adv.", "average": "mean"}
METRICS = {
    f"POPE_{split}_{kind}": f"{SHORT[split]} {heading}"
    for split in SPLITS
    for kind, heading in (("acc", "acc"), ("f1", "F1"), ("yes", "yes"))
}
HEADINGS = {"acc": "acc", "f1": "F1", "yes": "yes"}
ABOUT = (
    "Numbers under the estimates are 95% intervals (cluster bootstrap over scenes). As in POPE "
    "each kind of absent thing stands against the present things, one to one. Where the paper "
    "keeps 128 of 576 tokens (22%), ours keeps 25%. Similarity takes the maximum over words."
)


def measure(results: Results) -> pd.DataFrame:
    """Accuracy and yes-rate by kind of absent thing; F1 stands in the figure of all methods."""
    table = pope.data(results)
    table = table[table["metric"] != "f1"]
    return pd.DataFrame([_cell(row) for row in table.to_dict("records")])


def _cell(row: printed_tables.Row) -> dict[str, object]:
    where = {
        "key": row["series"],
        "ratio": row["ratio"],
        "column": f"{SHORT[str(row['negative'])]} {HEADINGS[str(row['metric'])]}",
    }
    ends = {name: float(str(row[name])) for name in ("estimate", "low", "high")}
    if row["metric"] == "acc":
        return where | printed_tables.percent_cell(ends)
    return where | {
        "text": f"{ends['estimate']:.2f}", "value": ends["estimate"],
        "low": ends["low"], "high": ends["high"],
    }  # fmt: skip


data = printed_tables.data_of(10, METRICS, measure)
FIGURE = printed_tables.spec(10, "POPE by kind of absent thing, as printed, and ours", data, ABOUT)
