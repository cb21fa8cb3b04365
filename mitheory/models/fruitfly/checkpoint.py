"""The weights that ship: float16 safetensors with the configuration and history as metadata."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ...errors import ParameterError
from ...io import replacing
from .network import FruitFly, FruitFlyConfig
from .vocabulary import WORDS

NAMES = ("fruitfly", "fruitfly-contrastive")


def save(model: FruitFly, path: Path, card: dict[str, Any]) -> None:
    """Write `model` in float16 with its configuration, vocabulary and `card`, atomically."""
    tensors = {k: v.detach().half().contiguous() for k, v in model.state_dict().items()}
    metadata = {
        "config": json.dumps(asdict(model.config)),
        "words": json.dumps(WORDS),
        "card": json.dumps(card),
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata)


def load(name_or_path: str | Path = "fruitfly") -> tuple[FruitFly, dict[str, Any]]:
    """A shipped checkpoint by name, or yours by path: the model (float32, eval) and its card.

    Raises
    ------
    ParameterError
        If there is no such checkpoint, or it was trained with another vocabulary.

    Examples
    --------
    >>> model, card = load("fruitfly")
    >>> model.training, sorted(card)
    (False, ['seed', 'stages', 'steps', 'validation'])
    """
    path = path_of(name_or_path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    if tuple(json.loads(metadata["words"])) != WORDS:
        raise ParameterError(f"{path}: trained with another vocabulary than this version's")
    model = FruitFly(FruitFlyConfig(**json.loads(metadata["config"])))
    model.load_state_dict(tensors)
    model.requires_grad_(False)
    return model.eval(), json.loads(metadata["card"])


def revision(name_or_path: str | Path) -> str:
    """SHA-256 of a checkpoint's bytes: tells two trainings of one name apart."""
    return hashlib.sha256(path_of(name_or_path).read_bytes()).hexdigest()


def path_of(name_or_path: str | Path) -> Path:
    """Where a shipped checkpoint lies, or the given path of a file; else ParameterError."""
    if name_or_path in NAMES:
        return Path(
            str(resources.files(__package__) / "checkpoints" / f"{name_or_path}.safetensors")
        )
    path = Path(name_or_path)
    if not path.is_file():
        raise ParameterError(
            f"checkpoint: expected one of {list(NAMES)} or a path to a file, "
            f"got {str(name_or_path)!r}"
        )
    return path


def default_device(device: str) -> torch.device:
    """`device` as torch knows it ("auto" takes a GPU where there is one), or ParameterError."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ParameterError(
            f"device: expected cpu, cuda, cuda:N or auto, got {device!r}"
        ) from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ParameterError(
            f"device: {device!r} asked for, but torch {torch.__version__} sees no GPU"
        )
    return chosen
