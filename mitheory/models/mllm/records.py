"""What encoding a batch gives: visual tokens by image, where they stand, and the prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .options import Options

PATCH, NEWLINE, CLS = 0, 1, 2
"""Kinds of visual tokens."""


@dataclass(frozen=True, eq=False)
class Layout:
    """What the visual tokens of one image or video are.

    Attributes
    ----------
    kind : (n,) int64
        `PATCH`, `NEWLINE` or `CLS`.
    coords : (n, 4) int64
        View, frame, row, column; -1 where there is none (the column of a newline, the row and
        column of a class token).
    grid : (rows, cols), (rows, cols, frames) or None
        Of the patches, in raster order, frames outermost; None where they form none.
    """

    kind: Tensor
    coords: Tensor
    grid: tuple[int, ...] | None

    def __len__(self) -> int:
        return len(self.kind)

    @classmethod
    def of_grid(cls, rows: int, cols: int, frames: int = 1, *, view: int = 0) -> Layout:
        """Patches alone, in raster order, frames outermost.

        Examples
        --------
        >>> layout = Layout.of_grid(2, 3)
        >>> layout.grid, layout.coords[4].tolist()
        ((2, 3), [0, 0, 1, 1])
        """
        sizes = [torch.arange(size) for size in (1, frames, rows, cols)]
        coords = torch.cartesian_prod(*sizes)
        coords[:, 0] = view
        kind = torch.full((len(coords),), PATCH)
        return cls(kind, coords, (rows, cols) if frames == 1 else (rows, cols, frames))


def with_cls(patches: Layout) -> Layout:
    """Patches with a class token before those of every frame.

    Examples
    --------
    >>> with_cls(Layout.of_grid(1, 2, 2)).kind.tolist()
    [2, 0, 0, 2, 0, 0]
    """
    frames = patches.grid[2] if patches.grid is not None and len(patches.grid) == 3 else 1
    per_frame = len(patches) // frames
    kind = torch.full((frames, per_frame + 1), CLS)
    kind[:, 1:] = patches.kind.view(frames, per_frame)
    coords = torch.full((frames, per_frame + 1, 4), -1)
    coords[:, :, 0], coords[:, :, 1] = patches.coords[0, 0], torch.arange(frames)[:, None]
    coords[:, 1:] = patches.coords.view(frames, per_frame, 4)
    return Layout(kind.flatten(), coords.flatten(0, 1), patches.grid)


@dataclass(frozen=True, eq=False)
class Features:
    """What the model's encoder gave for all images, or all videos, of a batch.

    Attributes
    ----------
    output : type
        Of the model's own record, which is made anew for every call: `generate` writes into it.
    rows : tuple of (n_i, d)
        Projected tokens of every image or video, in the order of the placeholders.
    deep : tuple of tuples of (n_i, d)
        By layer of the decoder, what is added there to the same tokens (deepstack).
    is_stacked : bool
        Whether the model wants one tensor instead of a list.
    """

    output: type
    rows: tuple[Tensor, ...]
    deep: tuple[tuple[Tensor, ...], ...] = ()
    is_stacked: bool = False

    def cut(self, masks: Sequence[Tensor]) -> Any:
        """The model's record with the tokens of `masks`, (n_i,) bool each; None if none is left.

        A stacked tensor is (tokens, 1, d), as if every token were an image: beams and several
        sequences repeat whole images of a sample, so that any other shape would be repeated in the
        wrong order where samples keep different numbers of tokens.
        """
        if not any(bool(mask.any()) for mask in masks):
            return None
        kept: Any = [rows[mask] for rows, mask in zip(self.rows, masks, strict=True)]
        if self.is_stacked:
            kept = torch.cat(kept)[:, None]
        fields: dict[str, Any] = {"pooler_output": kept}
        if self.deep:
            fields["deepstack_features"] = [
                [rows[mask] for rows, mask in zip(layer, masks, strict=True)] for layer in self.deep
            ]
        return self.output(**fields)


@dataclass(frozen=True, eq=False)
class VisualBlock:
    """The visual tokens of one image or video in the prompt of its sample.

    Attributes
    ----------
    modality : {"image", "video"}
    index : int
        Place among all images, or all videos, of the batch.
    features : (n, d)
        As they enter the decoder.
    layout : Layout
    columns : (n,) int64
        Where they stand in the prompt, padding included.
    attention : (heads, n) float32 or None
        Of the vision encoder, if it was asked for; NaN where a token has none.
    keys : (n, d_key) float32 or None
        Of the layer whose attention that is, mean over heads; for encoders with a class token.
    encoder : (n, d_encoder) float32 or None
        What enters the projector; for encoders with a class token.
    """

    modality: str
    index: int
    features: Tensor
    layout: Layout
    columns: Tensor
    attention: Tensor | None = None
    keys: Tensor | None = None
    encoder: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Encoded:
    """A batch of prompts with their images, encoded once.

    Attributes
    ----------
    input_ids, attention_mask : (b, s) int64
        Of the full prompts, one placeholder for every visual token.
    position_ids : (b, s), or (4, b, s) for models with several axes of positions
        Of the full prompts.
    features : Mapping
        By modality, what is there.
    blocks : tuple of tuples of VisualBlock
        By sample, in the order of the prompt.
    options : Options
    """

    input_ids: Tensor
    attention_mask: Tensor
    position_ids: Tensor
    features: Mapping[str, Features]
    blocks: tuple[tuple[VisualBlock, ...], ...]
    options: Options

    def __len__(self) -> int:
        return len(self.input_ids)

    def candidates(self, sample: int) -> tuple[Tensor, ...]:
        """By block, (n,) bool: what a selector chooses from; the other rows follow its choice."""
        return tuple(self._candidates(block.layout.kind) for block in self.blocks[sample])

    def _candidates(self, kind: Tensor) -> Tensor:
        scored = kind == PATCH
        for special, policy in ((NEWLINE, self.options.newline), (CLS, self.options.cls)):
            if policy == "scored":
                scored = scored | (kind == special)
        return scored

    def visual(self, sample: int) -> Tensor:
        """V (n_v, d): the candidates of a sample, over its images in the order of the prompt."""
        blocks = zip(self.blocks[sample], self.candidates(sample), strict=True)
        parts = [block.features[scored.to(block.features.device)] for block, scored in blocks]
        return torch.cat(parts) if parts else torch.empty(0, 0)

    def attention(self, sample: int) -> Tensor | None:
        """(heads, n_v): the vision encoder's attention on the candidates, if it was asked for."""
        parts = []
        for block, scored in zip(self.blocks[sample], self.candidates(sample), strict=True):
            if block.attention is None:
                return None
            parts.append(block.attention[:, scored.to(block.attention.device)])
        return torch.cat(parts, dim=1) if parts else None

    def rows(self, sample: int, name: str) -> Tensor | None:
        """(n_v, d): "keys" or "encoder" of the candidates; None where there are none."""
        parts = []
        for block, scored in zip(self.blocks[sample], self.candidates(sample), strict=True):
            own = getattr(block, name)
            if own is None:
                return None
            parts.append(own[scored.to(own.device)])
        return torch.cat(parts) if parts else None

    def columns(self, sample: int) -> Tensor:
        """(n_v,) int64: where the candidates stand in the prompt."""
        blocks = zip(self.blocks[sample], self.candidates(sample), strict=True)
        parts = [block.columns[scored] for block, scored in blocks]
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.long)

    def coords(self, sample: int) -> Tensor:
        """(n_v, 5) int64: block, view, frame, row and column of the candidates."""
        parts = []
        for i, (block, scored) in enumerate(
            zip(self.blocks[sample], self.candidates(sample), strict=True)
        ):
            own = block.layout.coords[scored]
            parts.append(torch.cat([torch.full((len(own), 1), i), own], dim=1))
        return torch.cat(parts) if parts else torch.empty(0, 5, dtype=torch.long)

    def grid(self, sample: int) -> tuple[int, ...] | None:
        """The grid of the candidates, as `Sample` has it; None where they form none."""
        if len(self.blocks[sample]) != 1:
            return None
        (block,), (scored,) = self.blocks[sample], self.candidates(sample)
        is_plain = bool((block.layout.kind[scored] == PATCH).all())
        return block.layout.grid if is_plain else None
