"""Merging: tokens that are not kept but averaged into one that is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import check_matrix, lookup
from ..errors import ParameterError, ShapeError

RULES = ("mean", "add_mean")


@dataclass(frozen=True, eq=False)
class Merge:
    """Which token every token of a sample ends up in, and how a group becomes one token.

    Parameters
    ----------
    into : (n_v,) int64
        Index of the kept token that a token is merged into: its own for a kept one, −1 for one
        that is dropped.
    rule : {"mean", "add_mean"}
        A group becomes the mean of its members, its center among them, or the center plus the mean
        of the others (VisionZip's rule).

    Raises
    ------
    UnknownNameError
        If the rule is another.
    ParameterError
        If a token is merged into one that is itself not kept.

    Examples
    --------
    >>> Merge(torch.tensor([0, 0, -1]), "mean").apply(torch.tensor([[1.0], [3.0], [9.0]]))
    tensor([[2.]])
    """

    into: Tensor
    rule: str = "mean"

    def __post_init__(self) -> None:
        lookup(self.rule, {rule: rule for rule in RULES}, "merge rule")
        targets = self.into[self.into >= 0]
        if bool((self.into[targets] != targets).any()):
            raise ParameterError("into: expected every target to be kept, got one that is not")

    @property
    def centers(self) -> Tensor:
        """The kept tokens in raster order (k,)."""
        own = torch.arange(len(self.into), device=self.into.device)
        return own[self.into == own]

    def apply(self, tokens: Tensor) -> Tensor:
        """What is left of (n_v, d) tokens: (k, d), in raster order of the kept ones.

        Raises
        ------
        ShapeError
            If there are not n_v tokens.
        """
        check_matrix("tokens", tokens)
        if len(tokens) != len(self.into):
            raise ShapeError(f"tokens: expected {len(self.into)} rows, got {len(tokens)}")
        centers = self.centers
        own = torch.arange(len(self.into), device=self.into.device)
        joins = (self.into >= 0) & (self.into != own)
        total = torch.zeros_like(tokens).index_add_(0, self.into[joins], tokens[joins])[centers]
        count = torch.zeros_like(own).index_add_(0, self.into[joins], torch.ones_like(own[joins]))
        size = count[centers, None].to(tokens.dtype)
        if self.rule == "add_mean":
            return tokens[centers] + total / size.clamp(min=1)
        return (tokens[centers] + total) / (size + 1)
