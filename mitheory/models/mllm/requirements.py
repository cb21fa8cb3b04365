"""What of `transformers` this path needs, checked when it is first used."""

from __future__ import annotations

import inspect
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch

from ...errors import MissingDependencyError

OLDEST, NEXT_MAJOR = (5, 23), (6, 0)
INSTALL = "pip install 'mitheory[mllm]'"


def transformers() -> ModuleType:
    """The library, if it is there and of a version that this was tested with.

    Raises
    ------
    MissingDependencyError
        Naming the version that is needed, and the one that is there; or that torchvision is there
        and of another build than torch, with which no model of the library can be imported.
    """
    try:
        import transformers as library
    except ImportError as error:
        raise MissingDependencyError(
            f"multimodal models need transformers >= 5.23, < 6: {INSTALL}"
        ) from error
    release = tuple(int(part) for part in library.__version__.split(".")[:2])
    if not OLDEST <= release < NEXT_MAJOR:
        raise MissingDependencyError(
            f"multimodal models need transformers >= 5.23, < 6, whose models take visual tokens "
            f"that are already encoded; {library.__version__} is installed: {INSTALL}"
        )
    check_torchvision()
    return library


@cache
def check_torchvision() -> None:
    """Refuse a torchvision that is installed and cannot be imported; none at all passes.

    Raises
    ------
    MissingDependencyError
    """
    if find_spec("torchvision") is None:
        return
    try:
        import_module("torchvision")
    except (ImportError, RuntimeError, OSError) as error:
        raise MissingDependencyError(
            f"torchvision is there and cannot be imported, so that no model of transformers can be "
            f"either: install it from the same index as torch {torch.__version__}, or remove it "
            f"({error})"
        ) from error


def check_class(model: type) -> None:
    """Refuse a class whose `forward` takes no visual tokens that are already encoded.

    Raises
    ------
    MissingDependencyError
    """
    library: Any = transformers()
    if "mm_encoder_outputs" not in inspect.signature(model.forward).parameters:  # type: ignore[attr-defined]
        raise MissingDependencyError(
            f"{model.__name__}.forward of transformers {library.__version__} takes no "
            f"mm_encoder_outputs, which pruning needs: {INSTALL}"
        )
