"""From the name of a checkpoint to a model: with its decoder, or without it for extraction.

Extraction needs the vision encoder, the projector and the embeddings of words. Of a sharded
checkpoint only the files that hold these are fetched and read, and neither the decoder nor the
head over the vocabulary is ever made. Code of a repository is never run, and weights are read from
safetensors only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...checks import lookup
from ...errors import BundleError, MissingDependencyError, MissingInputError, ParameterError
from ..fruitfly.checkpoint import default_device
from .images_only import images_only
from .registry import FAMILIES
from .requirements import INSTALL, transformers

DTYPES = ("auto", "float32", "bfloat16", "float16")
ATTENTIONS = ("sdpa", "eager", "flash_attention_2")

EXTRACTION = re.compile(
    r"(?:^|\.)(?:vision_tower|image_tower|video_tower|visual|multi_modal_projector|image_newline"
    r"|embed_tokens)(?:\.|$)"
)
"""Tensors of a checkpoint that extraction needs, by their names on the Hub and in the library."""

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
UNMADE = (OSError, ValueError, TypeError, RuntimeError, ImportError, AttributeError)
"""What `transformers` raises where it can make no processor."""
SMALL = ("*.json", "*.txt", "*.model", "*.jinja")
"""Files of a repository that are no weights: configuration, tokenizer, processor, index."""


@dataclass(frozen=True)
class Loading:
    """How a model is loaded.

    Attributes
    ----------
    dtype : {"auto", "float32", "bfloat16", "float16"}
        Of the weights; "auto" is the checkpoint's own. PMI is computed in float32 all the same.
    device : str
        "cpu", "cuda", "cuda:1", or "auto".
    device_map : str or None
        Of accelerate, such as "auto" or "balanced": over several GPUs. Then `device` is "auto".
    revision : str or None
        Branch, tag or commit on the Hub; None is its main branch.
    attn_implementation : {"sdpa", "eager", "flash_attention_2"}
        Of encoder and decoder.

    Raises
    ------
    ParameterError
        For another value.
    """

    dtype: str = "auto"
    device: str = "auto"
    device_map: str | None = None
    revision: str | None = None
    attn_implementation: str = "sdpa"

    def __post_init__(self) -> None:
        for name, known in (("dtype", DTYPES), ("attn_implementation", ATTENTIONS)):
            if getattr(self, name) not in known:
                raise ParameterError(
                    f"{name}: expected one of {list(known)}, got {getattr(self, name)!r}"
                )
        if self.device_map is not None and self.device != "auto":
            raise ParameterError(
                f"device: expected 'auto' beside a device_map ({self.device_map!r}), "
                f"got {self.device!r}"
            )

    @property
    def torch_dtype(self) -> Any:
        """As `transformers` takes it."""
        return "auto" if self.dtype == "auto" else getattr(torch, self.dtype)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model and what tells it apart from another of its name.

    Attributes
    ----------
    model : PreTrainedModel
        In evaluation mode, without gradients.
    architecture : str
        Class of `transformers`.
    revision : str
        Commit on the Hub; of a folder, a hash over its configurations and samples of its weights.
    folder : Path
        Where its files lie.
    has_decoder : bool
    """

    model: Any
    architecture: str
    revision: str
    folder: Path
    has_decoder: bool


# --- what is to be loaded ---------------------------------------------------------------------


def is_checkpoint(name: str) -> bool:
    """Whether a name is one of a checkpoint: a folder with a configuration, or owner/name.

    Examples
    --------
    >>> is_checkpoint("llava-hf/llava-1.5-7b-hf"), is_checkpoint("fruitfly")
    (True, False)
    """
    if Path(name).is_dir():
        return (Path(name) / "config.json").is_file()
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None and not Path(name).exists()


