"""Every method as an estimator of scikit-learn: `MIPruner(budget=64).fit(text=T).transform(V)`.

A row is a visual token, and `transform` keeps some of the rows. There is a class per method, made
from its signature, so that `get_params`, `set_params`, `clone` and grid search see its options.

scikit-learn is loaded when a class is asked for.
"""

from __future__ import annotations

from ..faces import on_use
from .names import CLASSES

__all__ = ["CLASSES", "EXPECTED_FAILED_CHECKS", "TokenPruner"]

__getattr__, __dir__ = on_use(
    __name__,
    {
        "EXPECTED_FAILED_CHECKS": "base",
        "TokenPruner": "base",
        **dict.fromkeys(CLASSES, "pruners"),
    },
)
