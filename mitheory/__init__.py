"""What mutual information says about visual token pruning.

The front door is `select`; the parts it is made of are modules in the order of the data flow:
`distributions`, `priors`, `pmi`, `aggregation`, `properties`, `scores`, `setfunctions`,
`selection`. Beside them stand `bundle` and `statistics`, and `models`, which nothing here imports;
`prune`, which is theirs, is looked up there when it is asked for.

Each is imported when it is asked for: what reads tables only, such as the figures, needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .faces import on_use

if TYPE_CHECKING:
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
    "prune",
    "select",
    "select_batch",
    "self_pmi",
]

_HOME = {
    "AGGREGATIONS": "aggregation",
    "CONDITIONALS": "distributions",
    "PRIORS": "priors",
    "SELECTORS": "selection",
    "SETFUNCTIONS": "setfunctions",
    "MitheoryError": "errors",
    "Property": "properties",
    "Selection": "selection",
    "SetFunction": "setfunctions",
    "cross_pmi": "pmi",
    "mi_score": "scores",
    "prune": "models.mllm.pruning",
    "select": "selection",
    "select_batch": "selection",
    "self_pmi": "pmi",
}

_BESIDE = ("plot", "sklearn")  # faces to other libraries, which they need only when they are used

__getattr__, __dir__ = on_use(__name__, _HOME, modules=[*_HOME.values(), *_BESIDE])