def architecture_of(config: Mapping[str, Any]) -> str:
    """The class of `transformers` that a checkpoint's configuration names.

    Raises
    ------
    UnknownNameError
        If it is none of the known ones, which are listed.
    ParameterError
        If it names none.

    Examples
    --------
    >>> architecture_of({"architectures": ["Qwen3VLForConditionalGeneration"]})
    'Qwen3VLForConditionalGeneration'
    """
    names = config.get("architectures") or []
    if not names:
        raise ParameterError("config.json: expected the model's class as 'architectures', got none")
    lookup(names[0], FAMILIES, "architecture")
    return str(names[0])


def needed_shards(weight_map: Mapping[str, str]) -> tuple[str, ...]:
    """Files of a sharded checkpoint that extraction needs.

    Parameters
    ----------
    weight_map : tensor -> file, of the checkpoint's index

    Raises
    ------
    BundleError
        If none of its tensors is needed, so that these are no weights of a known model.

    Examples
    --------
    >>> needed_shards({
    ...     "language_model.model.embed_tokens.weight": "1.safetensors",
    ...     "language_model.model.layers.7.mlp.up_proj.weight": "2.safetensors",
    ...     "vision_tower.vision_model.post_layernorm.bias": "3.safetensors",
    ... })
    ('1.safetensors', '3.safetensors')
    """
    files = sorted({file for name, file in weight_map.items() if EXTRACTION.search(name)})
    if not files:
        raise BundleError(
            f"{INDEX}: expected tensors of a vision encoder, a projector and word embeddings, "
            f"got {sorted(weight_map)[:3]}, ..."
        )
    return tuple(files)


def without_decoder(config: Any) -> Any:
    """The configuration with a decoder of no layers; the one given is changed."""
    text = config.get_text_config()
    text.num_hidden_layers = 0
    if getattr(text, "layer_types", None) is not None:
        text.layer_types = []
    return config


# --- files ------------------------------------------------------------------------------------


def local_folder(
    name: str | Path, *, revision: str | None = None, decoder: bool = True, weights: bool = True
) -> Path:
    """Where a checkpoint's files lie; fetched from the Hub unless `name` is a folder.

    Without the decoder, of the weights only the files that extraction needs are fetched; without
    `weights` none.

    Raises
    ------
    ParameterError
        If there is no such folder and the Hub has, or gives, no such repository; or if a revision
        is asked of a folder.
    """
    path = Path(name)
    if path.is_dir():
        if revision is not None:
            raise ParameterError(f"revision: a folder has none, got {revision!r} for {str(name)!r}")
        return path
    transformers()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    def fetched(*patterns: str) -> Path:
        return Path(
            snapshot_download(str(name), revision=revision, allow_patterns=[*SMALL, *patterns])
        )

    try:
        folder = fetched()
        if not weights:
            return folder
        if not (folder / INDEX).is_file():
            return fetched(SINGLE)
        weight_map = read_index(folder)
        files = set(weight_map.values()) if decoder else needed_shards(weight_map)
        return fetched(*sorted(files))
    except (HFValidationError, RepositoryNotFoundError, OSError) as error:
        raise ParameterError(
            f"model: expected a folder or a repository of the Hub, got {str(name)!r}: {error}"
        ) from error


def read_index(folder: Path) -> dict[str, str]:
    """Tensor -> file, of a sharded checkpoint.

    Raises
    ------
    BundleError
        If the index cannot be read, or leads out of the folder.
    """
    path = folder / INDEX
    try:
        weight_map = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        files = {str(file) for file in weight_map.values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path}: expected an index of shards with a 'weight_map'") from error
    outside = sorted(f for f in files if Path(f).name != f or not f.endswith(".safetensors"))
    if outside:
        raise BundleError(f"{path}: expected names of safetensors files, got {outside[0]!r}")
    return {str(tensor): str(file) for tensor, file in weight_map.items()}


def tensor_names(folder: Path) -> set[str]:
    """Names of a checkpoint's tensors, of one file or of several."""
    if (folder / INDEX).is_file():
        return set(read_index(folder))
    from safetensors import safe_open

    with safe_open(folder / SINGLE, "pt") as file:
        return set(file.keys())


