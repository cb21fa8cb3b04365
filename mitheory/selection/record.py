"""What a selection algorithm returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import BudgetError, ShapeError


@dataclass(frozen=True, eq=False)
class Selection:
    """Distinct tokens in the order of choice, with what is known of how they were chosen.

    Parameters
    ----------
    indices : (budget,) int64, in order of choice
    gains : (budget,) score or marginal gain of each at the moment of its choice
    method : name of the method or algorithm
    budget : number of tokens
    n_v : number of tokens there were
    guarantee : what is proved of the result against the best set: "exact", "1-1/e", ...; None
        unless the declared properties of the objective license it
    evaluations : number of scores that were computed
    params : the options, JSON-able

    Raises
    ------
    BudgetError
        If the indices are not exactly `budget` distinct ones.
    ShapeError
        If an index is outside 0..n_v-1, or there is not one gain for each.

    Examples
    --------
    >>> kept = Selection(torch.tensor([2, 0]), torch.tensor([0.9, 0.5]), "similarity", 2, 4)
    >>> kept.sorted, kept.mask
    (tensor([0, 2]), tensor([ True, False,  True, False]))
    """

    indices: Tensor
    gains: Tensor
    method: str
    budget: int
    n_v: int
    guarantee: str | None = None
    evaluations: int = 0
    params: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        chosen = self.indices.tolist()
        if len(chosen) != self.budget or len(set(chosen)) != self.budget:
            raise BudgetError(
                f"indices: expected {self.budget} distinct tokens, got {len(set(chosen))} "
                f"distinct of {len(chosen)}"
            )
        if self.gains.shape != self.indices.shape:
            raise ShapeError(
                f"gains: expected {tuple(self.indices.shape)}, got {tuple(self.gains.shape)}"
            )
        if chosen and not 0 <= min(chosen) <= max(chosen) < self.n_v:
            extent = f"{min(chosen)}..{max(chosen)}"
            raise ShapeError(f"indices: expected within 0..{self.n_v - 1}, got {extent}")

    @property
    def sorted(self) -> Tensor:
        """The indices in raster order (budget,)."""
        return self.indices.sort().values

    @property
    def mask(self) -> Tensor:
        """True where kept (n_v,)."""
        mask = torch.zeros(self.n_v, dtype=torch.bool, device=self.indices.device)
        mask[self.indices] = True
        return mask
