"""Mutations of bundle files, and what must hold of whoever reads a mutated bundle."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from bundle_samples import assert_same_sample, many_samples, write

from mitheory.bundle import Bundle, Sample, inspect
from mitheory.errors import BundleError

FORMS = ("folder", "file")
HANG = 60  # seconds of one read after which it counts as hanging

Mutation = Callable[[bytearray, bytes, np.random.Generator], bytearray]


def flip_bits(data: bytearray, other: bytes, rng: np.random.Generator) -> bytearray:
    """A few bits anywhere."""
    for _ in range(rng.integers(1, 4)):
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    return data


def overwrite(data: bytearray, other: bytes, rng: np.random.Generator) -> bytearray:
    """Noise over a stretch."""
    i, n = rng.integers(len(data)), rng.integers(1, 64)
    data[i : i + n] = rng.bytes(min(n, len(data) - i))
    return data


def truncate(data: bytearray, other: bytes, rng: np.random.Generator) -> bytearray:
    """The end is missing."""
    return data[: rng.integers(len(data))]


def append(data: bytearray, other: bytes, rng: np.random.Generator) -> bytearray:
    """There is more than there should be."""
    return data + rng.bytes(rng.integers(1, 64))


def insert(data: bytearray, other: bytes, rng: np.random.Generator) -> bytearray:
    """All that follows is shifted."""
    i = rng.integers(len(data))
    return data[:i] + rng.bytes(rng.integers(1, 9)) + data[i:]


def delete(data: bytearray, other: bytes, rng: np.random.Generator) -> bytearray:
    """All that follows is shifted the other way."""
    i = rng.integers(len(data))
    return data[:i] + data[i + rng.integers(1, 9) :]


def zero_block(data: bytearray, other: bytes, rng: np.random.Generator) -> bytearray:
    """A block that never reached the disk."""
    i = 512 * rng.integers(1 + len(data) // 512)
    data[i : i + 512] = bytes(len(data[i : i + 512]))
    return data


def splice(data: bytearray, other: bytes, rng: np.random.Generator) -> bytearray:
    """A piece of another file of the bundle."""
    i, j, n = rng.integers(len(data)), rng.integers(len(other)), rng.integers(1, 256)
    return data[:i] + other[j : j + n] + data[i + n :]


def move(data: bytearray, other: bytes, rng: np.random.Generator) -> bytearray:
    """Two pieces change places: every byte is there, none where it was."""
    i, j = sorted(rng.integers(len(data), size=2))
    return data[j:] + data[i:j] + data[:i]


def digits(data: bytearray, other: bytes, rng: np.random.Generator) -> bytearray:
    """Another number in the JSON of an index or of a header: sizes, offsets, shapes, versions."""
    places = [i for i, byte in enumerate(data[:4096]) if chr(byte).isdigit()] or [0]
    for _ in range(rng.integers(1, 4)):
        data[places[rng.integers(len(places))]] = ord("0") + int(rng.integers(10))
    return data


def header_length(data: bytearray, other: bytes, rng: np.random.Generator) -> bytearray:
    """The first eight bytes: of a shard the length of its header."""
    data[:8] = int(2 ** rng.uniform(0, 63)).to_bytes(8, "little")
    return data


def json_tokens(data: bytearray, other: bytes, rng: np.random.Generator) -> bytearray:
    """A mark of JSON becomes another one, or many."""
    marks = b'{}[]:,"'
    places = [i for i, byte in enumerate(data[:4096]) if byte in marks] or [0]
    i = places[rng.integers(len(places))]
    many = int(rng.choice([1, 1, 1, 2000]))
    data[i : i + 1] = bytes([marks[rng.integers(len(marks))]]) * many
    return data


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, overwrite, truncate, append, insert, delete, zero_block, splice, move, digits,
    header_length, json_tokens,
)  # fmt: skip


def sound_bundles(folder: Path) -> dict[str, tuple[Path, list[Sample]]]:
    """A bundle of each form and the samples it holds."""
    expected = list(many_samples(images=2, questions=2))
    names = dict(zip(FORMS, ("bundle", "bundle.safetensors"), strict=True))
    return {
        form: (write(folder / name, iter(expected), dtype="float32"), expected)
        for form, name in names.items()
    }


@contextmanager
def no_hanging() -> Iterator[None]:
    """An error where a read takes longer than any does."""

    def stop(*arguments: object) -> None:
        raise TimeoutError(f"a read took more than {HANG} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(HANG)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def assert_refused_or_unchanged(
    folder: Path, form: str, mutation: Mutation, *, count: int, seed: int
) -> int:
    """Each mutated file is a BundleError, or reads as what was written; how many were refused."""
    rng = np.random.default_rng([seed, FORMS.index(form), MUTATIONS.index(mutation)])
    path, expected = sound_bundles(folder)[form]
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    original = {file: file.read_bytes() for file in files}
    refused = 0
    for i in range(count):
        victim, other = (files[rng.integers(len(files))] for _ in range(2))
        mutated = bytes(mutation(bytearray(original[victim]), original[other], rng))
        victim.write_bytes(mutated)
        kept = f"{form}, {mutation.__name__}, file {i} ({victim.name})"
        try:
            with no_hanging(), Bundle.open(path, verify=bool(rng.integers(2))) as bundle:
                inspect(path)
                samples = list(bundle)
        except BundleError:
            refused += 1
        else:
            assert len(samples) == len(expected), kept
            for got, wanted in zip(samples, expected, strict=True):
                assert_same_sample(got, wanted)
        victim.write_bytes(original[victim])
    assert json.dumps(inspect(path))  # and afterwards it is sound again
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return refused