def check_files(folder: Path, *, decoder: bool = True) -> None:
    """Refuse a checkpoint without the safetensors files that are needed.

    Raises
    ------
    BundleError
        Naming what is not there.
    """
    if (folder / INDEX).is_file():
        weight_map = read_index(folder)
        files = sorted(set(weight_map.values())) if decoder else needed_shards(weight_map)
    else:
        files = [SINGLE]
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise BundleError(f"{folder}: expected weights in safetensors, missing {missing}")


def fingerprint(folder: Path) -> str:
    """What tells a checkpoint's weights from others of its name.

    The commit, if the files come from the Hub's cache. Else a hash over all configurations and, of
    every file of weights, its name, size and last mebibyte: reading 15 GB would take longer than
    using them.
    """
    if folder.parent.name == "snapshots":
        return folder.name
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.json")):  # also what the processor does to images
        digest.update(path.name.encode() + path.read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            file.seek(max(0, size - 2**20))
            digest.update(file.read())
    return digest.hexdigest()


def revision_of(name: str | Path, *, revision: str | None = None) -> str:
    """The `Loaded.revision` that `load_model` would say, found without loading any weights.

    Of a repository of the Hub only the small files are fetched.

    Raises
    ------
    UnknownNameError, ParameterError
        As `load_model`, for a class that is not known and for no such checkpoint.
    """
    library = transformers()
    folder = local_folder(name, revision=revision, weights=False)
    architecture_of(library.PreTrainedConfig.get_config_dict(folder)[0])
    return fingerprint(folder)


@contextmanager
def needed_only(folder: Path) -> Iterator[Path]:
    """A folder in which the checkpoint consists of what extraction needs; gone after the block.

    Files are linked, not copied; the index lists nothing else.
    """
    if not (folder / INDEX).is_file():
        yield folder
        return
    weight_map = read_index(folder)
    files = needed_shards(weight_map)
    wanted = {name: file for name, file in weight_map.items() if EXTRACTION.search(name)}
    with tempfile.TemporaryDirectory(prefix="mitheory-") as name:
        view = Path(name)
        for path in folder.iterdir():
            is_weight = path.suffix in (".safetensors", ".bin", ".pth", ".pt")
            if path.is_file() and path.name != INDEX and (not is_weight or path.name in files):
                os.symlink(path.resolve(), view / path.name)
        index = {"metadata": {}, "weight_map": wanted}
        (view / INDEX).write_text(json.dumps(index), encoding="utf-8")
        yield view


# --- models -----------------------------------------------------------------------------------


class NoDecoder(nn.Module):
    """Stands where a decoder ends, in a model loaded for extraction."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Refuse to answer.

        Raises
        ------
        MissingInputError
        """
        raise MissingInputError(
            "this model was loaded for extraction, without its decoder, and cannot answer; "
            "load it with decoder=True"
        )


def load_model(name: str | Path, loading: Loading | None = None, *, decoder: bool = True) -> Loaded:
    """A multimodal model of `transformers`, ready for its family.

    Parameters
    ----------
    name : a folder with a checkpoint, or a repository of the Hub
    loading : precision, device and the like
    decoder : False for extraction: encoder, projector and word embeddings only. The class is the
        same, so that the family's `encode` and `text` work; answering is refused

    Raises
    ------
    UnknownNameError
        If the checkpoint is of a class that is not known, listing the known ones.
    ParameterError
        If there is no such checkpoint or device.
    BundleError
        If tensors are missing in it, so that the model would be random in part.
    MissingDependencyError
        If `transformers` is missing or of another version, or a device map is asked for and
        accelerate is missing.

    Examples
    --------
    >>> from mitheory.testing import save_tiny
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     loaded = load_model(save_tiny("LlavaForConditionalGeneration", folder))
    >>> loaded.architecture, loaded.model.training, loaded.has_decoder
    ('LlavaForConditionalGeneration', False, True)
    """
    loading = loading or Loading()
    library = transformers()
    folder = local_folder(name, revision=loading.revision, decoder=decoder)
    config_dict, _ = library.PreTrainedConfig.get_config_dict(folder)
    architecture = architecture_of(config_dict)
    check_files(folder, decoder=decoder)
    cls = getattr(library, architecture)
    config = cls.config_class.from_pretrained(folder)
    where = _where(loading)
    kwargs = {
        "dtype": loading.torch_dtype,
        "attn_implementation": loading.attn_implementation,
        "use_safetensors": True,
        "local_files_only": True,
        **where,
    }
    if decoder:
        model = _loaded(cls, folder, config, kwargs)
    else:
        with needed_only(folder) as view:
            model = _extracting(cls, view, without_decoder(config), kwargs)
    if not where:
        model = model.to(default_device(loading.device))
    model.eval().requires_grad_(False)
    return Loaded(model, architecture, fingerprint(folder), folder, decoder)


def _where(loading: Loading) -> dict[str, Any]:
    if loading.device_map is None:
        return {}
    try:
        import accelerate  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"a device_map needs accelerate: {INSTALL}") from error
    return {"device_map": loading.device_map}


