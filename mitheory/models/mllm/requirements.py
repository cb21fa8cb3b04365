"""What of `transformers` this path needs, checked when it is first used."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from ...errors import MissingDependencyError

OLDEST, NEXT_MAJOR = (5, 18), (6, 0)
INSTALL = "pip install 'mitheory[mllm]'"


def transformers() -> ModuleType:
    """The library, if it is there and of a version that this was tested with.

    Raises
    ------
    MissingDependencyError
        Naming the version that is needed, and the one that is there.
    """
    try:
        import transformers as library
    except ImportError as error:
        raise MissingDependencyError(
            f"multimodal models need transformers >= 5.18, < 6: {INSTALL}"
        ) from error
    release = tuple(int(part) for part in library.__version__.split(".")[:2])
    if not OLDEST <= release < NEXT_MAJOR:
        raise MissingDependencyError(
            f"multimodal models need transformers >= 5.18, < 6, whose models take visual tokens "
            f"that are already encoded; {library.__version__} is installed: {INSTALL}"
        )
    return library


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
            f"mm_encoder_outputs, which pruning needs (there from 5.18 on): {INSTALL}"
        )
