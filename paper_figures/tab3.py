"""Tab. 3: memory and latency, beside what was measured here."""

from __future__ import annotations

from . import costs, printed_tables

data = printed_tables.data_of(3, costs.METRICS, costs.measure)
FIGURE = costs.spec(3, "Memory and latency, as printed, and ours", data)
