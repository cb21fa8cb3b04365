"""Provenance: what made a file, so that it can be made again."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from .errors import DTypeError, ParameterError

LIBRARIES = (
    "mitheory", "torch", "numpy", "scipy", "scikit-learn", "scikit-image", "safetensors",
    "pandas", "pyarrow", "matplotlib", "seaborn", "transformers",
)  # fmt: skip


@dataclass(frozen=True)
class Provenance:
    """What made a file; every field is what JSON gives back as it was.

    Attributes
    ----------
    created : str
        UTC, ISO 8601.
    command : str
        The command line.
    seed : int or None
    model, revision : str or None
    device : str
        As torch names it, such as ``cuda:0``.
    device_name : str
        What stands behind it, such as the name of the GPU.
    dtype : str or None
        In which the model ran.
    versions : dict
        Of the installed libraries among `LIBRARIES`.
    python, platform : str
    git_commit : str or None
        Of the checkout this package runs from; None from an installed copy.
    is_modified : bool or None
        Whether tracked files of the package differ from that commit.

    Raises
    ------
    DTypeError
        If a field is of another type.

    Examples
    --------
    >>> provenance = collect(command="mitheory extract", seed=0)
    >>> Provenance.from_dict(provenance.to_dict()) == provenance
    True
    """

    created: str
    command: str
    seed: int | None
    model: str | None
    revision: str | None
    device: str
    device_name: str
    dtype: str | None
    versions: Mapping[str, str]
    python: str
    platform: str
    git_commit: str | None
    is_modified: bool | None

    def __post_init__(self) -> None:
        optional = {"model", "revision", "dtype", "git_commit"}
        kinds: dict[str, type] = {"seed": int, "versions": dict, "is_modified": bool}
        for name, value in asdict(self).items():
            kind = kinds.get(name, str)
            may_miss = name in optional or kind in (int, bool)
            if type(value) is not kind and not (value is None and may_miss):
                raise DTypeError(f"provenance.{name} must be {kind.__name__}; got {value!r}")
        for item in self.versions.items():
            if any(type(text) is not str for text in item):
                raise DTypeError(f"provenance.versions must map str to str; got {item!r}")

    def to_dict(self) -> dict[str, Any]:
        """As a dict of what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Provenance:
        """Back from `to_dict`; a missing or unknown field is refused."""
        if not isinstance(values, Mapping):
            raise DTypeError(f"provenance must be a mapping; got {type(values).__name__}")
        expected, given = {f.name for f in fields(cls)}, set(values)
        if expected != given:
            missing, unknown = sorted(expected - given), sorted(map(str, given - expected))
            raise ParameterError(f"provenance lacks {missing} and does not know {unknown}")
        return cls(**values)

    def differences(self, other: Provenance) -> list[str]:
        """Names of the fields that differ, the date aside: empty for two starts of one job."""
        names = [f.name for f in fields(self) if f.name != "created"]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


def collect(
    command: str | None = None,
    *,
    seed: int | None = None,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    model: str | None = None,
    revision: str | None = None,
) -> Provenance:
    """The provenance of what this process is about to make.

    Parameters
    ----------
    command : the command line; by default that of this process
    seed, device, dtype, model, revision : as in `Provenance`

    Returns
    -------
    Provenance

    Examples
    --------
    >>> collect("mitheory extract --seed 3", seed=3, dtype=torch.float32).dtype
    'float32'
    """
    package = Path(__file__).resolve().parent
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=_command_line() if command is None else command,
        seed=seed,
        model=model,
        revision=revision,
        device=str(device),
        device_name=device_name(device),
        dtype=None if dtype is None else str(dtype).removeprefix("torch."),
        versions=library_versions(),
        python=platform.python_version(),
        platform=platform.platform(),
        git_commit=git_commit(package),
        is_modified=is_modified(package),
    )


def _command_line() -> str:
    """The command of this process, without the folder of its script."""
    script, *arguments = sys.argv or [""]
    return shlex.join([Path(script).name, *arguments])


def device_name(device: str | torch.device) -> str:
    """What stands behind a device: the GPU's name, or the processor.

    Examples
    --------
    >>> len(device_name("cpu")) > 0
    True
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor() if device.type == "cpu" else device.type


def _processor() -> str:
    """The processor's model where Linux tells it, else its architecture."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"


def library_versions() -> dict[str, str]:
    """Versions of those of `LIBRARIES` that are installed; none is imported for it.

    Examples
    --------
    >>> "torch" in library_versions()
    True
    """
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_commit(folder: Path) -> str | None:
    """Commit of the checkout that tracks `folder`; None outside of one, or without git.

    Examples
    --------
    >>> git_commit(Path("/")) is None
    True
    """
    # A copy installed into an environment inside some other checkout is not tracked there.
    if not _git(folder, "ls-files", "--", "."):
        return None
    return _git(folder, "rev-parse", "HEAD")


def is_modified(folder: Path) -> bool | None:
    """Whether tracked files in `folder` differ from the commit; None where there is none.

    Examples
    --------
    >>> is_modified(Path("/")) is None
    True
    """
    if git_commit(folder) is None:
        return None
    return bool(_git(folder, "status", "--porcelain", "--untracked-files=no", "--", "."))


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, None if it cannot."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
