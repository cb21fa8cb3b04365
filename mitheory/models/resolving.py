"""From the name of a model to its adapter: shipped checkpoints, files, and adapters of your own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from torch import Tensor

from ..errors import ParameterError
from .base import ModelAdapter
from .fruitfly import FruitFlyAdapter
from .fruitfly.checkpoint import NAMES
from .mllm.loading import is_checkpoint


class NamedAdapter(ModelAdapter, Protocol):
    """What an ablation asks of an adapter besides encoding and answering.

    `revision` tells two trainings of one name apart: answers of another revision are not reused.
    `device` is what the provenance names, `batch_size` how many questions are answered at a time.
    """

    revision: str
    device: Any
    batch_size: int

    def embed(self, words: Sequence[str]) -> Tensor:
        """Embeddings (n, d) of words, for scopes that add some to the prompt."""
        ...


Factory = Callable[..., NamedAdapter]

ADAPTERS: dict[str, Factory] = {}
"""name -> factory(device=...), of adapters that `register_adapter` was told of."""


def register_adapter(name: str, factory: Factory) -> None:
    """Make an adapter known by a name in this process.

    Worker processes import nothing that the caller did: an adapter that is to run on several
    processes, or on a cluster, is named "module:factory" instead, which every worker can import.

    Parameters
    ----------
    name : not one that is taken
    factory : called with ``device=``

    Raises
    ------
    ParameterError
        If the name is taken or holds a colon.

    Examples
    --------
    >>> def factory(device):
    ...     return FruitFlyAdapter("fruitfly-contrastive", device=device)
    >>> register_adapter("mine", factory)
    >>> load_adapter("mine").name
    'fruitfly-contrastive'
    >>> del ADAPTERS["mine"]  # known no longer
    """
    if ":" in name or name in NAMES or name in ADAPTERS:
        raise ParameterError(f"name: expected a free one without colon, got {name!r}")
    ADAPTERS[name] = factory


def load_adapter(model: str | Path, *, device: str = "cpu", **options: Any) -> NamedAdapter:
    """The adapter that a name stands for.

    Parameters
    ----------
    model : "fruitfly", "fruitfly-contrastive", a registered name, "module:factory" (imported, and
        called with ``device=``), the file of a fruit-fly checkpoint, or a checkpoint of
        `transformers`: "owner/name" on the Hugging Face Hub, or a folder. Options may stand behind
        the name, "owner/name?dtype=bfloat16&newline=never", so that they go wherever it goes
    device : "cpu", "cuda", "cuda:1", or "auto"
    options : of the factory; for checkpoints of `transformers`, those of
        `MllmAdapter.from_pretrained`; the fruit-fly has none

    Raises
    ------
    ParameterError
        If there is no such model, or the module has no such factory, or the model has no options.
    UnknownNameError
        If the architecture of a checkpoint is not known.
    MissingDependencyError
        If `transformers` is missing.

    Examples
    --------
    >>> load_adapter("fruitfly").name
    'fruitfly'
    >>> load_adapter("mitheory.models.fruitfly:FruitFlyAdapter").name
    'fruitfly'
    """
    name, written = options_in(str(model))
    options = _together(model, written, options)
    if name in NAMES or Path(name).is_file():
        if options:
            raise ParameterError(f"options of {name!r}: expected none, got {sorted(options)}")
        return FruitFlyAdapter(name, device=device)
    if name in ADAPTERS:
        return ADAPTERS[name](device=device, **options)
    if is_checkpoint(name):
        from .mllm.adapter import MllmAdapter

        return MllmAdapter.from_pretrained(name, device=device, **options)
    module, colon, attribute = name.partition(":")
    if colon:
        return _imported(module, attribute)(device=device, **options)
    known = [*NAMES, *ADAPTERS]
    raise ParameterError(
        f"model: expected one of {known}, module:factory, a checkpoint file, a folder with a "
        f"config.json or owner/name on the Hugging Face Hub, got {name!r}"
    )


def checkpoint_identity(
    model: str | Path, *, device: str = "cpu", **options: Any
) -> tuple[str, int] | None:
    """Revision and batch size of the adapter that `load_adapter` would give, no weights loaded.

    None where the model has to be loaded to know: all but checkpoints of `transformers`.

    Raises
    ------
    ParameterError, UnknownNameError, MissingDependencyError
        As `load_adapter`.

    Examples
    --------
    >>> checkpoint_identity("fruitfly") is None
    True
    """
    name, written = options_in(str(model))
    if not _is_plain(name):
        return None
    from .mllm.adapter import MllmAdapter

    return MllmAdapter.identity(name, device=device, **_together(model, written, options))


def _is_plain(name: str) -> bool:
    """Whether a name is that of a checkpoint of `transformers`, and of nothing else."""
    is_known = name in NAMES or name in ADAPTERS or Path(name).is_file()
    return not is_known and is_checkpoint(name)


def _together(
    model: str | Path, written: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Options behind a name and beside it, each once."""
    if twice := sorted(set(written) & set(options)):
        raise ParameterError(f"options: expected each once, got {twice} in {str(model)!r} as well")
    return {**written, **options}


def load_encoder(model: str | Path, *, device: str = "cpu", **options: Any) -> NamedAdapter:
    """The adapter that a name stands for, for encoding alone.

    Of a checkpoint of `transformers` the decoder is then not loaded, unless ``decoder=True`` is
    among the options; every other model is loaded as `load_adapter` does.

    Raises
    ------
    ParameterError, UnknownNameError, MissingDependencyError
        As `load_adapter`.

    Examples
    --------
    >>> import tempfile
    >>> from mitheory.testing import save_tiny
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     adapter = load_encoder(save_tiny("LlavaForConditionalGeneration", folder))
    >>> adapter.n_layers
    0
    """
    name, written = options_in(str(model))
    if _is_plain(name) and "decoder" not in written:
        options.setdefault("decoder", False)
    return load_adapter(model, device=device, **options)


def options_in(model: str) -> tuple[str, dict[str, Any]]:
    """A model's name, and the options written behind it; values as JSON has them, or plain text.

    Raises
    ------
    ParameterError
        If an option has no value.

    Examples
    --------
    >>> options_in("llava-hf/llava-1.5-7b-hf?newline=never&attention_layer=-1")
    ('llava-hf/llava-1.5-7b-hf', {'newline': 'never', 'attention_layer': -1})
    """
    if Path(model).exists():
        return model, {}
    name, _, written = model.partition("?")
    found: dict[str, Any] = {}
    for pair in filter(None, written.split("&")):
        key, equals, value = pair.partition("=")
        if not equals or not key or not value or key in found:
            raise ParameterError(f"options: expected name=value, each once, got {pair!r}")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return name, found


def _imported(module: str, attribute: str) -> Factory:
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ParameterError(
            f"model: expected an importable module:factory, got {f'{module}:{attribute}'!r}: "
            f"{error}"
        ) from error
    return cast("Factory", found)
