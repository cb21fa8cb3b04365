"""The Qwen-VL family: grids of any size, videos, positions on three axes, deepstack.

Positions come from the model's own `get_rope_index` over the full prompt. A row of text positions
without gaps stands before its three axes, for it is that row in which the model looks for borders
between prompts; a gap there would be taken for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...errors import ParameterError, ShapeError
from ..base import PositionIds
from .base import Family
from .cutting import Merges, left_padded
from .probe import by_token, unwindowed
from .records import Encoded, Features, Layout


class Qwen2VL(Family):
    """Qwen2-VL: images and videos through one encoder, whose merger makes 2 × 2 patches a token."""

    pixels: Mapping[str, str] = {"image": "pixel_values", "video": "pixel_values_videos"}
    further: tuple[str, ...] = ("image_grid_thw", "video_grid_thw")
    statistic = "received"

    @property
    def merge(self) -> int:
        """Patches along each side of a token."""
        return int(self.model.config.vision_config.spatial_merge_size)

    def features(self, modality: str, inputs: Mapping[str, Any]) -> Features:
        """Merged tokens (n, d) of every image or video, in raster order, frames outermost.

        Raises
        ------
        MissingInputError
            If the grids are not there.
        ShapeError
            If patches and grids do not match.
        """
        pixels, grid = inputs[self.pixels[modality]], self._grid(modality, inputs)
        patches = int(grid.prod(-1).sum())
        if len(pixels) != patches:
            raise ShapeError(
                f"{self.pixels[modality]}: expected {patches} patches as {modality}_grid_thw says, "
                f"got {len(pixels)}"
            )
        model = self.model.model
        get = model.get_image_features if modality == "image" else model.get_video_features
        found = get(pixels, grid, return_dict=True)
        deep = getattr(found, "deepstack_features", None) or ()
        return Features(
            type(found), tuple(found.pooler_output), tuple(tuple(layer) for layer in deep)
        )

    def _grid(self, modality: str, inputs: Mapping[str, Any]) -> Tensor:
        """(n, 3): frames, rows and columns of patches before the merger."""
        grid: Tensor = self.needed(f"{modality}_grid_thw", inputs)
        if grid.ndim != 2 or grid.shape[1] != 3:
            raise ShapeError(f"{modality}_grid_thw: expected (n, 3), got {tuple(grid.shape)}")
        return grid

    def layouts(self, modality: str, inputs: Mapping[str, Any], features: Features) -> list[Layout]:
        """A grid of tokens for each image, one per frame for each video."""
        return [
            Layout.of_grid(rows // self.merge, cols // self.merge, frames)
            for frames, rows, cols in self._grid(modality, inputs).tolist()
        ]

    # --- positions ------------------------------------------------------------------------------

    timing: tuple[str, ...] = ()
    """Inputs that say how far apart frames are."""

    def positions(self, inputs: Mapping[str, Any]) -> Tensor:
        """(4, b, s): text positions without gaps, then time, row and column, of full prompts."""
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        kinds = torch.zeros_like(ids)
        for kind, modality in enumerate(("image", "video"), start=1):
            kinds[ids == self.placeholder(modality)] = kind
        axes, _ = self.model.model.get_rope_index(
            ids,
            mm_token_type_ids=kinds,
            attention_mask=mask,
            **{name: inputs.get(name) for name in ("image_grid_thw", "video_grid_thw")},
            **{name: inputs[name] for name in self.timing if inputs.get(name) is not None},
        )
        return torch.cat([super().positions(inputs)[None], axes])

    def compacted(self, encoded: Encoded, columns: Tensor) -> Tensor:
        """(4, b, s'): the positions that the model gives to an image of what is left.

        Rows, columns and frames in which nothing is kept are taken out: of what is left, the first
        row of an image gets the position of its first row, the second that of the second, and so
        on, likewise columns and the times of frames. The text behind an image begins as far behind
        its start as the larger side of that smaller grid, by the model's own rule. All three axes
        of a word agree, as they always do. With everything kept these are the full positions; of a
        kept rectangle, those of an image of that size; with nothing kept, those of text.

        Numbering what is left one by one on all axes would be the other reading. It would show the
        decoder a picture as a line, which it never saw in training.
        """
        full, device = encoded.position_ids, encoded.position_ids.device
        parts = []
        for sample, blocks in enumerate(encoded.blocks):
            own = columns[sample].cpu()
            advance = own.long()
            runs = [run for block in blocks for run in _runs(block.columns)]
            moved: list[tuple[Tensor, Tensor]] = []
            for run in runs:
                kept = run[own[run]]
                places = full[1:, sample].cpu()
                offsets, sizes = _ranked(places[:, run], own[run])
                advance[run] = 0
                advance[run[-1]] = max(sizes[1:])
                moved.append((kept, offsets))
            begin = advance.cumsum(0) - advance
            axes = begin.expand(4, -1).clone()
            for run, (kept, offsets) in zip(runs, moved, strict=True):
                axes[1:, kept] = begin[run[-1]] + offsets
            parts.append(axes)
        return left_padded(torch.stack(parts, dim=1).to(device), columns, 0)

    def prune(
        self,
        encoded: Encoded,
        keep: Sequence[Tensor] | None = None,
        *,
        positions: PositionIds | None = None,
        merges: Merges | None = None,
    ) -> dict[str, Any]:
        """As for every family; the row of text positions is counted anew, without gaps."""
        pruned = super().prune(encoded, keep, positions=positions, merges=merges)
        pruned["position_ids"][0] = super().positions(pruned)
        return pruned

    # --- attention ------------------------------------------------------------------------------

    def tower(self, modality: str) -> Any:
        """One for images and videos."""
        return self.model.model.visual

    def watched(self, modality: str) -> Any:
        """The attention of the last layer, or of the layer of the option.

        Raises
        ------
        ParameterError
            If there is no such layer.
        """
        return self.tower(modality).blocks[self._layer()].attn

    def _layer(self) -> int:
        depth = len(self.tower("image").blocks)
        wanted = self.options.attention_layer
        if wanted is None:
            return self.default_layer()
        if not -depth <= wanted < depth:
            raise ParameterError(f"attention_layer: expected one of {depth} layers, got {wanted}")
        return wanted % depth

    def default_layer(self) -> int:
        """The last one."""
        return len(self.tower("image").blocks) - 1

    def collected(self, seen: list[Tensor]) -> Any:
        """One tensor per image or frame: the watched module is called for each."""
        return by_token(seen, self.merge**2)

    def attention(
        self, modality: str, inputs: Mapping[str, Any], seen: Tensor, features: Features
    ) -> list[Tensor]:
        """Attention (heads, n_i) that every token receives from the others of its frame.

        A token's is the mean over its patches.

        Source: Eq. (5), right.
        """
        return list(seen.split([len(rows) for rows in features.rows], dim=-1))


class Qwen2_5_VL(Qwen2VL):
    """Qwen2.5-VL: most layers of the encoder see windows only, frames know their time."""

    further: tuple[str, ...] = (*Qwen2VL.further, "second_per_grid_ts")
    timing: tuple[str, ...] = ("second_per_grid_ts",)

    @property
    def _full(self) -> list[int]:
        return sorted(int(i) for i in self.model.config.vision_config.fullatt_block_indexes)

    def default_layer(self) -> int:
        """The last one that sees whole frames."""
        return self._full[-1]

    def _layer(self) -> int:
        layer = super()._layer()
        if layer not in self._full:
            raise ParameterError(
                f"attention_layer: expected one that sees whole frames, {self._full}, got {layer}"
            )
        return layer

    def attention(
        self, modality: str, inputs: Mapping[str, Any], seen: Tensor, features: Features
    ) -> list[Tensor]:
        """As for Qwen2-VL, the order of the windows undone."""
        grid, config = self._grid(modality, inputs), self.model.config.vision_config
        return super().attention(modality, inputs, unwindowed(seen, grid, config), features)


class Qwen3VL(Qwen2VL):
    """Qwen3-VL and its mixture of experts: features of earlier layers are added in the decoder.

    They are cut with the tokens (deepstack). Frames of a video stand apart in the prompt, each
    behind the words for its time.
    """


def _runs(columns: Tensor) -> list[Tensor]:
    """Columns that stand beside one another: an image, a video, or a frame with words around it.

    Examples
    --------
    >>> _runs(torch.tensor([2, 3, 4, 9, 10]))
    [tensor([2, 3, 4]), tensor([ 9, 10])]
    """
    ends = ((columns[1:] - columns[:-1]) != 1).nonzero()[:, 0] + 1
    return list(columns.tensor_split(ends.cpu()))


def _ranked(places: Tensor, kept: Tensor) -> tuple[Tensor, list[int]]:
    """Offsets (axes, k) of what is kept when rows, columns and frames without any are taken out,
    and how many of each are left.

    The r-th place left on an axis is the r-th one that the full image has there.

    Parameters
    ----------
    places : (axes, n), of all tokens of an image
    kept : (n,) bool

    Examples
    --------
    >>> places = torch.tensor([[5, 5, 5, 5], [5, 5, 6, 6], [5, 6, 5, 6]])  # time, row, column
    >>> _ranked(places, torch.tensor([False, True, False, True]))
    (tensor([[0, 0],
            [0, 1],
            [0, 0]]), [1, 2, 1])
    """
    offsets, sizes = [], []
    for axis in places:
        left, rank = axis[kept].unique(return_inverse=True)
        offsets.append((axis - axis.min()).unique()[rank])
        sizes.append(len(left))
    return torch.stack(offsets), sizes
