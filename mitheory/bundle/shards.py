"""Reading shards: memory-mapped safetensors files, each checked against the index when opened."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..errors import BundleError, ChecksumError, MitheoryError, SchemaError
from .fields import FIELDS, check_field
from .records import Entry, Index, ShardEntry, TensorEntry
from .schema import SINGLE_FILE

MAX_OPEN = 8  # mapped shards kept open; each costs a file descriptor and address space, no memory
BLOCK = 1 << 20
OS_ERROR = re.compile(r"\(os error ([0-9]+)\)")


def tensor_sha256(tensor: torch.Tensor) -> str:
    """The sha256 of a tensor's bytes in row-major order.

    Examples
    --------
    >>> tensor_sha256(torch.zeros(2)) == hashlib.sha256(bytes(8)).hexdigest()
    True
    """
    return hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().data).hexdigest()


def file_sha256(path: Path) -> str:
    """The sha256 of a file, read block by block.

    Examples
    --------
    >>> len(file_sha256(Path(__file__)))
    64
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def regular_file(path: Path) -> os.stat_result:
    """What the file system says of a file, if it is one: a pipe or a device would block us.

    Raises
    ------
    BundleError
        If nothing is there, or something else than a file.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path.name}: cannot be read: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(f"{path.name}: is not a regular file")
    return status


def open_safetensors(path: Path) -> Any:
    """A lazily mapped safetensors file.

    Raises
    ------
    BundleError
        If the file is none, or its header does not fit its size.
    """
    regular_file(path)
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise BundleError(f"{path.name}: not a safetensors file: {error}") from error


def save_tensors(
    tensors: Mapping[str, torch.Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file.

    Raises
    ------
    OSError
        If the file system refuses, for lack of space or permission; with its number and the path.

    Examples
    --------
    >>> save_tensors({"a": torch.zeros(1)}, Path("missing/a.safetensors"))
    Traceback (most recent call last):
    ...
    FileNotFoundError: [Errno 2] No such file or directory: 'missing/a.safetensors'
    """
    try:
        save_file(dict(tensors), path, metadata)
    except SafetensorError as error:  # it has the system's number in its text only
        found = OS_ERROR.search(str(error))
        if found is None:
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(path)) from error


class Shards:
    """The shards of a bundle, opened when first needed; the last few stay open."""

    def __init__(self, root: Path, index: Index) -> None:
        self.root = root
        self.entries: dict[str, dict[str, TensorEntry]] = {name: {} for name in index.shards}
        self.declared: Mapping[str, ShardEntry] = index.shards
        every: list[Entry] = [*index.images.values(), *index.samples.values()]
        for entry in every:
            tensors = {f"{entry.key}.{name}": tensor for name, tensor in entry.tensors.items()}
            self.entries.setdefault(entry.shard, {}).update(tensors)
        self._open: OrderedDict[str, Any] = OrderedDict()

    def path(self, shard: str) -> Path:
        """Where a shard lies; a one-file bundle is its own shard."""
        return self.root if shard == SINGLE_FILE else self.root / shard

    def check_file(self, shard: str) -> None:
        """Refuse a shard that is missing, leads out of the folder, or is of another size.

        Raises
        ------
        BundleError
        """
        path = self.path(shard)
        found = regular_file(path).st_size
        if shard == SINGLE_FILE:
            return
        if path.resolve().parent != self.root.resolve():
            raise BundleError(f"{shard}: is a link that leads out of the bundle")
        if found != self.declared[shard].size:
            raise BundleError(f"{shard}: must have {self.declared[shard].size} bytes; has {found}")

    def check_bytes(self, shard: str) -> None:
        """Refuse a shard whose bytes are not those that were written.

        Raises
        ------
        ChecksumError
        """
        self.check_file(shard)
        if shard != SINGLE_FILE and file_sha256(self.path(shard)) != self.declared[shard].sha256:
            raise ChecksumError(f"{shard}: field sha256 of the index is not that of the file")

    def read(self, entry: Entry, name: str) -> torch.Tensor:
        """One tensor as stored; it lies in the map, so copy it before handing it on.

        Raises
        ------
        BundleError
            If its bytes, shape, dtype or values are not what they should be.
        """
        key = f"{entry.key}.{name}"
        where = f"{self.path(entry.shard).name}: {key}"
        handle = self._handle(entry.shard)
        try:
            tensor = handle.get_tensor(key)
        except (SafetensorError, OSError, ValueError) as error:
            raise BundleError(f"{where}: {error}") from error
        if tensor_sha256(tensor) != entry.tensors[name].sha256:
            raise ChecksumError(f"{where}: bytes are not those that were written")
        try:
            check_field(FIELDS[name], tensor)
        except MitheoryError as error:
            raise BundleError(f"{where}: {error}") from error
        return tensor

    def close(self) -> None:
        """Let go of the mapped files."""
        self._open.clear()

    def _handle(self, shard: str) -> Any:
        """The open file of a shard, checked when it is opened."""
        if shard not in self._open:
            self.check_file(shard)
            handle = open_safetensors(self.path(shard))
            self._check_header(shard, handle)
            self._open[shard] = handle
            if len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(shard)
        return self._open[shard]

    def _check_header(self, shard: str, handle: Any) -> None:
        """Refuse a file whose header says other tensors than the index."""
        name, expected = self.path(shard).name, self.entries.get(shard, {})
        if differing := sorted(set(handle.keys()) ^ set(expected)):
            raise SchemaError(f"{name}: index and file differ in the tensors {differing[:4]}")
        for key, entry in expected.items():
            part = handle.get_slice(key)
            found = (part.get_dtype(), tuple(part.get_shape()))
            if found != (entry.dtype, entry.shape):
                raise SchemaError(
                    f"{name}: {key} must be {entry.dtype} {entry.shape}; got {found[0]} {found[1]}"
                )
