"""What is inside a bundle, in numbers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .fields import FIELDS
from .reader import Bundle
from .records import SCHEMA_VERSION, Entry, TensorEntry


def inspect(path: str | os.PathLike[str], *, verify: bool = False) -> dict[str, Any]:
    """What a bundle holds; reads its index only, unless told to verify.

    Parameters
    ----------
    path : folder, or ``.safetensors`` file
    verify : read every byte and compare with what was written

    Returns
    -------
    dict
        Of what JSON can hold: path, form, schema_version, is_verified, dtype, bytes, counts of
        images, samples, shards, question types, negatives and grids, tensors by field (count,
        dtype, smallest and largest shape, whether stored once per image), and the provenance.

    Raises
    ------
    BundleError
        If it is not a bundle, or not as it was written.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from mitheory.bundle import BundleWriter
    >>> from mitheory.provenance import collect
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "bundle"
    ...     with BundleWriter(path, collect("example")) as writer:
    ...         writer.add_image("7", visual=torch.eye(4), grid=(2, 2))
    ...         writer.add_sample(
    ...             "7-0", image_id="7", text=torch.ones(1, 4), tokens=("red",),
    ...             question="red ?", answer="yes", question_type="existence",
    ...         )
    ...     found = inspect(path)
    >>> found["samples"], found["grids"], found["tensors"]["text"]["largest"]
    (1, {'2x2': 1}, [1, 4])
    """
    path = Path(path)
    bundle = Bundle.open(path, verify=verify)
    index = bundle.index
    entries: list[Entry] = [*index.images.values(), *index.samples.values()]
    samples = index.samples.values()
    return {
        "path": str(path),
        "form": "folder" if index.shards else "one file",
        "schema_version": SCHEMA_VERSION,
        "is_verified": verify,
        "dtype": index.dtype,
        "bytes": sum(p.stat().st_size for p in (path.iterdir() if path.is_dir() else [path])),
        "images": len(index.images),
        "samples": len(index.samples),
        "shards": len(index.shards) or 1,
        "question_types": _counts(entry.question_type for entry in samples),
        "negatives": _counts(entry.negative for entry in samples if entry.negative),
        "grids": _counts(
            "none" if entry.grid is None else "x".join(map(str, entry.grid))
            for entry in index.images.values()
        ),
        "tensors": _tensors(entries),
        "provenance": index.provenance.to_dict(),
    }


def _counts(values: Iterable[str | None]) -> dict[str, int]:
    """How often each value comes, by name."""
    return dict(sorted(Counter(str(value) for value in values).items()))


def _tensors(entries: list[Entry]) -> dict[str, dict[str, Any]]:
    """Counts, dtype and extreme shapes of each field that is present."""
    found: dict[str, list[TensorEntry]] = {}
    for entry in entries:
        for name, tensor in entry.tensors.items():
            found.setdefault(name, []).append(tensor)
    return {
        name: {
            "count": len(found[name]),
            "dtype": found[name][0].dtype,
            "smallest": list(map(min, zip(*(t.shape for t in found[name]), strict=True))),
            "largest": list(map(max, zip(*(t.shape for t in found[name]), strict=True))),
            "per_image": FIELDS[name].per_image,
        }
        for name in FIELDS
        if name in found
    }
