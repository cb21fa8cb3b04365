"""Sequences that get shorter from layer to layer: what is left, and inputs of layers cut to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...selection import Merge
from .cutting import left_padded


@dataclass(frozen=True, eq=False)
class Joined:
    """Tokens of one sample that a stage merges: `members` (n,) are places in the sequence before,
    `centers` (k,) places in the one behind, in the order of `merge`."""

    members: Tensor
    merge: Merge
    centers: Tensor


@dataclass(frozen=True, eq=False)
class Cut:
    """The prompts of a batch from a layer on, padded on the left.

    Attributes
    ----------
    layer : int
        From this one on.
    columns : (b, s) bool
        Of the encoded prompts, what is there.
    at : (b, p) int64
        Where that is in the prompts as the model is given them; 0 where there is nothing.
    source : (b, p) int64
        Where it is in the sequence of the layers before.
    there : (b, p) bool
        What is no padding.
    joined : tuple of (Joined or None)
        By sample, what is merged.
    """

    layer: int
    columns: Tensor
    at: Tensor
    source: Tensor
    there: Tensor
    joined: tuple[Joined | None, ...]

    @property
    def width(self) -> int:
        """Length p of the longest prompt."""
        return self.at.shape[1]

    @property
    def where(self) -> Tensor:
        """(b, s) int64: the place of every column that is there."""
        return placed(self.columns)

    def carried(self, x: Tensor, before: int) -> Tensor:
        """Rows (b, t, d) of the sequence before, as they are behind the stage.

        Parameters
        ----------
        before : length of the prompts in the sequence before; tokens behind it stay
        """
        repeats = len(x) // len(self.source)
        found = gathered(x, extended(self.source, repeats, before, x.shape[1]))
        for row in range(len(x)):
            joined = self.joined[row // repeats]
            if joined is not None:
                members, centers = joined.members.to(x.device), joined.centers.to(x.device)
                merge = Merge(joined.merge.into.to(x.device), joined.merge.rule)
                found[row, centers] = merge.apply(x[row, members].float()).to(x.dtype)
        return found


@dataclass(eq=False)
class Pass:
    """One call of the decoder.

    `is_full` : the prompts are in it; `rows` : sequences, several of a sample with beams; `deep` :
    what is added behind the first layers (deepstack), (b, t, d) each; `trimmed` : by the layer of a
    cut, inputs of the layers from there on.
    """

    is_full: bool
    rows: int
    deep: list[Tensor] = field(default_factory=list)
    trimmed: dict[int, dict[str, Any]] = field(default_factory=dict)


def trimmed(cut: Cut, given: Mapping[str, Any], now: Pass, width: int) -> dict[str, Any]:
    """Inputs of a layer on the full prompts -> those on what a cut has left.

    Parameters
    ----------
    given : what the model gives all layers: rotary angles, position ids, mask, cache
    width : length of the full prompts
    """
    repeats = now.rows // len(cut.at)
    found: dict[str, Any] = {}
    angles = given["position_embeddings"]
    length = angles[0].shape[-2]
    if now.is_full:
        index = extended(cut.at, repeats, width, length)
        found["position_embeddings"] = tuple(
            gathered(x.expand(now.rows, -1, -1), index) for x in angles
        )
        ids = given.get("position_ids")
        if ids is not None:
            found["position_ids"] = ids.expand(now.rows, -1).gather(1, index.to(ids.device))
    mask = given.get("attention_mask")
    if mask is not None:
        total = mask.shape[-1]
    else:  # the first layer has cached this call's tokens already
        total = length if now.is_full else int(given["past_key_values"].get_seq_length())
    there = extended_there(cut.there, repeats, total - width).to(angles[0].device)
    index = extended(cut.at, repeats, width, total)
    found["attention_mask"] = cut_mask(mask, index, there, is_full=now.is_full)
    return found


def cut_mask(mask: Tensor | None, index: Tensor, there: Tensor, *, is_full: bool) -> Tensor | None:
    """The mask (b, 1, q, kv) of what is left; None as long as it hides nothing but the future.

    Parameters
    ----------
    mask : (b or 1, 1, t, t'), bool or added to scores, as the model made it for full prompts
    index : (b, p) places of what is left among its columns
    there : (b, p) what of that is no padding
    is_full : the queries are what is left; else they are tokens behind it
    """
    if mask is None and bool(there.all()):
        return None
    size = there.shape[1]
    if mask is None:
        rows = size if is_full else 1  # without a mask a step is of one token, which sees all
        kept = torch.ones(len(there), 1, rows, size, dtype=torch.bool, device=there.device)
        kept = kept.tril(size - rows)
    else:
        at = index.to(mask.device)
        kept = mask.expand(len(at), -1, -1, -1)
        if is_full:
            kept = kept.gather(2, at[:, None, :, None].expand(-1, kept.shape[1], -1, mask.shape[3]))
        kept = kept.gather(3, at[:, None, None].expand(-1, kept.shape[1], kept.shape[2], -1))
    there = there.to(kept.device)
    if kept.dtype != torch.bool:
        return kept.masked_fill(~there[:, None, None], torch.finfo(kept.dtype).min)
    kept = kept & there[:, None, None]
    if is_full:  # padding sees itself: a row of which everything is hidden has no softmax
        alone = torch.eye(size, dtype=torch.bool, device=kept.device) & ~there[:, None, :, None]
        kept = kept | alone
    return kept


def cut_of(
    layer: int,
    columns: Tensor,
    full: Tensor,
    before: Tensor,
    joined: tuple[Joined | None, ...],
) -> Cut:
    """A cut from columns (b, s) bool: what is left, what the model is given, what was there."""
    return Cut(
        layer,
        columns,
        left_padded(placed(full), columns, 0),
        left_padded(placed(before), columns, 0),
        left_padded(columns, columns, False),
        joined or (None,) * len(columns),
    )


def placed(columns: Tensor) -> Tensor:
    """Where every column stands when those that are there, (b, s) bool, are padded on the left.

    Examples
    --------
    >>> placed(torch.tensor([[True, False, True, True], [False, True, False, False]])).tolist()
    [[0, 0, 1, 2], [1, 2, 2, 2]]
    """
    counts = columns.sum(dim=1, keepdim=True)
    return columns.cumsum(dim=1) - 1 + counts.max() - counts


def extended(index: Tensor, repeats: int, width: int, length: int) -> Tensor:
    """Places (b, p) in prompts of a width, and behind them those of the tokens up to a length.

    Examples
    --------
    >>> extended(torch.tensor([[0, 2]]), 1, 3, 5).tolist()
    [[0, 2, 3, 4]]
    """
    tail = torch.arange(width, length)
    rows = index.repeat_interleave(repeats, dim=0)
    return torch.cat([rows, tail.expand(len(rows), -1)], dim=1)


def extended_there(there: Tensor, repeats: int, more: int) -> Tensor:
    """What of `extended` is no padding: all of the tokens behind the prompts."""
    rows = there.repeat_interleave(repeats, dim=0)
    return torch.nn.functional.pad(rows, (0, more), value=True)


def gathered(x: Tensor, index: Tensor) -> Tensor:
    """Rows (b, p, d) of x (b, t, d) at index (b, p)."""
    at = index.to(x.device)[..., None].expand(-1, -1, x.shape[-1])
    return x.gather(1, at)
