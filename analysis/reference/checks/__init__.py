"""Checks of the paper's printed numbers against one another, one file per family.

Every printed number is the interval of half a unit in its last digit; a check disagrees only if no
true values in these intervals could agree.
"""

from __future__ import annotations

from collections.abc import Callable

from ..cells import Cells, printed_cells
from .averages import averages
from .copied import identical_cells
from .f1 import f1_of_accuracy_and_yes_rate
from .granularity import granularity
from .positives import shared_positives
from .quotes import numbers_in_the_text
from .record import Check
from .repeated import repeated_cells
from .sentences import sentences

CHECKS: dict[str, Callable[[Cells], list[Check]]] = {
    check.__name__: check
    for check in (
        averages,
        f1_of_accuracy_and_yes_rate,
        shared_positives,
        granularity,
        repeated_cells,
        identical_cells,
        numbers_in_the_text,
        sentences,
    )
}


def run_checks(cells: Cells | None = None) -> list[Check]:
    """All checks on the paper's tables, or on others.

    Examples
    --------
    >>> wrong = [c for c in run_checks() if c.family == "averages" and not c.agrees]
    >>> wrong[0].where, wrong[0].printed, wrong[0].recomputed
    ('Tab. 10, LLaVA1.5-7B, keep 32, Random, POPE average acc', '73.23', '74.530')
    """
    found = printed_cells() if cells is None else cells
    return [check for family in CHECKS.values() for check in family(found)]


__all__ = ["CHECKS", "Check", "run_checks"]
