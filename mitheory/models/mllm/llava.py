"""LLaVA-1.5: a square grid of patches per image, one projected token each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from ...errors import ShapeError
from .base import Family
from .records import CLS, Features, Layout


class Llava(Family):
    """LLaVA-1.5, and models of its class."""

    def features(self, modality: str, inputs: Mapping[str, Any]) -> Features:
        """Projected patches (n, d) of every image."""
        found = self.model.model.get_image_features(
            pixel_values=inputs["pixel_values"], return_dict=True
        )
        return Features(type(found), tuple(found.pooler_output))

    def layouts(self, modality: str, inputs: Mapping[str, Any], features: Features) -> list[Layout]:
        """A square, behind a class token where the model keeps it."""
        has_cls = self.model.config.vision_feature_select_strategy == "full"
        return [square(len(rows), has_cls=has_cls) for rows in features.rows]


def square(n: int, *, has_cls: bool) -> Layout:
    """A square of patches, behind a class token if there is one.

    Raises
    ------
    ShapeError
        If they form no square.

    Examples
    --------
    >>> layout = square(5, has_cls=True)
    >>> layout.kind.tolist(), layout.grid
    ([2, 0, 0, 0, 0], (2, 2))
    """
    side = math.isqrt(n - has_cls)
    if side * side != n - has_cls:
        raise ShapeError(f"image: expected a square number of patches, got {n - has_cls}")
    patches = Layout.of_grid(side, side)
    return with_cls(patches) if has_cls else patches


def with_cls(patches: Layout) -> Layout:
    """Patches with a class token before those of every frame."""
    view = patches.coords[0, 0]
    frames = patches.grid[2] if patches.grid is not None and len(patches.grid) == 3 else 1
    per_frame = len(patches) // frames
    kind = torch.full((frames, per_frame + 1), CLS)
    kind[:, 1:] = patches.kind.view(frames, per_frame)
    coords = torch.full((frames, per_frame + 1, 4), -1)
    coords[:, :, 0], coords[:, :, 1] = view, torch.arange(frames)[:, None]
    coords[:, 1:] = patches.coords.view(frames, per_frame, 4)
    return Layout(kind.flatten(), coords.flatten(0, 1), patches.grid)
