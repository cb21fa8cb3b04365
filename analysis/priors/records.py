"""A fitted prior, and its file: arrays as safetensors, what they mean as JSON in the header."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from mitheory.errors import ParameterError
from mitheory.io import atomic_write

FORMAT = "mitheory learned prior 1"
HEADER = "mitheory"


@dataclass(frozen=True, eq=False)
class LearnedPrior:
    """A prior that was fitted.

    Parameters
    ----------
    kind : a name of `analysis.priors.KINDS`
    arrays : what was fitted, by name
    grid : (rows, cols) it was fitted on
    width : d of the visual tokens
    model : name of the model whose tokens it was fitted on
    revision : of its weights
    scenes : ids of the scenes it was fitted on
    options : hyper-parameters, chosen within those scenes
    """

    kind: str
    arrays: Mapping[str, Tensor]
    grid: tuple[int, ...]
    width: int
    model: str
    revision: str
    scenes: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def content(self) -> bytes:
        """The file's bytes: equal for equal priors."""
        about = {
            "format": FORMAT,
            "kind": self.kind,
            "grid": list(self.grid),
            "width": self.width,
            "model": self.model,
            "revision": self.revision,
            "scenes": list(self.scenes),
            "options": dict(self.options),
        }
        arrays = {k: v.contiguous() for k, v in sorted(self.arrays.items())}
        return to_bytes(arrays, {HEADER: json.dumps(about, sort_keys=True, allow_nan=False)})

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of `content`."""
        return hashlib.sha256(self.content()).hexdigest()[:16]


def save(prior: LearnedPrior, path: str | os.PathLike[str]) -> Path:
    """Write a prior, whole or not at all; its path.

    Raises
    ------
    ParameterError
        If the name does not end with ``.safetensors``.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ParameterError(f"path: expected a name ending with .safetensors, got {path.name}")
    atomic_write(path, prior.content())
    return path


def load(path: str | os.PathLike[str]) -> LearnedPrior:
    """Read a prior that `save` wrote. Nothing in the file is ever executed.

    Raises
    ------
    ParameterError
        If there is no such file, or it is none of a prior.
    """
    path = Path(path)
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise ParameterError(f"prior: expected a file, got {path}, which is not there") from error
    except (SafetensorError, OSError) as error:
        raise ParameterError(f"{path}: expected a fitted prior: {error}") from error
    about = json.loads(header.get(HEADER, "{}"))
    if (found := about.pop("format", None)) != FORMAT:
        raise ParameterError(f"{path}: expected the format {FORMAT!r}, got {found!r}")
    if not all(bool(torch.isfinite(x).all()) for x in arrays.values()):
        raise ParameterError(f"{path}: expected finite arrays, got NaN or infinity")
    about |= {"grid": tuple(about["grid"]), "scenes": tuple(about["scenes"])}
    return LearnedPrior(arrays=arrays, **about)
