"""Tab. 2: Qwen3VL at half and a quarter of the tokens, beside ours at the same shares."""

from __future__ import annotations

from . import counterparts, printed_tables

METRICS = {
    "GQA": "GQA",
    "MMEP": "MME-P",
    "POPE": "POPE",
    "POPE_F1": "POPE F1",
    "POPE_Yes": "POPE yes",
}

data = printed_tables.data_of(2, METRICS, counterparts.benchmarks, beside=("Qwen3VL-2B",))
FIGURE = printed_tables.spec(
    2,
    "Benchmarks of Qwen3VL, as printed, and ours",
    data,
    counterparts.SAME + " Ours, one model, stands once, beside the rows of the first.",
)
