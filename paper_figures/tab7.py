"""Tab. 7: larger models, beside ours at the same shares."""

from __future__ import annotations

from . import counterparts, printed_tables

METRICS = {"GQA": "GQA", "SQA": "SQA", "TextVQA": "TextVQA", "MMEP": "MME-P"}

data = printed_tables.data_of(7, METRICS, counterparts.benchmarks)
FIGURE = printed_tables.spec(
    7,
    "Larger models, as printed, and ours",
    data,
    counterparts.SAME + " There is no larger fruit-fly: ours is the same model in both blocks.",
)
