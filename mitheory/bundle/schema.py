"""From JSON to the records of an index, with every field checked.

What comes out is right in itself and its records agree with each other; that the shards hold what
the index says is for `shards.py` to find out. `where` is the place that the messages name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..errors import ChecksumError, MitheoryError, SchemaError
from ..provenance import Provenance
from .fields import FIELDS, FLOATS, STORED, bind_shapes
from .records import (
    FORMAT,
    SCHEMA_VERSION,
    Entry,
    ImageEntry,
    Index,
    SampleEntry,
    ShardEntry,
    TensorEntry,
    checksum,
)
from .sample import check_grid, check_metadata, check_text, check_words

SHARD_NAME = re.compile(r"(?:images|samples)-[0-9]{5,9}\.safetensors")
SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_VALUES = 20_000_000  # of a JSON text: as Python objects they take about 100 bytes each
SINGLE_FILE = ""  # the shard that entries of a one-file bundle name

T = TypeVar("T")
E = TypeVar("E", ImageEntry, SampleEntry)


def parse(text: str | bytes, where: str) -> Any:
    """The value of a JSON text; duplicate keys, NaN and bottomless nesting are refused.

    Short texts can hold very many values, ``[[],[],...``: these are counted before any is made.

    Raises
    ------
    SchemaError
        If the text is not JSON, or may hold more than `MAX_VALUES` values.

    Examples
    --------
    >>> parse('{"budget": 64}', "index.json")
    {'budget': 64}
    """
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if (values := sum(data.count(mark) for mark in b"[{,")) > MAX_VALUES:
        raise SchemaError(f"{where}: may hold {values} values; at most {MAX_VALUES} are read")
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{where}: not JSON: {error}") from error


def _refuse_constant(name: str) -> None:
    """JSON has no NaN and no infinities, though Python reads them."""
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict, unless a key comes twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def take(record: Any, name: str, kind: type[T], where: str) -> T:
    """A record's field, if the record is an object and the field there and of that type.

    Raises
    ------
    SchemaError
        If not.

    Examples
    --------
    >>> take({"size": 3}, "size", int, "index.json")
    3
    """
    if not isinstance(record, dict):
        raise SchemaError(f"{where}: must be an object; got {type(record).__name__}")
    if name not in record:
        raise SchemaError(f"{where}: field {name} is missing")
    value = record[name]
    if type(value) is not kind:  # a bool is no int here
        got = type(value).__name__
        raise SchemaError(f"{where}: field {name} must be {kind.__name__}; got {got}")
    return value


def check_header(record: Any, where: str) -> None:
    """Refuse a record of another format or version, or one that is not as it was written.

    Raises
    ------
    SchemaError, ChecksumError
    """
    if take(record, "format", str, where) != FORMAT:
        raise SchemaError(f"{where}: field format must be {FORMAT!r}; got {record['format']!r}")
    version = take(record, "schema_version", int, where)
    if version != SCHEMA_VERSION:
        raise SchemaError(
            f"{where}: field schema_version is {version}; this release reads {SCHEMA_VERSION}"
        )
    written, found = take(record, "checksum", str, where), checksum(record)
    if written != found:
        raise ChecksumError(f"{where}: field checksum is {written}, the content gives {found}")


def check_index(record: Any, where: str) -> Index:
    """The index that a parsed JSON object says.

    Raises
    ------
    SchemaError
        If a field is missing, of another type, or contradicts another.
    ChecksumError
        If the content is not what was written.
    """
    check_header(record, where)
    dtype = take(record, "dtype", str, where)
    if dtype not in FLOATS:
        raise SchemaError(f"{where}: field dtype must be one of {list(FLOATS)}; got {dtype!r}")
    shards = take(record, "shards", dict, where).items()
    index = Index(
        dtype=dtype,
        provenance=check_provenance(record, where),
        shards={name: check_shard(name, entry, where) for name, entry in shards},
        images=_by_id(record, "image", check_image, where),
        samples=_by_id(record, "sample", check_sample, where),
    )
    _check_references(index, where)
    return index


def check_provenance(record: Any, where: str) -> Provenance:
    """The provenance that a record carries."""
    try:
        return Provenance.from_dict(take(record, "provenance", dict, where))
    except (MitheoryError, RecursionError) as error:
        raise SchemaError(f"{where}: field provenance: {error}") from error


def check_shard(name: str, record: Any, where: str) -> ShardEntry:
    """What the index says of a shard; its name can lead nowhere but into the bundle's folder."""
    if not SHARD_NAME.fullmatch(name):
        raise SchemaError(f"{where}: field shards: {name!r} is no name of a shard")
    where = f"{where}: shards[{name!r}]"
    return ShardEntry(_size(take(record, "size", int, where), where), _hash(record, where))


def check_image(record: Any, where: str) -> ImageEntry:
    """What the index says of an image."""
    tensors = _tensors(record, where, per_image=True)
    sizes = _bind(where, tensors)
    grid = record.get("grid")
    grid = tuple(grid) if isinstance(grid, list) else grid
    _checked(where, check_grid, grid, sizes["n_v"])
    return ImageEntry(
        _text(record, "image_id", where), _text(record, "key", where),
        take(record, "shard", str, where), grid, tensors,
    )  # fmt: skip


def check_sample(record: Any, where: str) -> SampleEntry:
    """What the index says of a sample."""
    tensors = _tensors(record, where, per_image=False)
    tokens = tuple(take(record, "tokens", list, where))
    options = tuple(take(record, "options", list, where))
    negative = None if record.get("negative") is None else take(record, "negative", str, where)
    metadata = take(record, "metadata", dict, where)
    n_t = _bind(where, tensors)["n_t"]
    _checked(where, check_words, tokens, n_t=n_t, options=options, negative=negative)
    _checked(where, check_metadata, metadata)
    words = ("sample_id", "image_id", "key", "question", "answer", "question_type")
    return SampleEntry(
        **{name: _text(record, name, where) for name in words},
        shard=take(record, "shard", str, where),
        tokens=tokens, options=options, negative=negative, metadata=metadata, tensors=tensors,
    )  # fmt: skip


def _checked(where: str, check: Callable[..., None], *values: Any, **named: Any) -> None:
    """Run a check of `Sample`; what it raises becomes a SchemaError that names the place."""
    try:
        check(*values, **named)
    except MitheoryError as error:
        raise SchemaError(f"{where}: {error}") from error


def _text(record: Any, name: str, where: str) -> str:
    """A field that must be a string."""
    value = take(record, name, str, where)
    _checked(where, check_text, name, value)
    return value


def _size(value: Any, where: str) -> int:
    """A positive size, as JSON writes it."""
    if type(value) is not int or value < 1:
        raise SchemaError(f"{where}: sizes must be positive integers; got {value!r}")
    return value


def _hash(record: Any, where: str) -> str:
    """A field that must be a sha256."""
    value = take(record, "sha256", str, where)
    if not SHA256.fullmatch(value):
        raise SchemaError(f"{where}: field sha256 must be 64 hexadecimal digits; got {value!r}")
    return value


def _tensors(record: Any, where: str, *, per_image: bool) -> dict[str, TensorEntry]:
    """The tensors of an entry: known fields of its kind, the required ones among them."""
    entries = take(record, "tensors", dict, where)
    allowed = [field for field in FIELDS.values() if field.per_image is per_image]
    missing = [f.name for f in allowed if f.is_required and f.name not in entries]
    unknown = sorted(set(entries) - {field.name for field in allowed})
    if missing or unknown:
        raise SchemaError(f"{where}: field tensors lacks {missing} and does not know {unknown}")
    found = {}
    for name, entry in entries.items():
        place = f"{where}: tensors.{name}"
        shape = tuple(_size(size, place) for size in take(entry, "shape", list, place))
        found[name] = TensorEntry(take(entry, "dtype", str, place), shape, _hash(entry, place))
    return found


def _bind(where: str, tensors: Mapping[str, TensorEntry]) -> dict[str, int]:
    """What the symbols of the shapes stand for, if they agree."""
    try:
        return bind_shapes((name, entry.shape) for name, entry in tensors.items())
    except MitheoryError as error:
        raise SchemaError(f"{where}: {error}") from error


def _by_id(record: Any, kind: str, check: Callable[[Any, str], E], where: str) -> dict[str, E]:
    """Checked entries by id; an id or a key that comes twice is refused."""
    entries: dict[str, E] = {}
    keys = set()
    for i, item in enumerate(take(record, f"{kind}s", list, where)):
        entry = check(item, f"{where}: {kind}s[{i}]")
        name = item[f"{kind}_id"]
        if name in entries or entry.key in keys:
            raise SchemaError(f"{where}: {kind}s[{i}]: {kind}_id {name!r} or its key comes twice")
        entries[name] = entry
        keys.add(entry.key)
    return entries


def stored_dtype(name: str, dtype: str) -> str:
    """The dtype in which a bundle of floats `dtype` stores a field, as safetensors names it.

    Examples
    --------
    >>> stored_dtype("visual", "bfloat16"), stored_dtype("relevant", "bfloat16")
    ('BF16', 'BOOL')
    """
    kinds = {"float": STORED[FLOATS[dtype]], "uint8": "U8", "bool": "BOOL"}
    return kinds[FIELDS[name].kind]


def _check_references(index: Index, where: str) -> None:
    """Refuse entries that lie in no listed shard, miss their image, or do not fit it."""
    shards = set(index.shards) or {SINGLE_FILE}
    entries: list[Entry] = [*index.images.values(), *index.samples.values()]
    for entry in entries:
        place = f"{where}: {entry.key}"
        if entry.shard not in shards:
            raise SchemaError(f"{place}: field shard {entry.shard!r} is not listed")
        for name, tensor in entry.tensors.items():
            expected = stored_dtype(name, index.dtype)
            if tensor.dtype != expected:
                raise SchemaError(f"{place}.{name}: dtype must be {expected}; got {tensor.dtype}")
    for sample in index.samples.values():
        place = f"{where}: {sample.key}"
        if sample.image_id not in index.images:
            raise SchemaError(
                f"{place}: field image_id {sample.image_id!r} is not among the images"
            )
        _bind(place, {**index.images[sample.image_id].tensors, **sample.tensors})
