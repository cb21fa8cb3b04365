"""What all families share: one pass of the vision encoder, and prompts cut to what is kept.

Pruning happens between projector and decoder, with the model's own code on both sides: features
come from `get_image_features`, the prompt loses the placeholders of what is dropped, and `forward`
or `generate` gets what is left as `mm_encoder_outputs`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...errors import DTypeError, MissingInputError, ParameterError, ShapeError
from ...selection import Merge
from ..base import PositionIds
from .cutting import Merges, check_merges, kept_columns, left_padded, replaced, shown
from .options import POSITIONS, Options
from .records import Encoded, Features, Layout, VisualBlock

COMMON = ("input_ids", "attention_mask")
IGNORED = ("token_type_ids", "mm_token_type_ids", "return_tensors")


class Family:
    """A model of `transformers`, cut between projector and decoder.

    A family of models overrides what is its own: the names of its inputs (`pixels`, `further`),
    `features`, `layouts`, and where they differ `positions` and `compacted`.

    Parameters
    ----------
    model : loaded
    options : Options
    """

    pixels: Mapping[str, str] = {"image": "pixel_values"}
    """Modality -> name of its pixels among the inputs of `forward`."""

    renamed: Mapping[str, str] = {}
    """Names that the processor gives -> names that `forward` takes."""

    further: tuple[str, ...] = ()
    """Other inputs that the encoder needs, such as the sizes of the images."""

    crops: bool = False
    """Whether the processor cuts the square in the middle out of an image."""

    statistic: str = "cls"
    """What is read of its attention, a name of `probe.STATISTICS`."""

    looks: str = ""
    """Of `probe.STATISTICS`, if more than that is read in the same pass."""

    def __init__(self, model: Any, options: Options | None = None) -> None:
        self.model = model
        self.options = options or Options()

    # --- what families differ in ----------------------------------------------------------------

    def features(self, modality: str, inputs: Mapping[str, Any]) -> Features:
        """What the encoder gives for all images, or all videos, of a batch."""
        raise NotImplementedError

    def layouts(self, modality: str, inputs: Mapping[str, Any], features: Features) -> list[Layout]:
        """What the rows of every image, or video, are."""
        raise NotImplementedError

    def tower(self, modality: str) -> Any:
        """The vision encoder, whose attention can be watched."""
        raise NotImplementedError

    def watched(self, modality: str) -> Any:
        """The attention module that the Attention baselines read."""
        raise NotImplementedError

    def attention(
        self, modality: str, inputs: Mapping[str, Any], seen: Any, features: Features
    ) -> list[Tensor]:
        """Attention (heads, n_i) on the rows of every image; NaN where a row has none.

        `seen` is what the watched module gave.
        """
        raise NotImplementedError

    def positions(self, inputs: Mapping[str, Any]) -> Tensor:
        """Position ids of the full prompts: counted from the first token that is no padding."""
        mask = inputs["attention_mask"].long()
        counted: Tensor = (mask.cumsum(-1) - 1).masked_fill(mask == 0, 0)
        return counted

    def compacted(self, encoded: Encoded, columns: Tensor) -> Tensor:
        """Position ids without gaps, of the columns (b, s) of the prompts that are shown.

        They are those that a prompt with smaller images would have.
        """
        mask = left_padded(encoded.attention_mask, columns, 0)
        return self.positions({"attention_mask": mask}).to(encoded.position_ids)

    # --- what they share ------------------------------------------------------------------------

    def placeholder(self, modality: str) -> int | None:
        """Token that stands for a visual token; None if the model knows none."""
        value = getattr(self.model.config, f"{modality}_token_id", None)
        return None if value is None else int(value)

    @torch.no_grad()
    def encode(self, inputs: Mapping[str, Any], *, attention: bool = False) -> Encoded:
        """The visual tokens of a batch and its full prompts; the vision encoder runs once.

        Parameters
        ----------
        inputs : what the processor gives: ``input_ids`` with one placeholder for every visual
            token, ``attention_mask``, pixels and what belongs to them
        attention : also read the attention of one layer of the vision encoder, in the same pass

        Raises
        ------
        MissingInputError
            If there are placeholders without pixels, or pixels without what belongs to them.
        ShapeError
            If placeholders and visual tokens do not match, image by image.
        ParameterError
            If there is an input that this path does not know.
        """
        given = self.named(inputs)
        features: dict[str, Features] = {}
        blocks: list[list[VisualBlock]] = [[] for _ in given["input_ids"]]
        for modality, pixels in self.pixels.items():
            if given.get(pixels) is None:
                continue
            features[modality], paid = self._looked(modality, given, attention)
            layouts = self.layouts(modality, given, features[modality])
            for sample, block in self._placed(modality, given, features[modality], layouts):
                own: dict[str, Any] = {} if paid is None else self.parts(paid[block.index])
                blocks[sample].append(replace(block, **own))
        return Encoded(
            given["input_ids"],
            given["attention_mask"],
            self.positions(given),
            features,
            tuple(tuple(sorted(own, key=lambda b: int(b.columns[0]))) for own in blocks),
            self.options,
        )

    def _looked(
        self, modality: str, given: Mapping[str, Any], attention: bool
    ) -> tuple[Features, list[Tensor] | None]:
        """One pass of the vision encoder, watched if its attention is asked for."""
        if not attention:
            return self.features(modality, given), None
        from .probe import probing

        with (
            self.reading() as read,
            probing(
                self.tower(modality), self.watched(modality), self.looks or self.statistic
            ) as seen,
        ):
            features = self.features(modality, given)
        channels = self.joined(self.collected(seen), read)
        return features, self.attention(modality, given, channels, features)

    @contextmanager
    def reading(self) -> Iterator[list[Tensor]]:
        """What else is read in the pass of the encoder; nothing."""
        yield []

    def joined(self, seen: Any, read: list[Tensor]) -> Any:
        """What was watched, with what else was read behind its heads."""
        return seen

    def parts(self, channels: Tensor) -> dict[str, Any]:
        """What the channels of a token are, by the fields of `VisualBlock`: all attention."""
        return {"attention": channels}

    def collected(self, seen: list[Tensor]) -> Any:
        """What a watched module gave in one pass; one tensor (images, heads, n) where it is called
        once for all images."""
        (once,) = seen
        return once

    def needed(self, name: str, inputs: Mapping[str, Any]) -> Any:
        """An input that belongs to the pixels.

        Raises
        ------
        MissingInputError
            If it is not there.
        """
        if inputs.get(name) is None:
            raise MissingInputError(
                f"{name}: {type(self.model).__name__} needs it with its pixels, got "
                f"{sorted(inputs)}"
            )
        return inputs[name]

    def named(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs by the names that `forward` has, checked; what is None is left out."""
        given: dict[str, Any] = {}
        for name, value in inputs.items():
            if value is None:
                continue
            own = self.renamed.get(name, name)
            if own in given:
                raise ParameterError(f"inputs: {name!r} and {own!r} are one, expected one of them")
            given[own] = value
        known = {*COMMON, *IGNORED, *self.pixels.values(), *self.further}
        unknown = sorted(set(given) - known)
        if unknown:
            raise ParameterError(
                f"inputs of {type(self.model).__name__}: expected some of {sorted(known)}, "
                f"got {unknown}"
            )
        ids = given.get("input_ids")
        if not isinstance(ids, Tensor) or ids.is_floating_point():
            raise DTypeError(f"input_ids: expected an integer tensor, got {type(ids).__name__}")
        if ids.ndim != 2 or 0 in ids.shape:
            raise ShapeError(f"input_ids: expected (batch, length), got {tuple(ids.shape)}")
        mask = given.setdefault("attention_mask", torch.ones_like(ids))
        if mask.shape != ids.shape:
            raise ShapeError(
                f"attention_mask: expected {tuple(ids.shape)} as input_ids, got {tuple(mask.shape)}"
            )
        if not bool(mask.bool().any(dim=1).all()):
            raise ShapeError("attention_mask: expected a token in every prompt, got none in one")
        for modality in ("image", "video"):
            self._check_placeholders(modality, given)
        return given

    def _check_placeholders(self, modality: str, given: Mapping[str, Any]) -> None:
        """Refuse placeholders without pixels, and hidden ones: both would run, and be wrong."""
        token = self.placeholder(modality)
        if token is None:
            return
        there = given["input_ids"] == token
        pixels = self.pixels.get(modality)
        if bool(there.any()) and (pixels is None or given.get(pixels) is None):
            raise MissingInputError(
                f"{modality}: {int(there.sum())} placeholders in the prompt, but no "
                f"{pixels or 'such input'}"
            )
        hidden = int((there & (given["attention_mask"] == 0)).sum())
        if hidden:
            raise ShapeError(f"attention_mask: hides {hidden} placeholders of {modality}s")

    def _placed(
        self,
        modality: str,
        given: Mapping[str, Any],
        features: Features,
        layouts: Sequence[Layout],
    ) -> list[tuple[int, VisualBlock]]:
        """Every image or video with its sample and columns, in the order of the placeholders."""
        places = (given["input_ids"] == self.placeholder(modality)).nonzero().cpu()
        counts = [len(rows) for rows in features.rows]
        if sum(counts) != len(places):
            raise ShapeError(
                f"{modality}: expected as many placeholders as visual tokens, "
                f"got {len(places)} and {counts}"
            )
        found = []
        for index, (rows, own) in enumerate(zip(features.rows, places.split(counts), strict=True)):
            samples = own[:, 0].unique().tolist()
            if len(samples) != 1:
                raise ShapeError(
                    f"{modality} {index}: its {len(own)} visual tokens meet placeholders of "
                    f"the prompts {samples}; every prompt needs as many as its own have"
                )
            if len(layouts[index]) != len(rows):
                raise ShapeError(
                    f"{modality} {index}: expected {len(layouts[index])} visual tokens by its "
                    f"size, got {len(rows)}"
                )
            block = VisualBlock(modality, index, rows, layouts[index], own[:, 1])
            found.append((samples[0], block))
        return found

    def prune(
        self,
        encoded: Encoded,
        keep: Sequence[Tensor] | None = None,
        *,
        positions: PositionIds | None = None,
        merges: Merges | None = None,
    ) -> dict[str, Any]:
        """What `forward` and `generate` take to be shown the visual tokens `keep` only.

        Tokens are shown in the order of the prompt, whatever the order of `keep`. Prompts come out
        padded on the left. Make it anew for every call: `generate` writes into what it is given.

        Parameters
        ----------
        encoded : of `encode`
        keep : per sample, distinct places (k,) among `encoded.visual(sample)`; k may be 0, and
            differ between samples; all without
        positions : other than the option
        merges : per sample, the `Selection.merge` of a method that averages dropped tokens into
            kept ones: these are shown as `averaged` says, with the position ids of those kept

        Returns
        -------
        dict
            ``input_ids``, ``attention_mask``, ``position_ids``, and ``mm_encoder_outputs`` if any
            visual token is left.

        Raises
        ------
        ShapeError, DTypeError
            If `keep` or `merges` are not as said.
        ParameterError
            If there is no such policy for positions, or what is merged into is not what is kept.
        MissingInputError
            If there is something to merge, and not what enters the projector.
        """
        policy = encoded.options.positions if positions is None else positions
        if policy not in POSITIONS:
            raise ParameterError(f"positions: expected one of {list(POSITIONS)}, got {policy!r}")
        masks = shown(encoded, keep)
        columns = kept_columns(encoded, masks)
        mask = left_padded(encoded.attention_mask, columns, 0)
        if policy == "compacted":
            position_ids = self.compacted(encoded, columns)
        else:
            position_ids = left_padded(encoded.position_ids, columns, 0)
        pruned: dict[str, Any] = {
            "input_ids": left_padded(encoded.input_ids, columns, self._filler()),
            "attention_mask": mask,
            "position_ids": position_ids,
        }
        outputs = {}
        merging = check_merges(encoded, keep, merges)
        rows = {sample: self.averaged(encoded, sample, merge) for sample, merge in merging}
        whole = replaced(encoded, rows) if rows else encoded.features
        for modality, features in whole.items():
            by_index = {
                block.index: own
                for blocks, each in zip(encoded.blocks, masks, strict=True)
                for block, own in zip(blocks, each, strict=True)
                if block.modality == modality
            }
            ordered = [by_index[i].to(rows.device) for i, rows in enumerate(features.rows)]
            cut = features.cut(ordered)
            if cut is not None:
                outputs[modality] = cut
        if outputs:
            pruned["mm_encoder_outputs"] = outputs
        return pruned

    def averaged(self, encoded: Encoded, sample: int, merge: Merge) -> tuple[Tensor, Tensor]:
        """Places (m,) of the candidates that others are merged into, and the rows (m, d) that the
        decoder is shown there.

        Raises
        ------
        MissingInputError
            For a family whose encoder's features are not read.
        """
        raise MissingInputError(
            f"merges: tokens are merged before the projector, and what enters that of "
            f"{type(self.model).__name__} is not read"
        )

    def _filler(self) -> int:
        """A token for padding; nobody sees it, but it must not be counted as a placeholder."""
        text = self.model.config.get_text_config()
        taken = {self.placeholder("image"), self.placeholder("video")}
        wanted = [getattr(text, "pad_token_id", None), 0, 1, 2]
        return next(token for token in wanted if token is not None and token not in taken)

    def text(self, encoded: Encoded, sample: int, columns: Tensor) -> Tensor:
        """T (n_t, d): the embeddings of the tokens at some columns, as they enter the decoder."""
        ids = encoded.input_ids[sample, columns.to(encoded.input_ids.device)]
        with torch.no_grad():
            found: Tensor = self.model.get_input_embeddings()(ids)
        return found

    def with_options(self, options: Options) -> Family:
        """The same model under other options."""
        return type(self)(self.model, options)


def rebound(encoded: Encoded, options: Options) -> Encoded:
    """What was encoded under other options; the encoder need not run again."""
    return replace(encoded, options=options)
