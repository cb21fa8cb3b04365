"""Processors of families that take videos too, for images alone: without torchvision.

Their video processors are written with torchvision, and `transformers` makes none of the whole
without it. Image processors have a second form that needs pillow only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import MissingDependencyError
from .requirements import INSTALL, transformers


class NoVideos(dict[str, Any]):
    """Stands where a processor has its video processor, and refuses videos; no settings of one."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse.

        Raises
        ------
        MissingDependencyError
        """
        import torch

        raise MissingDependencyError(
            "videos: the processor of this model needs torchvision for them, from the same index "
            f"as torch {torch.__version__}: {INSTALL}; images go without"
        )


def images_only(folder: str | Path) -> Any:
    """The processor of a checkpoint's folder, with `NoVideos` in place of its video processor.

    Pixels are resized by pillow; torchvision's resizing differs by rounding.

    Raises
    ------
    OSError, ValueError
        If the folder holds no processor, as `transformers` says it.
    """
    library = transformers()
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    config = library.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    name = PROCESSOR_MAPPING_NAMES.get(config.model_type)
    if name is None:
        raise ValueError(f"no processor is known for model type {config.model_type!r}")
    cls = _checking_no_videos(getattr(library, name))
    made: Mapping[str, Any] = {
        "image_processor": library.AutoImageProcessor.from_pretrained(folder),
        "tokenizer": library.AutoTokenizer.from_pretrained(folder, trust_remote_code=False),
        "video_processor": NoVideos(),
    }
    said, _ = cls.get_processor_dict(folder)
    return cls.from_args_and_dict([made[part] for part in cls.get_attributes()], said)


def _checking_no_videos(cls: Any) -> Any:
    """The class of a processor that takes any object for its video processor."""

    def check(self: Any, name: str, argument: Any) -> Any:
        if isinstance(argument, NoVideos):
            return NoVideos
        return cls.check_argument_for_proper_class(self, name, argument)

    return type(cls.__name__, (cls,), {"check_argument_for_proper_class": check})
