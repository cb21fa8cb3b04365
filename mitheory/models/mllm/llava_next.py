"""LLaVA-NeXT: a small view of the whole image, then a large one, each row of it ended by a token.

The large view is cut into tiles, which are put together again behind the encoder; the rows and
columns that only pad the image to whole tiles are left out there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .clip import Clip
from .records import NEWLINE, Features, Layout

WHOLE, LARGE = 0, 1
"""The two views."""


class LlavaNext(Clip):
    """LLaVA-NeXT (1.6): images of any resolution, newline rows among the visual tokens."""

    further = ("image_sizes",)

    def features(self, modality: str, inputs: Mapping[str, Any]) -> Features:
        """Packed tokens (n_i, d) of every image: both views, and the newline rows."""
        found = self.model.model.get_image_features(
            pixel_values=inputs["pixel_values"],
            image_sizes=self.needed("image_sizes", inputs),
            return_dict=True,
        )
        return Features(type(found), tuple(found.pooler_output))

    def layouts(self, modality: str, inputs: Mapping[str, Any], features: Features) -> list[Layout]:
        """The whole image as a square, and the large view, every row with its newline."""
        return [self._layout(size) for size in inputs["image_sizes"]]

    def _layout(self, image_size: Tensor) -> Layout:
        side = self.side
        whole = Layout.of_grid(side, side, view=WHOLE)
        rows, cols = self._large(image_size)
        large = Layout.of_grid(rows, cols + 1, view=LARGE)
        coords, kind = large.coords.clone(), large.kind.clone()
        last = coords[:, 3] == cols
        coords[last, 3], kind[last] = -1, NEWLINE
        return Layout(torch.cat([whole.kind, kind]), torch.cat([whole.coords, coords]), None)

    @property
    def side(self) -> int:
        """Patches along one side of a tile."""
        vision = self.model.config.vision_config
        return int(vision.image_size // vision.patch_size)

    def _tiles(self, image_size: Tensor) -> tuple[int, int]:
        from transformers.models.llava_next.modeling_llava_next import get_anyres_image_grid_shape

        config = self.model.config
        rows, cols = get_anyres_image_grid_shape(
            image_size, config.image_grid_pinpoints, config.vision_config.image_size
        )
        return int(rows), int(cols)

    def _large(self, image_size: Tensor) -> tuple[int, int]:
        """Rows and columns of the large view without its padding, by the library's own cut."""
        from transformers.models.llava_next.modeling_llava_next import unpad_image

        rows, cols = self._tiles(image_size)
        padded = torch.empty(1, rows * self.side, cols * self.side)
        cut = unpad_image(padded, image_size)
        return int(cut.shape[1]), int(cut.shape[2])

    def attention(
        self, modality: str, inputs: Mapping[str, Any], seen: Tensor, features: Features
    ) -> list[Tensor]:
        """Attention (heads, n_i) of every image, packed as its tokens are; NaN for newline rows.

        Every tile has a class token of its own, so what its patches get sums to one at most.
        """
        from transformers.models.llava_next.modeling_llava_next import unpad_image

        found, start, side = [], 0, self.side
        for size in inputs["image_sizes"]:
            rows, cols = self._tiles(size)
            own = seen[start : start + 1 + rows * cols]  # (1 + tiles, heads, n)
            start += len(own)
            heads = own.shape[1]
            tiled = own[1:].reshape(rows, cols, heads, side, side).permute(2, 0, 3, 1, 4)
            large = unpad_image(tiled.reshape(heads, rows * side, cols * side), size)
            newline = large.new_full((heads, large.shape[1], 1), torch.nan)
            packed = torch.cat([large, newline], dim=2).flatten(1)
            found.append(torch.cat([own[0], packed], dim=1))
        return found
