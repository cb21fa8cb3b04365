"""Files that are whole or absent: written beside their place, flushed to disk, then renamed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends well.

    A reader sees the old content or the new, never a part. If the block raises, `path` stays as it
    was and the temporary file is removed; a killed process can leave only a hidden ``.tmp`` file.

    Parameters
    ----------
    path : path of the file to write; its folder is made if missing

    Yields
    ------
    Path
        Where to write.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> [(p.name, p.read_text()) for p in folder.iterdir()]
    [('a.txt', 'whole')]
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files private
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def sync(path: str | os.PathLike[str]) -> None:
    """Wait until a file's content, or a folder's entries, are on the disk.

    Examples
    --------
    >>> sync(".")
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def atomic_write(path: str | os.PathLike[str], content: bytes) -> None:
    """Write bytes; see `replacing`.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "new" / "a.bin"
    >>> atomic_write(path, b"abc")
    >>> path.read_bytes()
    b'abc'
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def atomic_write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8, line ends as given; see `replacing`.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> atomic_write_text(path, "τ")
    >>> path.read_bytes()
    b'\\xcf\\x84'
    """
    atomic_write(path, text.encode("utf-8"))


def atomic_write_json(path: str | os.PathLike[str], value: Any, *, indent: int | None = 1) -> None:
    """Write a value as JSON; see `replacing`.

    Parameters
    ----------
    path : path of the file to write
    value : what JSON can hold
    indent : as in `json.dumps`

    Raises
    ------
    ParameterError
        If JSON cannot hold the value: NaN, infinities, objects. The file stays as it was.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.json"
    >>> atomic_write_json(path, {"budget": 64})
    >>> json.loads(path.read_text())
    {'budget': 64}
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, indent=indent)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"value for {Path(path).name} must be JSON: {error}") from error
    atomic_write_text(path, text + "\n")


def atomic_write_csv(path: str | os.PathLike[str], table: pd.DataFrame) -> None:
    """Write a table as CSV without its index; see `replacing`.

    Examples
    --------
    >>> import tempfile, pandas as pd
    >>> path = Path(tempfile.mkdtemp()) / "a.csv"
    >>> atomic_write_csv(path, pd.DataFrame({"budget": [64]}))
    >>> path.read_text()
    'budget\\n64\\n'
    """
    atomic_write_text(path, table.to_csv(index=False, lineterminator="\n"))


def atomic_write_parquet(path: str | os.PathLike[str], table: pd.DataFrame) -> None:
    """Write a table as Parquet without its index; see `replacing`.

    Examples
    --------
    >>> import tempfile, pandas as pd
    >>> path = Path(tempfile.mkdtemp()) / "a.parquet"
    >>> atomic_write_parquet(path, pd.DataFrame({"budget": [64]}))
    >>> pd.read_parquet(path)["budget"].tolist()
    [64]
    """
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def replace_directory(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Move a finished folder to `target`, in place of the folder or file that is there, if any.

    Where `target` exists there is a moment between two renames in which it does not; a process
    killed then leaves the old content beside it under a hidden name.

    Parameters
    ----------
    source : a folder on the same file system as `target`
    target : where it shall stand

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "new").mkdir()
    >>> replace_directory(folder / "new", folder / "place")
    >>> [p.name for p in folder.iterdir()]
    ['place']
    """
    source, target = Path(source), Path(target)
    old = target.parent / f".{target.name}.old"
    remove(old)
    if target.exists() or target.is_symlink():
        os.replace(target, old)
    os.replace(source, target)
    sync(target.parent)
    remove(old)


def remove(path: str | os.PathLike[str]) -> None:
    """Remove a file, a link (not what it leads to) or a folder with all it holds, if it is there.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> remove(folder), remove(folder), folder.exists()
    (None, None, False)
    """
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
