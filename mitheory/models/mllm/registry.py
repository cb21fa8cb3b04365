"""Families by the name of the model's class in `transformers`; imported on use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ...names import lookup
from .base import Family
from .options import Options
from .requirements import check_class

FAMILIES: dict[str, str] = {
    "LlavaForConditionalGeneration": "llava:Llava",
    "LlavaNextForConditionalGeneration": "llava_next:LlavaNext",
    "VideoLlavaForConditionalGeneration": "video_llava:VideoLlava",
    "Qwen2VLForConditionalGeneration": "qwen:Qwen2VL",
    "Qwen2_5_VLForConditionalGeneration": "qwen:Qwen2_5_VL",
    "Qwen3VLForConditionalGeneration": "qwen:Qwen3VL",
    "Qwen3VLMoeForConditionalGeneration": "qwen:Qwen3VL",
}
"""Class of `transformers` -> module of this package and its family."""


def family_class(architecture: str) -> type[Family]:
    """The family of a class of `transformers`.

    Raises
    ------
    UnknownNameError
        Listing the known ones.

    Examples
    --------
    >>> family_class("LlavaForConditionalGeneration").__name__
    'Llava'
    """
    module, _, name = lookup(architecture, FAMILIES, "architecture").partition(":")
    found: type[Family] = getattr(import_module(f".{module}", __package__), name)
    return found


def family_of(model: Any, options: Options | None = None) -> Family:
    """A model with what is special about its family: `encode` and `prune`.

    Parameters
    ----------
    model : of `transformers`, loaded
    options : how it is pruned

    Raises
    ------
    UnknownNameError
        If its class is none of the known ones.
    MissingDependencyError
        If the installed `transformers` cannot do it.

    Examples
    --------
    >>> from mitheory.testing import tiny_model
    >>> family = family_of(tiny_model("LlavaForConditionalGeneration"))
    >>> type(family).__name__, family.options.newline
    ('Llava', 'follow')
    """
    names = (cls.__name__ for cls in type(model).__mro__)  # a class derived from a known one
    known = next((name for name in names if name in FAMILIES), type(model).__name__)
    family = family_class(known)
    check_class(type(model))
    return family(model, options or Options())
