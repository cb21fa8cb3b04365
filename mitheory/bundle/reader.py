"""Bundle: a folder (or one file) of embeddings, read lazily."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch

from .. import notebook
from ..errors import BundleError, DTypeError, MitheoryError, SchemaError
from ..provenance import Provenance
from .fields import FIELDS, STORED
from .records import INDEX, Entry, Index, SampleEntry
from .sample import Sample
from .schema import check_index, parse
from .shards import Shards, open_safetensors, regular_file

if TYPE_CHECKING:
    import pandas as pd

MAX_INDEX_BYTES = 1 << 30
MAX_SAMPLE_BYTES = 16 << 30
SHOWN = 6  # grids in a notebook
METADATA_KEY = "mitheory"  # of a one-file bundle's header
STORED_BYTES = {name: dtype.itemsize for dtype, name in STORED.items()}
WORDS = ("sample_id", "image_id", "tokens", "question", "answer", "question_type", "negative")


def read_index(path: Path) -> Index:
    """The checked index of a bundle, whether it is a folder or one file.

    Raises
    ------
    BundleError
        If there is no bundle, or its index is not right.
    """
    if not path.is_dir():
        metadata = open_safetensors(path).metadata() or {}
        if METADATA_KEY not in metadata:
            raise SchemaError(f"{path.name}: header has no field {METADATA_KEY}: not a bundle")
        return check_index(parse(metadata[METADATA_KEY], path.name), path.name)
    file = path / INDEX
    if not file.exists():
        raise BundleError(f"{path.name}: has no {INDEX}: not a bundle, or never finished")
    if file.resolve().parent != path.resolve():
        raise BundleError(f"{INDEX}: is a link that leads out of the bundle")
    if (size := regular_file(file).st_size) > MAX_INDEX_BYTES:
        raise BundleError(f"{INDEX}: has {size} bytes; at most {MAX_INDEX_BYTES} are read")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BundleError(f"{INDEX}: cannot be read: {error}") from error
    return check_index(parse(content, INDEX), INDEX)


def _check_sizes(index: Index, dtype: torch.dtype | None, most: int, where: str) -> None:
    """Refuse a bundle of which one sample, as declared, would take more memory than `most`."""

    def size(entry: Entry) -> int:
        """Bytes of the tensors of an entry once they are read."""
        return sum(math.prod(t.shape) * item(name, t.dtype) for name, t in entry.tensors.items())

    def item(name: str, stored: str) -> int:
        """Bytes of one value, upcast as the reader does."""
        is_cast = dtype is not None and FIELDS[name].kind == "float"
        return dtype.itemsize if is_cast and dtype else STORED_BYTES[stored]

    images = {name: size(entry) for name, entry in index.images.items()}
    for sample in index.samples.values():
        if (total := images[sample.image_id] + size(sample)) > most:
            raise SchemaError(
                f"{where}: {sample.key} takes {total} bytes in memory; at most {most} are read, "
                "see max_sample_bytes"
            )


class Bundle:
    """Samples on disk, in order; made by `Bundle.open`, never by its constructor.

    The index (words, shapes, checksums) is in memory, tensors are not: each is read, and its
    checksum and finiteness checked, when its sample is asked for. Iteration holds one image at a
    time. Samples of one image that follow each other share its tensors: copy before writing in
    place. Floating-point tensors come upcast to float32 unless `open` was told otherwise.
    """

    def __init__(
        self, path: Path, index: Index, ids: tuple[str, ...], dtype: torch.dtype | None
    ) -> None:
        self.path = path
        self.index = index
        self.sample_ids = ids
        self.dtype = dtype
        self._shards = Shards(path, index)
        self._last_image: tuple[str, dict[str, torch.Tensor]] | None = None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        verify: bool = False,
        dtype: torch.dtype | None = torch.float32,
        max_sample_bytes: int = MAX_SAMPLE_BYTES,
    ) -> Bundle:
        """Open a bundle: its index is checked, and that its shards are there in full.

        Parameters
        ----------
        path : folder, or ``.safetensors`` file
        verify : also read every byte now: checksums of shards and tensors, finiteness
        dtype : of the floating-point tensors that come back; None leaves them as stored
        max_sample_bytes : of all tensors of one sample as they come back; a bundle that declares
            a larger one is refused before anything is read, so that none takes all memory

        Returns
        -------
        Bundle

        Raises
        ------
        BundleError
            If anything is not as it was written; names file and field.
        DTypeError
            If `dtype` is no floating-point dtype.

        Examples
        --------
        >>> Bundle.open("missing.safetensors")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        mitheory.errors.BundleError: missing.safetensors: cannot be read: ...
        """
        if dtype is not None and not dtype.is_floating_point:
            raise DTypeError(f"dtype must be floating-point or None; got {dtype}")
        index = read_index(Path(path))
        _check_sizes(index, dtype, max_sample_bytes, Path(path).name)
        bundle = cls(Path(path), index, tuple(index.samples), dtype)
        for shard in index.shards:
            bundle._shards.check_file(shard)
        if verify:
            bundle.verify()
        return bundle

    @property
    def provenance(self) -> Provenance:
        """What made the bundle."""
        return self.index.provenance

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Images of these samples, in order of first appearance."""
        return tuple(dict.fromkeys(entry.image_id for entry in self.entries))

    @property
    def entries(self) -> tuple[SampleEntry, ...]:
        """The words of every sample: question, answer, type, ...; reads no tensor."""
        return tuple(self.index.samples[name] for name in self.sample_ids)

    def __len__(self) -> int:
        return len(self.sample_ids)

    def to_frame(self) -> pd.DataFrame:
        """A row for each sample: its words and sizes; reads no tensor.

        Returns
        -------
        DataFrame
            ``sample_id``, ``image_id``, ``question``, ``answer``, ``question_type``, ``negative``,
            ``n_v``, ``n_t`` and ``grid``.
        """
        import pandas as pd

        rows = []
        for entry in self.entries:
            image = self.index.images[entry.image_id]
            words = {name: getattr(entry, name) for name in WORDS if name != "tokens"}
            sizes = {"n_v": image.tensors["visual"].shape[0], "n_t": len(entry.tokens)}
            rows.append({**words, **sizes, "grid": image.grid})
        columns = [name for name in WORDS if name != "tokens"] + ["n_v", "n_t", "grid"]
        return pd.DataFrame(rows, columns=columns)

    def _repr_html_(self) -> str:
        """What is in it and where it comes from, for notebooks; reads no tensor."""
        origin = self.provenance
        kinds = Counter(entry.question_type for entry in self.entries)
        images = [self.index.images[name] for name in self.image_ids]
        entries: list[Entry] = [*images, *self.entries]
        fields = {name for entry in entries for name in entry.tensors}
        grids = {"none" if i.grid is None else "×".join(map(str, i.grid)) for i in images}
        rows = [
            ("images", f"{len(images):,}"),
            ("questions", ", ".join(f"{kind} {n:,}" for kind, n in sorted(kinds.items()))),
            ("grid", _few(sorted(grids))),
            ("tensors", ", ".join(name for name in FIELDS if name in fields)),
            ("model", " ".join(filter(None, (origin.model, origin.revision)))),
            ("made", f"{origin.created}: {origin.command}"),
            ("first", self.entries[0].question if len(self) else ""),
        ]
        return notebook.table(self.path.name, f"{len(self):,} samples", rows)

    def __getitem__(self, i: int) -> Sample:
        return self.sample(self.sample_ids[i])

    def __iter__(self) -> Iterator[Sample]:
        return map(self.sample, self.sample_ids)

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the mapped files; a later read opens them again."""
        self._shards.close()
        self._last_image = None

    def select(self, ids: Iterable[str]) -> Bundle:
        """The same bundle, of these samples only, in this order.

        Raises
        ------
        BundleError
            If an id is not among the samples.
        """
        ids = tuple(ids)
        known = set(self.sample_ids)
        if unknown := [name for name in ids if name not in known]:
            raise BundleError(f"{self.path.name}: has no sample_id {unknown[:4]}")
        return Bundle(self.path, self.index, ids, self.dtype)

    def sample(self, sample_id: str) -> Sample:
        """One sample by its id.

        Raises
        ------
        BundleError
            If there is none, or its tensors are not as they were written.
        """
        entry = self.index.samples.get(sample_id)
        if entry is None:
            raise BundleError(f"{self.path.name}: has no sample_id {sample_id!r}")
        image = self.index.images[entry.image_id]
        tensors: dict[str, Any] = {**self._image(entry.image_id), **self._read(entry)}
        words = {name: getattr(entry, name) for name in (*WORDS, "options", "metadata")}
        try:
            return Sample(grid=image.grid, **words, **tensors)
        except MitheoryError as error:
            raise BundleError(f"{self.path.name}: {entry.key}: {error}") from error

    def verify(self) -> None:
        """Read every byte: checksums of shards and tensors, headers, finiteness.

        Raises
        ------
        BundleError
            If anything is not as it was written.
        """
        for shard in self._shards.entries:
            self._shards.check_bytes(shard)
        entries: list[Entry] = [*self.index.images.values(), *self.index.samples.values()]
        for entry in entries:
            for name in entry.tensors:
                self._shards.read(entry, name)

    def _image(self, image_id: str) -> dict[str, torch.Tensor]:
        """Tensors of an image, the last one kept at hand for its next question."""
        if self._last_image is None or self._last_image[0] != image_id:
            self._last_image = None  # not two images at a time
            self._last_image = (image_id, self._read(self.index.images[image_id]))
        return self._last_image[1]

    def _read(self, entry: Entry) -> dict[str, torch.Tensor]:
        """Tensors of an entry, in memory of their own and in the dtype asked for."""
        found = {}
        for name in entry.tensors:
            stored = self._shards.read(entry, name)
            target = self.dtype if FIELDS[name].kind == "float" and self.dtype else stored.dtype
            found[name] = stored.to(target, copy=True)  # the map is shared between reads
        return found


def _few(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = f", … {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
