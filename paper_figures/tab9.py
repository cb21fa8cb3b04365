"""Tab. 9: memory and latency at 32 tokens, beside what was measured here."""

from __future__ import annotations

from . import costs, printed_tables

data = printed_tables.data_of(9, costs.METRICS, costs.measure)
FIGURE = costs.spec(9, "Memory and latency at the smallest budget, as printed, and ours", data)
