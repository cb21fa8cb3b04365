"""The last step of a writer: a finished bundle takes its place."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open

from ..errors import BundleError
from ..io import atomic_write_text, replace_directory, replacing
from .reader import METADATA_KEY, read_index
from .records import INDEX, Index, to_json, to_record
from .schema import SHARD_NAME, SINGLE_FILE
from .shards import open_safetensors, save_tensors

SINGLE_SUFFIX = ".safetensors"
MAX_HEADER_BYTES = 90_000_000  # safetensors reads headers up to 100 MB


def is_single(path: Path) -> bool:
    """Whether a bundle at this path is one file.

    Examples
    --------
    >>> is_single(Path("a.safetensors")), is_single(Path("a"))
    (True, False)
    """
    return path.suffix == SINGLE_SUFFIX


def check_place(path: Path, *, overwrite: bool) -> None:
    """Refuse a place where something stands, unless it is a bundle that may be replaced.

    Raises
    ------
    BundleError
    """
    if not path.exists() and not path.is_symlink():
        return
    if path.is_dir() and not path.is_symlink() and not is_single(path) and not any(path.iterdir()):
        return
    if not overwrite:
        raise BundleError(f"{path.name}: exists; pass overwrite=True to replace a bundle")
    if not _is_ours(path):
        raise BundleError(f"{path.name}: exists and is not a bundle of that form; not replaced")


def _is_ours(path: Path) -> bool:
    """Whether a path holds a bundle of the form its name says, sound or not, and nothing else."""
    if path.is_symlink() or path.is_dir() == is_single(path):
        return False
    if path.is_dir():
        names = {entry.name for entry in path.iterdir()}
        return INDEX in names and all(SHARD_NAME.fullmatch(n) for n in names - {INDEX})
    try:
        return METADATA_KEY in (open_safetensors(path).metadata() or {})
    except BundleError:
        return False


def place(index: Index, folder: Path, target: Path) -> None:
    """Move the finished shards in `folder`, with their index, to `target`.

    Raises
    ------
    BundleError
        If a one-file bundle would need a longer header than safetensors reads.
    """
    if is_single(target):
        _pack(index, folder, target)
    else:
        atomic_write_text(folder / INDEX, to_json(to_record(index)))
        replace_directory(folder, target)


def _pack(index: Index, folder: Path, target: Path) -> None:
    """Write all shards as one file, the index in its header."""
    single = replace(
        index,
        shards={},
        images={n: replace(e, shard=SINGLE_FILE) for n, e in index.images.items()},
        samples={n: replace(e, shard=SINGLE_FILE) for n, e in index.samples.items()},
    )
    text = to_json(to_record(single))
    if len(text.encode()) > MAX_HEADER_BYTES:
        raise BundleError(f"{target.name}: index too long for one file; write a folder instead")
    tensors: dict[str, torch.Tensor] = {}
    with ExitStack() as stack, replacing(target) as temporary:
        for name in index.shards:  # mapped, not loaded
            shard = stack.enter_context(safe_open(folder / name, framework="pt", device="cpu"))
            tensors.update({key: shard.get_tensor(key) for key in shard.keys()})  # noqa: SIM118
        save_tensors(tensors, temporary, metadata={METADATA_KEY: text})
        read_index(temporary)  # raises before it takes the place of anything
