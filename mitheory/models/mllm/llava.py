"""LLaVA-1.5: a square grid of patches per image, one projected token each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .clip import Clip, square
from .records import Features, Layout


class Llava(Clip):
    """LLaVA-1.5, and models of its class."""

    crops = True

    def features(self, modality: str, inputs: Mapping[str, Any]) -> Features:
        """Projected patches (n, d) of every image."""
        found = self.model.model.get_image_features(
            pixel_values=inputs["pixel_values"], return_dict=True
        )
        return Features(type(found), tuple(found.pooler_output))

    def layouts(self, modality: str, inputs: Mapping[str, Any], features: Features) -> list[Layout]:
        """A square, behind a class token where the model keeps it."""
        return [square(len(rows), has_cls=self.has_cls) for rows in features.rows]
