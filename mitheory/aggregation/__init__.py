"""From a row of PMI to one score per visual token, and the proven order of such scores.

``0 <= kl = D_1 <= D_2 <= ... <= D_inf = max <= lse <= max + log N``
"""

from .bounds import (
    BOUNDS,
    Bound,
    global_below_max,
    kl_not_negative,
    lse_below_max_plus_log,
    max_below_lse,
    max_below_sum,
    renyi_grows,
)
from .over_words import (
    AGGREGATIONS,
    Aggregation,
    joint,
    kl,
    lse,
    maximum,
    mean,
    real_words,
    renyi,
    resolve_aggregation,
)

__all__ = [
    "AGGREGATIONS",
    "BOUNDS",
    "Aggregation",
    "Bound",
    "global_below_max",
    "joint",
    "kl",
    "kl_not_negative",
    "lse",
    "lse_below_max_plus_log",
    "max_below_lse",
    "max_below_sum",
    "maximum",
    "mean",
    "real_words",
    "renyi",
    "renyi_grows",
    "resolve_aggregation",
]
