"""Tab. 11: POPE of Qwen3VL by kind of absent thing, beside ours."""

from __future__ import annotations

from . import printed_tables, tab10

data = printed_tables.data_of(11, tab10.METRICS, tab10.measure, beside=("Qwen3VL-2B",))
FIGURE = printed_tables.spec(
    11,
    "POPE of Qwen3VL by kind of absent thing, as printed, and ours",
    data,
    tab10.ABOUT + " Ours, one model, stands once, beside the rows of the first.",
)
