"""What a search asks of an objective, and what it may promise in return."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from ...properties import MODULAR, MONOTONE, NORMALIZED, SUBMODULAR, Property
from ...setfunctions import SetFunction
from ..record import Selection


class Objective(Protocol):
    """What the algorithms ask of an objective."""

    @property
    def n(self) -> int:
        """Number of elements."""
        ...

    @property
    def properties(self) -> frozenset[Property]:
        """What is proved of it."""
        ...

    def start(self) -> Any:
        """State of the empty selection."""
        ...

    def gains(self, state: Any) -> Tensor:
        """Gain of every element (n,)."""
        ...

    def gain_of(self, state: Any, i: int) -> float:
        """Gain of one element."""
        ...

    def extend(self, state: Any, i: int) -> Any:
        """State with i selected."""
        ...


def greedy_guarantee(objective: Objective) -> str | None:
    """What the declared properties license greedy to promise.

    Source: nemhauser1978.

    Examples
    --------
    >>> from mitheory.setfunctions import FacilityLocation
    >>> greedy_guarantee(FacilityLocation(torch.eye(2)))
    '1-1/e'
    """
    if MODULAR in objective.properties:
        return "exact"
    is_set_function = isinstance(objective, SetFunction)
    if is_set_function and {NORMALIZED, MONOTONE, SUBMODULAR} <= objective.properties:
        return "1-1/e"
    return None


def best_open(gains: Tensor, open_: Tensor) -> tuple[int, float]:
    """First open element of largest gain; −∞ is a gain like any other."""
    candidates = open_.nonzero()[:, 0]
    values = gains[candidates]
    i = int(candidates[int((values == values.max()).nonzero()[0])])
    return i, float(gains[i])


def declared(objective: Objective) -> str:
    """The declared properties, for messages."""
    return "{" + ", ".join(sorted(p.name for p in objective.properties)) + "}"


def record(
    name: str,
    objective: Objective,
    chosen: list[int],
    gains: list[float],
    guarantee: str | None,
    evaluations: int,
    info: dict[str, Any] | None = None,
) -> Selection:
    """The `Selection` of a search."""
    return Selection(
        indices=torch.tensor(chosen, dtype=torch.int64),
        gains=torch.tensor(gains, dtype=torch.float64),
        method=name,
        budget=len(chosen),
        n_v=objective.n,
        guarantee=guarantee,
        evaluations=evaluations,
        info=info or {},
    )
