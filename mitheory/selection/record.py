"""What a selection algorithm returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from .. import notebook
from ..errors import BudgetError, ShapeError
from .merging import Merge

if TYPE_CHECKING:
    import pandas as pd

Mode = Literal["exact", "faithful"]
SHOWN = 8  # choices in a notebook


@dataclass(frozen=True, eq=False)
class Selection:
    """Tokens in the order of choice, with what is known of how they were chosen.

    In mode "exact" they are exactly `budget` distinct ones. In mode "faithful" they are what the
    method's public code keeps, which may be another number of them, or one of them twice.

    Parameters
    ----------
    indices : (budget,) int64, in order of choice; (k,) of a faithful run
    gains : like `indices`, score or marginal gain of each at the moment of its choice
    method : name of the method or algorithm
    budget : number of tokens that were asked for
    n_v : number of tokens there were
    guarantee : what is proved of the result against the best set: "exact", "1-1/e", ...; None
        unless the declared properties of the objective license it
    evaluations : number of scores that were computed
    params : the options, JSON-able
    mode : "exact" or "faithful"
    departures : where this run differs from the public code ("exact"), or is peculiar in the way
        that it is ("faithful"), one sentence each
    merge : which dropped tokens are averaged into kept ones, by methods that merge
    info : what else the method found out on its way, JSON-able

    Raises
    ------
    BudgetError
        If the indices of an exact run are not exactly `budget` distinct ones.
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
    mode: Mode = "exact"
    departures: tuple[str, ...] = ()
    merge: Merge | None = None
    info: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        chosen = self.indices.tolist()
        is_budget = len(chosen) == len(set(chosen)) == self.budget
        if self.mode == "exact" and not is_budget:
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
    def n_kept(self) -> int:
        """Number of distinct tokens; the budget, unless the run is faithful."""
        return len(set(self.indices.tolist()))

    @property
    def sorted(self) -> Tensor:
        """The distinct indices in raster order (n_kept,)."""
        return self.indices.unique()

    @property
    def mask(self) -> Tensor:
        """True where kept (n_v,)."""
        mask = torch.zeros(self.n_v, dtype=torch.bool, device=self.indices.device)
        mask[self.indices] = True
        return mask

    def to_frame(self, grid: tuple[int, ...] | None = None) -> pd.DataFrame:
        """A row for each choice, in its order.

        Parameters
        ----------
        grid : (rows, columns) or (rows, columns, frames), for where every token stands

        Returns
        -------
        DataFrame
            ``step`` (from 1), ``index``, ``gain``, and with a grid ``row``, ``column`` and, of a
            video, ``frame``.

        Raises
        ------
        ShapeError
            If the grid has not as many cells as there were tokens.

        Examples
        --------
        >>> kept = Selection(torch.tensor([3, 0]), torch.tensor([0.9, 0.5]), "similarity", 2, 4)
        >>> kept.to_frame(grid=(2, 2))[["step", "index", "row", "column"]].values.tolist()
        [[1, 3, 1, 1], [2, 0, 0, 0]]
        """
        import pandas as pd

        index = self.indices.cpu()
        columns = {"index": index.numpy(), "gain": self.gains.cpu().numpy()}
        if grid is not None:
            rows, across, *frames = grid
            if math.prod(grid) != self.n_v or len(frames) > 1:
                raise ShapeError(
                    f"grid: expected (rows, columns[, frames]) of {self.n_v} cells, got {grid}"
                )
            columns["row"] = (index // across % rows).numpy()
            columns["column"] = (index % across).numpy()
            if frames:
                columns["frame"] = (index // (rows * across)).numpy()
        return pd.DataFrame({"step": range(1, len(index) + 1), **columns})

    def _repr_html_(self) -> str:
        """Which tokens, and what is known of the choice, for notebooks."""
        chosen, gains = self.indices.tolist(), self.gains.tolist()
        first = ", ".join(f"{i} ({g:.3g})" for i, g in zip(chosen[:SHOWN], gains, strict=False))
        left_out = f", … {len(chosen) - SHOWN} more" if len(chosen) > SHOWN else ""
        rows = [
            ("chosen (gain)", first + left_out),
            ("guarantee", self.guarantee or "none"),
            ("options", ", ".join(f"{k} = {v}" for k, v in self.params.items())),
            ("mode", self.mode),
            ("merges", "yes" if self.merge is not None else ""),
            *(("departs", text) for text in self.departures),
        ]
        said = f"{self.n_kept} of {self.n_v} tokens"
        return notebook.table(self.method, said, rows, notebook.strip(chosen, self.n_v))
