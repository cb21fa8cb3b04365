"""Models of lmms-eval that run pruned: a plug-in by its entry points, group ``lmms_eval.models``.

lmms-eval is imported on use. A model of its own is taken as it is; once it is made, its `generate`
shows only the visual tokens that a method keeps (`mitheory.models.mllm.pruning.prune`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any

from mitheory.checks import lookup
from mitheory.errors import MissingDependencyError

PREFIX = "prune_"
"""Of our options among the ``--model_args``: ``prune_method``, ``prune_budget``, and any option of
the method, such as ``prune_relevance_weight``, or of pruning, such as ``prune_text_scope``."""


@dataclass(frozen=True)
class Wrapped:
    """A model of lmms-eval.

    Parameters
    ----------
    model_id : by which lmms-eval knows ours
    module, name : of its own class
    kind : "chat" or "simple", which of its interfaces that class has
    """

    model_id: str
    module: str
    name: str
    kind: str


WRAPPED: dict[str, Wrapped] = {
    "PrunedLlavaHf": Wrapped(
        "mitheory_llava_hf", "lmms_eval.models.chat.llava_hf", "LlavaHf", "chat"
    ),
    "PrunedQwen2VL": Wrapped(
        "mitheory_qwen2_vl", "lmms_eval.models.simple.qwen2_vl", "Qwen2_VL", "simple"
    ),
    "PrunedQwen25VL": Wrapped(
        "mitheory_qwen2_5_vl", "lmms_eval.models.chat.qwen2_5_vl", "Qwen2_5_VL", "chat"
    ),
    "PrunedQwen3VL": Wrapped(
        "mitheory_qwen3_vl", "lmms_eval.models.chat.qwen3_vl", "Qwen3_VL", "chat"
    ),
    "PrunedVideoLLaVA": Wrapped(
        "mitheory_video_llava", "lmms_eval.models.simple.video_llava", "VideoLLaVA", "simple"
    ),
}
"""Our class -> what it wraps."""


def manifests() -> list[Any]:
    """What the entry point gives lmms-eval: a ``ModelManifest`` for each model."""
    manifest = _imported("lmms_eval.models.registry_v2").ModelManifest
    return [
        manifest(model_id=own.model_id, **{f"{own.kind}_class_path": f"{__name__}.{name}"})
        for name, own in WRAPPED.items()
    ]


def __getattr__(name: str) -> type:
    """Our class of that name, made when lmms-eval asks for it.

    Raises
    ------
    AttributeError
    """
    if name not in WRAPPED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    own = WRAPPED[name]
    made = pruned(getattr(_imported(own.module), own.name), name)
    globals()[name] = made
    return made


def split_options(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ours, without their prefix, and the wrapped model's.

    Examples
    --------
    >>> split_options({"pretrained": "x", "prune_budget": 64})
    ({'budget': 64}, {'pretrained': 'x'})
    """
    ours = {k.removeprefix(PREFIX): v for k, v in given.items() if k.startswith(PREFIX)}
    return ours, {k: v for k, v in given.items() if not k.startswith(PREFIX)}


def pruned(base: type, name: str) -> type:
    """A model class of lmms-eval whose instances run pruned.

    Parameters
    ----------
    base : made with keywords; holds the model of `transformers` as ``_model``, and its processor as
        ``processor`` or ``_image_processor``
    name : of the new class
    """

    def made(self: Any, *arguments: Any, **given: Any) -> None:
        from mitheory.models.mllm.options import Options
        from mitheory.models.mllm.pruning import prune

        ours, theirs = split_options(given)
        base.__init__(self, *arguments, **theirs)  # type: ignore[misc]  # any class
        known = {f.name for f in fields(Options)}
        policies = Options(**{k: ours.pop(k) for k in known & set(ours)})
        processor = getattr(self, "processor", None) or self._image_processor
        model = getattr(self._model, "module", self._model)  # inside what accelerate put around it
        self.pruning = ExitStack()  # lasts as long as the model
        self.pruner = self.pruning.enter_context(prune(model, processor, pruning=policies, **ours))

    words = f"`{base.__name__}` of lmms-eval, pruned; options with ``{PREFIX}`` are ours."
    return type(name, (base,), {"__init__": made, "__doc__": words, "__module__": __name__})


def _imported(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{module}: cannot be imported; pip install lmms-eval ({error})"
        ) from error


def model_class(model_id: str) -> type:
    """The class behind one of our ids.

    Raises
    ------
    UnknownNameError
        If it is none of ours.
    MissingDependencyError
        If lmms-eval is not installed.
    """
    names = {own.model_id: name for name, own in WRAPPED.items()}
    found: type = getattr(import_module(__name__), lookup(model_id, names, "model"))
    return found
