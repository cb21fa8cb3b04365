"""Sample: one question about one image, with everything a selection method may ask for."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ..errors import DTypeError, ParameterError, ShapeError
from .fields import FIELDS, bind_shapes, check_field

NEGATIVES = ("random", "popular", "adversarial")


@dataclass(frozen=True, eq=False)
class Sample:
    """One question about one image. Checked when made; compare tensors, not samples.

    Attributes
    ----------
    sample_id, image_id : str
        Samples with one `image_id` share its per-image tensors.
    visual : (n_v, d) float
    text : (n_t, d) float
    grid : (rows, cols), (rows, cols, frames) or None
        Raster order, frames outermost; the product is n_v. None where tokens form no grid.
    tokens : tuple of n_t str
    question, answer, question_type : str
    negative : {None, "random", "popular", "adversarial"}
        How the absent thing of a yes/no question was chosen.
    options : tuple of str
        Of a multiple choice; else empty.
    cls_attention : (heads_cls, n_v) float, optional
    patch_attention : (heads, n_v, n_v) float, optional
    received_attention : (n_v,) float, optional
        What every token receives in the encoder, mean over heads: from the class token, or from
        the other tokens (column sums of `patch_attention` without its diagonal).
    encoder_features : (n_v, d_enc) float, optional
    encoder_keys : (n_v, d_key) float, optional
        Mean over heads, of the layer whose attention is given.
    clip_visual : (n_v, d_clip) float, optional
    clip_text : (n_clip, d_clip) float, optional
    text_attention : (llm_heads, n_t, n_v) float, optional
        What the words look at inside the language model, at one layer.
    llm_visual_states, llm_text_states : (n_v, d_llm), (n_t, d_llm) float, optional
    llm_visual_keys, llm_text_keys : (llm_heads, n_v or n_t, d_llm_key) float, optional
        After rotary angles.
    image : (height, width, 3) uint8, optional
    relevant : (n_v,) bool, optional
        Tokens of the things in question, where the world knows them.
    metadata : dict
        Anything that JSON gives back as it was.

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError, ParameterError
        If a field is not as said above.

    Examples
    --------
    >>> sample = Sample(
    ...     sample_id="7-0", image_id="7", visual=torch.ones(4, 2), text=torch.ones(1, 2),
    ...     grid=(2, 2), tokens=("red",), question="red", answer="yes", question_type="existence",
    ... )
    >>> sample.n_v, sample.n_t
    (4, 1)
    """

    sample_id: str
    image_id: str
    visual: torch.Tensor
    text: torch.Tensor
    grid: tuple[int, ...] | None
    tokens: tuple[str, ...]
    question: str
    answer: str
    question_type: str
    negative: str | None = None
    options: tuple[str, ...] = ()
    cls_attention: torch.Tensor | None = None
    patch_attention: torch.Tensor | None = None
    received_attention: torch.Tensor | None = None
    encoder_features: torch.Tensor | None = None
    encoder_keys: torch.Tensor | None = None
    clip_visual: torch.Tensor | None = None
    clip_text: torch.Tensor | None = None
    text_attention: torch.Tensor | None = None
    llm_visual_states: torch.Tensor | None = None
    llm_text_states: torch.Tensor | None = None
    llm_visual_keys: torch.Tensor | None = None
    llm_text_keys: torch.Tensor | None = None
    image: torch.Tensor | None = None
    relevant: torch.Tensor | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tensors = self.tensors()
        for name, tensor in tensors.items():
            check_field(FIELDS[name], tensor)
        sizes = bind_shapes((name, tuple(t.shape)) for name, t in tensors.items())
        check_grid(self.grid, sizes["n_v"])
        check_words(self.tokens, n_t=sizes["n_t"], options=self.options, negative=self.negative)
        for name in ("sample_id", "image_id", "question", "answer", "question_type"):
            check_text(name, getattr(self, name))
        check_metadata(self.metadata)

    @property
    def n_v(self) -> int:
        """Number of visual tokens."""
        return self.visual.shape[0]

    @property
    def n_t(self) -> int:
        """Number of text tokens."""
        return self.text.shape[0]

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors that are present, by field name, in the order of `FIELDS`."""
        present = {name: getattr(self, name) for name in FIELDS}
        return {
            name: tensor
            for name, tensor in present.items()
            if tensor is not None or FIELDS[name].is_required
        }

    def to(self, device: torch.device | str) -> Sample:
        """The sample with every tensor on `device`."""
        moved = copy.copy(self)  # checked already: a second look would wait for the device
        for name, tensor in self.tensors().items():
            object.__setattr__(moved, name, tensor.to(device))
        return moved


def check_grid(grid: object, n_v: int) -> None:
    """Refuse a grid that is not 2 or 3 positive integers whose product is `n_v`, or None."""
    if grid is None:
        return
    if not isinstance(grid, tuple) or any(type(size) is not int for size in grid):
        raise DTypeError(f"grid must be a tuple of int or None; got {grid!r}")
    if len(grid) not in (2, 3) or min(grid) < 1 or math.prod(grid) != n_v:
        raise ShapeError(
            f"grid must be (rows, cols[, frames]) with product n_v = {n_v}; got {grid}"
        )


def check_words(tokens: object, *, n_t: int, options: object, negative: object) -> None:
    """Refuse tokens other than `n_t` strings, options other than strings, an unknown negative."""
    for name, words in (("tokens", tokens), ("options", options)):
        if not isinstance(words, tuple) or any(not isinstance(word, str) for word in words):
            raise DTypeError(f"{name} must be a tuple of str; got {words!r}")
        for word in words:
            check_text(name, word)
    assert isinstance(tokens, tuple)  # anything else is refused above
    if len(tokens) != n_t:
        raise ShapeError(f"tokens must have n_t = {n_t} strings; got {len(tokens)}")
    if negative is not None and negative not in NEGATIVES:
        raise ParameterError(f"negative must be None or one of {NEGATIVES}; got {negative!r}")


def check_text(name: str, value: object) -> None:
    """Refuse what is not a string, or one that no UTF-8 file can hold."""
    if not isinstance(value, str):
        raise DTypeError(f"{name} must be a str; got {type(value).__name__}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ParameterError(f"{name} must be valid Unicode; got {value!r}") from error


def check_metadata(metadata: object) -> None:
    """Refuse metadata that JSON would not give back as it was (tuples, int keys, NaN, objects)."""
    if not isinstance(metadata, Mapping):
        raise DTypeError(f"metadata must be a mapping; got {type(metadata).__name__}")
    try:
        text = json.dumps(dict(metadata), allow_nan=False, ensure_ascii=False)
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise ParameterError(f"metadata must be JSON: {error}") from error
    if json.loads(text) != dict(metadata):
        raise ParameterError(
            "metadata must survive JSON: str keys, lists instead of tuples; "
            f"{dict(metadata)!r} would come back as {json.loads(text)!r}"
        )
