"""The records of a bundle's index, and the index as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..provenance import Provenance

FORMAT = "mitheory-bundle"
SCHEMA_VERSION = 1
INDEX = "index.json"


@dataclass(frozen=True)
class TensorEntry:
    """A stored tensor: dtype as safetensors names it, shape, sha256 of its bytes."""

    dtype: str
    shape: tuple[int, ...]
    sha256: str


@dataclass(frozen=True)
class ShardEntry:
    """What the index says of one shard: its size in bytes and the sha256 of the file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class ImageEntry:
    """An image: its tensors lie in `shard` under ``key.field``."""

    image_id: str
    key: str
    shard: str
    grid: tuple[int, ...] | None
    tensors: Mapping[str, TensorEntry]


@dataclass(frozen=True)
class SampleEntry:
    """A sample: its words, and where its own tensors lie."""

    sample_id: str
    image_id: str
    key: str
    shard: str
    tokens: tuple[str, ...]
    question: str
    answer: str
    question_type: str
    negative: str | None
    options: tuple[str, ...]
    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorEntry]


Entry = ImageEntry | SampleEntry


@dataclass(frozen=True)
class Index:
    """All that a bundle holds, tensors aside. A one-file bundle lists no shards: it is one."""

    dtype: str
    provenance: Provenance
    shards: Mapping[str, ShardEntry]
    images: Mapping[str, ImageEntry]
    samples: Mapping[str, SampleEntry]


def to_record(index: Index) -> dict[str, Any]:
    """The index as what JSON can hold, its own checksum included."""
    record = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "dtype": index.dtype,
        "provenance": index.provenance.to_dict(),
        "shards": {name: asdict(entry) for name, entry in index.shards.items()},
        "images": [asdict(entry) for entry in index.images.values()],
        "samples": [asdict(entry) for entry in index.samples.values()],
    }
    return {**record, "checksum": checksum(record)}


def to_json(record: Mapping[str, Any]) -> str:
    """One line of JSON for a record.

    Examples
    --------
    >>> to_json({"budget": 64, "tokens": ("τ",)})
    '{"budget":64,"tokens":["τ"]}'
    """
    return json.dumps(record, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def checksum(record: Mapping[str, Any]) -> str:
    """The sha256 of a record without its field ``checksum``, whatever the order of its keys.

    Examples
    --------
    >>> checksum({"a": 1, "b": 2}) == checksum({"b": 2, "checksum": "x", "a": 1})
    True
    """
    content = {name: value for name, value in record.items() if name != "checksum"}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
