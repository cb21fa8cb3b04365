"""Tab. 1: benchmarks at 64 and 32 tokens, beside ours at the same shares."""

from __future__ import annotations

from . import counterparts, printed_tables

METRICS = {
    "GQA": "GQA",
    "SQA": "SQA",
    "TextVQA": "TextVQA",
    "MMVet": "MMVet",
    "MMEP": "MME-P",
    "POPE": "POPE",
    "POPE_F1": "POPE F1",
    "POPE_Yes": "POPE yes",
}

data = printed_tables.data_of(1, METRICS, counterparts.benchmarks)
FIGURE = printed_tables.spec(
    1, "Benchmarks of LLaVA-1.5-7B, as printed, and ours", data, counterparts.SAME
)