def _loaded(
    cls: Any, folder: Path, config: Any, kwargs: Mapping[str, Any], *, decoder: bool = True
) -> Any:
    with _quietly():
        try:
            model, report = cls.from_pretrained(
                folder, config=config, output_loading_info=True, **kwargs
            )
        except (OSError, ValueError, ImportError) as error:
            raise ParameterError(f"model: {folder} cannot be loaded: {error}") from error
    lacking = [*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])]
    wrong = sorted(key for key in lacking if decoder or EXTRACTION.search(key))
    if wrong:
        raise BundleError(
            f"{folder}: {len(wrong)} tensors of {cls.__name__} are not there, or of another shape: "
            f"{wrong[:3]}"
        )
    return model


def _extracting(cls: Any, folder: Path, config: Any, kwargs: Mapping[str, Any]) -> Any:
    """The whole class on no device, its inner model replaced by a loaded one without layers."""
    with torch.device("meta"):
        outer = cls(config)
    own = {f"model.{name}" for name, _ in outer.model.named_parameters()}
    if {name for name in own if EXTRACTION.search(name)} <= tensor_names(folder):
        kwargs = {**kwargs, "key_mapping": {r"^model\.": ""}}  # the library's names, not the Hub's
    outer.model = _loaded(type(outer.model), folder, config, kwargs, decoder=False)
    outer.model.language_model.norm = NoDecoder()
    outer.lm_head = NoDecoder()
    outer.config = outer.model.config
    return outer


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the library's list of the tensors that are left unread; missing ones we check."""
    logging = transformers().utils.logging
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def load_processor(folder: str | Path) -> Any:
    """The processor of a checkpoint's folder, prompts padded on the left.

    Without torchvision, the processors of families that take videos too take images only.

    Raises
    ------
    MissingDependencyError
        If it cannot be made because torchvision is missing, or not of torch's own build.
    ParameterError
        If the checkpoint has none.

    Examples
    --------
    >>> from mitheory.testing import save_tiny
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     processor = load_processor(save_tiny("LlavaForConditionalGeneration", folder))
    >>> processor.tokenizer.padding_side
    'left'
    """
    library = transformers()
    try:
        processor = library.AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    except UNMADE as error:
        lacking = _torchvision_lacks()
        if not lacking:
            raise ParameterError(f"model: no processor in {str(folder)!r}: {error}") from error
        try:
            processor = images_only(folder)
        except UNMADE:
            raise MissingDependencyError(
                f"the processor of {str(folder)!r} needs torchvision, from the same index as "
                f"torch {torch.__version__}: {INSTALL} ({lacking})"
            ) from error
    if not hasattr(processor, "tokenizer"):
        raise ParameterError(f"model: no processor in {str(folder)!r}, only a tokenizer")
    processor.tokenizer.padding_side = "left"
    return processor


def _torchvision_lacks() -> str:
    """Why torchvision cannot be imported; empty if it can."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError) as missing:
        return str(missing)
    return ""
