"""A checkpoint by its name on the Hugging Face Hub or its folder: model, processor, revision."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from ...errors import MissingDependencyError, ParameterError
from .registry import family_class
from .requirements import INSTALL, transformers


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


def configuration(checkpoint: str, revision: str | None) -> Any:
    """The configuration of a checkpoint; nothing else is fetched.

    Raises
    ------
    ParameterError
        If there is no such checkpoint, or it cannot be reached.
    """
    library = transformers()
    try:
        return library.AutoConfig.from_pretrained(
            checkpoint, revision=revision, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise ParameterError(f"model: {checkpoint!r} cannot be loaded: {error}") from error


def architecture_of(config: Any) -> str:
    """The class that a checkpoint's configuration names.

    Raises
    ------
    UnknownNameError
        If it is none of the known ones.
    """
    names = getattr(config, "architectures", None) or [type(config).__name__]
    family_class(names[0])
    return str(names[0])


def model_of(
    checkpoint: str,
    config: Any,
    *,
    dtype: str = "auto",
    revision: str | None = None,
    device: str | None = "cpu",
    device_map: Any = None,
    attn_implementation: str | None = None,
) -> Any:
    """The whole model, in evaluation mode.

    Parameters
    ----------
    config : of `configuration`
    dtype : "auto" is that of the file
    device : where it shall be, unless a `device_map` deals it out
    attn_implementation : such as "sdpa" or "flash_attention_2"
    """
    library = transformers()
    kind = getattr(library, architecture_of(config))
    further = {"device_map": device_map, "attn_implementation": attn_implementation}
    given = {name: value for name, value in further.items() if value is not None}
    try:
        model = kind.from_pretrained(
            checkpoint, config=config, dtype=dtype, revision=revision, **given
        )
    except (OSError, ValueError) as error:
        raise ParameterError(f"model: {checkpoint!r} cannot be loaded: {error}") from error
    return (model if device_map is not None else model.to(device)).eval()


def processor_of(checkpoint: str, revision: str | None = None) -> Any:
    """The processor of a checkpoint, padding on the left.

    Raises
    ------
    MissingDependencyError
        If it needs torchvision, which is not there.
    ParameterError
        If the checkpoint has none.
    """
    library = transformers()
    try:
        processor = library.AutoProcessor.from_pretrained(
            checkpoint, revision=revision, trust_remote_code=False
        )
    except (OSError, ValueError, ImportError, AttributeError) as error:
        try:
            import torchvision  # noqa: F401
        except (ImportError, RuntimeError) as missing:
            raise MissingDependencyError(
                f"the processor of {checkpoint!r} needs torchvision, of the same source as torch: "
                f"{INSTALL} ({missing})"
            ) from error
        raise ParameterError(f"model: no processor in {checkpoint!r}: {error}") from error
    if not hasattr(processor, "tokenizer"):
        raise ParameterError(f"model: no processor in {checkpoint!r}, only a tokenizer")
    processor.tokenizer.padding_side = "left"
    return processor


def revision_of(checkpoint: str, config: Any) -> str:
    """What tells two checkpoints of one name apart: the commit on the Hub; for a folder, a hash of
    its configuration and of the sizes and times of its files."""
    commit = getattr(config, "_commit_hash", None)
    if commit is not None:
        return str(commit)
    digest = hashlib.sha256()
    for path in sorted(Path(checkpoint).glob("*")):
        if path.suffix == ".json":
            digest.update(path.name.encode() + path.read_bytes())
        elif path.is_file():
            status = path.stat()
            digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()
