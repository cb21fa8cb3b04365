"""Tab. 8: answers that are sampled, beside ours."""

from __future__ import annotations

import numpy as np
import pandas as pd

from . import counterparts, printed_tables
from .intervals import accuracy
from .results import Results

METRICS = {
    "GQA_instruct_sampling": "GQA instruct",
    "GQA_thinking_sampling": "GQA thinking",
}


def measure(results: Results) -> pd.DataFrame:
    """Accuracy of the likeliest word, and of a word sampled from all.

    The latter is the mean probability of the true word, and needs no draw.
    """
    rows = counterparts.everything(results)
    rows = rows.assign(sampled=np.exp(rows["log_prob"].to_numpy(float)))
    found = []
    for column, value in (("likeliest word (%)", "correct"), ("sampled word (%)", "sampled")):
        table = accuracy(rows, ["key", "ratio"], value=value)
        found += [
            {"key": row["key"], "ratio": row["ratio"], "column": column}
            | printed_tables.percent_cell(row)
            for row in table.to_dict("records")
        ]
    return pd.DataFrame(found)


data = printed_tables.data_of(8, METRICS, measure)
FIGURE = printed_tables.spec(
    8,
    "Sampled answers, as printed, and ours",
    data,
    counterparts.SAME + " A sampled word is drawn at temperature 1 from the whole vocabulary, "
    "where the paper cuts the tail; its accuracy is the mean probability of the true word. The "
    "fruit-fly does not think.",
)
