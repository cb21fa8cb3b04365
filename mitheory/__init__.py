"""What mutual information says about visual token pruning.

The front door is `select`; the parts it is made of are modules in the order of the data flow:
`distributions`, `priors`, `pmi`, `aggregation`, `properties`, `scores`, `setfunctions`,
`selection`. Beside them stand `bundle` and `statistics`, and `models`, which nothing here imports.
"""

from __future__ import annotations

from .aggregation import AGGREGATIONS
from .distributions import CONDITIONALS
from .errors import MitheoryError
from .pmi import cross_pmi, self_pmi
from .priors import PRIORS
from .properties import Property
from .scores import mi_score
from .selection import SELECTORS, Selection, select, select_batch
from .setfunctions import SETFUNCTIONS, SetFunction

__all__ = [
    "AGGREGATIONS",
    "CONDITIONALS",
    "PRIORS",
    "SELECTORS",
    "SETFUNCTIONS",
    "MitheoryError",
    "Property",
    "Selection",
    "SetFunction",
    "cross_pmi",
    "mi_score",
    "select",
    "select_batch",
    "self_pmi",
]
