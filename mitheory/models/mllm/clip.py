"""What families with a CLIP encoder share: square grids, and the attention of the class token."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ...errors import MissingInputError, ParameterError, ShapeError
from ...selection import Merge
from .base import Family
from .records import Encoded, Features, Layout, with_cls


class Clip(Family):
    """A family whose encoder is CLIP: its class token looks at all patches."""

    statistic = "cls"
    looks = "cls_and_keys"

    @property
    def has_cls(self) -> bool:
        """Whether the class token of an image is projected, too."""
        return bool(self.model.config.vision_feature_select_strategy == "full")

    def tower(self, modality: str) -> Any:
        """The encoder."""
        return self.model.model.vision_tower

    def watched(self, modality: str) -> Any:
        """The attention of the layer whose output is projected, or of the layer of the option.

        Raises
        ------
        ParameterError
            If there is no such layer.
        """
        layers = self.tower(modality).encoder.layers
        wanted = self.options.attention_layer
        if wanted is None:
            projected = self.model.config.vision_feature_layer
            if not isinstance(projected, int):
                projected = projected[-1]
            # hidden state k is what layer k - 1 gives; from the end both are counted alike
            wanted = projected - 1 if projected > 0 else projected
        if not -len(layers) <= wanted < len(layers):
            raise ParameterError(
                f"attention_layer: expected one of {len(layers)} layers, got {wanted}"
            )
        return layers[wanted].self_attn

    @contextmanager
    def reading(self) -> Iterator[list[Tensor]]:
        """What enters the projector: the encoder's features, (images, n, d) per call."""
        read: list[Tensor] = []

        def keep(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            read.append(args[0] if args else next(iter(kwargs.values())))

        projector = self.model.model.multi_modal_projector
        handle = projector.register_forward_pre_hook(keep, with_kwargs=True)
        try:
            yield read
        finally:
            handle.remove()

    def joined(self, seen: Tensor, read: list[Tensor]) -> Tensor:
        """(images, heads + d_key + d_encoder, n): attention, keys and features of patches."""
        n = seen.shape[2]
        features = torch.cat([x.detach().float().flatten(0, -3) for x in read])
        return torch.cat([seen, features[:, -n:].transpose(1, 2).to(seen)], dim=1)

    def parts(self, channels: Tensor) -> dict[str, Any]:
        """Attention (heads, n), keys (n, d_key) and features (n, d_encoder) of an image."""
        vision = self.model.config.vision_config
        heads = int(vision.num_attention_heads)
        sizes = [heads, int(vision.hidden_size) // heads]
        sizes.append(len(channels) - sum(sizes))
        attention, keys, features = channels.split(sizes)
        return {"attention": attention, "keys": keys.T, "encoder": features.T}

    @torch.no_grad()
    def averaged(self, encoded: Encoded, sample: int, merge: Merge) -> tuple[Tensor, Tensor]:
        """Averages of what enters the projector, in float32, behind the projector.

        So does the public code of VisionZip, the one method that merges before the decoder.

        Source: yang2025visionzip.

        Raises
        ------
        MissingInputError
            If the encoder's features were not read: `encode` without attention.
        """
        features = encoded.rows(sample, "encoder")
        if features is None:
            raise MissingInputError(
                "merges: need what enters the projector, and the batch was encoded without "
                "attention, with which it is read"
            )
        own = Merge(merge.into.to(features.device), merge.rule)
        sizes = torch.bincount(own.into[own.into >= 0], minlength=len(own.into))[own.centers]
        averages = own.apply(features)[sizes > 1]
        projector = self.model.model.multi_modal_projector
        weights = next(projector.parameters())
        rows: Tensor = projector(averages[None].to(weights))[0]
        return own.centers[sizes > 1].cpu(), rows

    def attention(
        self, modality: str, inputs: Mapping[str, Any], seen: Tensor, features: Features
    ) -> list[Tensor]:
        """Attention (heads, n_i) of the class token on every patch; NaN for itself."""
        if self.has_cls:
            seen = torch.cat([seen.new_full((*seen.shape[:2], 1), torch.nan), seen], dim=2)
        return list(seen)


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
