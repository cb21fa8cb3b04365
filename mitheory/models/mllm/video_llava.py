"""Video-LLaVA: images and videos, each with an encoder of its own, frames one after another.

The class token of every frame of a video stays among its visual tokens, 257 for 256 patches; the
paper counts 8 × 256 = 2,048 tokens, the model has 2,056.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .clip import Clip, square
from .records import Features, Layout, with_cls


class VideoLlava(Clip):
    """Video-LLaVA: class tokens among the tokens of a video; one tensor instead of a list."""

    crops = True
    pixels: Mapping[str, str] = {"image": "pixel_values", "video": "pixel_values_videos"}
    renamed: Mapping[str, str] = {"pixel_values_images": "pixel_values"}
    """What the processor calls ``pixel_values_images``, half of the model's methods call so."""

    def features(self, modality: str, inputs: Mapping[str, Any]) -> Features:
        """Projected tokens (n, d) of every image, or of all frames of every video."""
        if modality == "image":
            found = self.model.model.get_image_features(
                pixel_values=inputs["pixel_values"], return_dict=True
            )
            return Features(type(found), tuple(found.pooler_output), is_stacked=True)
        pixels = inputs["pixel_values_videos"]
        found = self.model.model.get_video_features(pixel_values_videos=pixels, return_dict=True)
        by_video = found.pooler_output.unflatten(0, pixels.shape[:2]).flatten(1, 2)
        return Features(type(found), tuple(by_video), is_stacked=True)

    def layouts(self, modality: str, inputs: Mapping[str, Any], features: Features) -> list[Layout]:
        """A square for an image; for a video, squares behind a class token each."""
        if modality == "image":
            return [square(len(rows), has_cls=self.has_cls) for rows in features.rows]
        frames = inputs["pixel_values_videos"].shape[1]
        layouts = []
        for rows in features.rows:
            frame = square(len(rows) // frames, has_cls=True)
            height, width = frame.grid or (0, 0)
            layouts.append(with_cls(Layout.of_grid(height, width, frames)))
        return layouts

    def tower(self, modality: str) -> Any:
        """Images and videos have one each."""
        model = self.model.model
        return model.image_tower if modality == "image" else model.video_tower

    def attention(
        self, modality: str, inputs: Mapping[str, Any], seen: Tensor, features: Features
    ) -> list[Tensor]:
        """Attention (heads, n_i); NaN for class tokens."""
        if modality == "image":
            return super().attention(modality, inputs, seen, features)
        frames = inputs["pixel_values_videos"].shape[1]
        cls = seen.new_full((*seen.shape[:2], 1), torch.nan)
        by_video = torch.cat([cls, seen], dim=2).unflatten(0, (-1, frames))
        return list(by_video.transpose(1, 2).flatten(2))  # (videos, heads, frames, n) -> ...
