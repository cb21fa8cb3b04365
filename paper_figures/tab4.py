"""Tab. 4: video questions, beside ours at the same shares."""

from __future__ import annotations

import pandas as pd

from . import counterparts, printed_tables
from .results import Results

METRICS = {
    "TGIF_acc": "TGIF acc", "TGIF_score": "TGIF score", "MSVD_acc": "MSVD acc",
    "MSVD_score": "MSVD score", "MSRVTT_acc": "MSRVTT acc", "MSRVTT_score": "MSRVTT score",
}  # fmt: skip


def measure(results: Results) -> pd.DataFrame:
    """Accuracy by form of question: nothing here is a video."""
    return counterparts.by_form(results)


data = printed_tables.data_of(4, METRICS, measure)
FIGURE = printed_tables.spec(
    4,
    "Video questions, as printed, and still images of ours",
    data,
    counterparts.SAME + " Ours are still images: only the shares of tokens are those of Tab. 4.",
)
