"""Damaged, forged and hostile bundles: an error that names the place, or the very same samples."""

from __future__ import annotations

import json
import os
import shutil
import struct
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_samples import assert_same_sample, bare_sample, full_sample, many_samples, write
from safetensors.torch import load_file, save_file

from mitheory.bundle import Bundle, inspect
from mitheory.bundle.records import checksum
from mitheory.errors import BundleError, ChecksumError, SchemaError

FORMS = ("bundle", "bundle.safetensors")
EXPECTED = list(many_samples(images=2, questions=2))


@pytest.fixture(scope="module", params=FORMS)
def sound(request, tmp_path_factory):
    """A sound bundle of each form; tests damage copies of it."""
    path = tmp_path_factory.mktemp("sound") / request.param
    return write(path, many_samples(images=2, questions=2), dtype="float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("sound") / "b", iter(EXPECTED), dtype="float32")


def copy_of(path: Path, target: Path) -> Path:
    if path.is_dir():
        shutil.copytree(path, target)
    else:
        shutil.copy(path, target)
    return target


def files(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path]


def read_all(path: Path, *, verify: bool) -> list:
    with Bundle.open(path, verify=verify) as bundle:
        inspect(path)
        return list(bundle)


# --- random damage --------------------------------------------------------------------------


def flip(data: bytearray, rng: np.random.Generator) -> bytearray:
    i = rng.integers(len(data))
    data[i] ^= 1 << rng.integers(8)
    return data


def overwrite(data: bytearray, rng: np.random.Generator) -> bytearray:
    i = rng.integers(len(data))
    data[i : i + 16] = rng.bytes(min(16, len(data) - i))
    return data


def truncate(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: rng.integers(len(data))]


def insert(data: bytearray, rng: np.random.Generator) -> bytearray:
    i = rng.integers(len(data) + 1)
    return data[:i] + rng.bytes(rng.integers(1, 9)) + data[i:]


def delete(data: bytearray, rng: np.random.Generator) -> bytearray:
    i = rng.integers(len(data))
    return data[:i] + data[i + rng.integers(1, 9) :]


def zero(data: bytearray, rng: np.random.Generator) -> bytearray:
    i = rng.integers(len(data))
    data[i : i + 512] = bytes(len(data[i : i + 512]))
    return data


def huge_header(data: bytearray, rng: np.random.Generator) -> bytearray:
    data[:8] = struct.pack("<Q", int(rng.integers(2**62)))
    return data


DAMAGES = (flip, overwrite, truncate, insert, delete, zero, huge_header)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("verify", [True, False])
def test_random_damage_raises_or_changes_nothing(sound, tmp_path, damage, verify):
    """Whatever happens to the bytes of a file, no wrong sample comes out, and no other error."""
    rng = np.random.default_rng(DAMAGES.index(damage))
    original = {file.name: file.read_bytes() for file in files(sound)}
    path = copy_of(sound, tmp_path / sound.name)
    noticed = 0
    for _ in range(25):
        victim = files(path)[rng.integers(len(original))]
        victim.write_bytes(damage(bytearray(original[victim.name]), rng))
        try:
            samples = read_all(path, verify=verify)
        except BundleError:
            noticed += 1
        else:
            assert len(samples) == len(EXPECTED)
            for got, expected in zip(samples, EXPECTED, strict=True):
                assert_same_sample(got, expected)
        victim.write_bytes(original[victim.name])
    assert noticed >= 20  # what stays unnoticed hits white space, or bytes that were 0 before
    assert len(read_all(path, verify=verify)) == len(EXPECTED)


# --- a forged index: right checksums, wrong content -----------------------------------------


def reseal(path: Path, change) -> None:
    """Change the index of a folder and make its checksum right again."""
    record = json.loads((path / "index.json").read_text())
    change(record)
    record["checksum"] = checksum(record)
    (path / "index.json").write_text(json.dumps(record))


ODD = [
    None, True, -1, 0, 1, 2**70, 1.5, 1e308, "", "..", "../../x", "/dev/zero", "a\0b", "\ud800",
    "F16", "images-00000.safetensors", [], {}, [[]], [None], {"a": 1}, [2, 2], [-2, -2],
    [2**40] * 3,
]  # fmt: skip


def leaves(value, path=()):
    """Paths to every node of a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else []
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, item in inner:
        yield from leaves(item, (*path, key))


def test_a_forged_index_raises_bundle_errors_only(folder, tmp_path):
    """With the checksum made right, each field is still checked for itself."""
    rng = np.random.default_rng(0)
    path = copy_of(folder, tmp_path / "b")
    original = json.loads((path / "index.json").read_text())
    nodes = [p for p in leaves(original) if p]
    refused = 0
    for _ in range(400):
        record = json.loads(json.dumps(original))
        *parents, last = nodes[rng.integers(len(nodes))]
        target = record
        for key in parents:
            target = target[key]
        if isinstance(target, dict) and rng.random() < 0.2:
            del target[last]
        else:
            target[last] = ODD[rng.integers(len(ODD))]
        record["checksum"] = checksum(record)
        (path / "index.json").write_text(json.dumps(record))
        try:
            samples = read_all(path, verify=True)
        except BundleError:
            refused += 1
        else:  # another answer, another id: nothing that could be known to be wrong
            assert all(torch.isfinite(s.visual).all() for s in samples)
    assert refused > 250


def test_a_forged_index_is_noticed_by_its_checksum(folder, tmp_path):
    path = copy_of(folder, tmp_path / "b")
    text = (path / "index.json").read_text()
    (path / "index.json").write_text(text.replace('"answer":"yes"', '"answer":"no"', 1))
    with pytest.raises(ChecksumError, match=r"index\.json: field checksum"):
        Bundle.open(path)


def set_shard_name(name):
    def change(record):
        record["shards"][name] = record["shards"].pop("images-00000.safetensors")
        for image in record["images"]:
            image["shard"] = name

    return change


FORGERIES = {
    "version": (lambda r: r.update(schema_version=2), "schema_version is 2; this release reads 1"),
    "format": (lambda r: r.update(format="other"), "format must be 'mitheory-bundle'"),
    "dtype": (lambda r: r.update(dtype="float64"), "dtype must be one of"),
    "other dtype": (lambda r: r.update(dtype="float16"), "dtype must be F16; got F32"),
    "escape": (set_shard_name("../images-00000.safetensors"), "no name of a shard"),
    "absolute": (set_shard_name("/etc/passwd"), "no name of a shard"),
    "newline": (set_shard_name("images-00000.safetensors\n"), "no name of a shard"),
    "provenance": (lambda r: r["provenance"].pop("seed"), r"field provenance: .*\['seed'\]"),
    "image missing": (lambda r: r["images"].pop(0), "image_id 'image 0' is not among the images"),
    "sample twice": (lambda r: r["samples"].append(r["samples"][0]), "comes twice"),
    "field unknown": (
        lambda r: r["images"][0]["tensors"].update(speed=r["images"][0]["tensors"]["visual"]),
        r"images\[0\]: field tensors .*\['speed'\]",
    ),
    "visual missing": (lambda r: r["images"][0]["tensors"].pop("visual"), r"lacks \['visual'\]"),
    "shape": (
        lambda r: r["samples"][1]["tensors"]["text"].update(shape=[2, 7]), "text must be .* d = 6",
    ),
    "huge shape": (
        lambda r: r["images"][0]["tensors"]["image"].update(shape=[2**40, 2**40, 3]),
        "bytes in memory; at most 17179869184 are read",
    ),
    "larger shape": (
        lambda r: r["images"][0]["tensors"]["image"].update(shape=[2**10, 2**10, 3]),
        "image.00000000.image must be U8",
    ),
    "grid": (lambda r: r["images"][1].update(grid=[3, 3]), r"images\[1\]: grid must be"),
    "tokens": (lambda r: r["samples"][0].update(tokens=[]), r"samples\[0\]: tokens"),
    "negative": (lambda r: r["samples"][0].update(negative="hard"), r"samples\[0\]: negative"),
    "shard unlisted": (
        lambda r: r["samples"][0].update(shard="samples-00009.safetensors"), "not listed",
    ),
    "key": (lambda r: r["samples"][0].update(key="sample.9"), "differ in the tensors"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), FORGERIES.values(), ids=FORGERIES)
def test_a_forged_field_is_named(folder, tmp_path, change, message):
    path = copy_of(folder, tmp_path / "b")
    reseal(path, change)
    with pytest.raises(SchemaError, match=message):
        read_all(path, verify=False)


@pytest.mark.parametrize(
    "text",
    [
        "", "nonsense", "[1]", "null", "{}", '{"format": "mitheory-bundle"}', "[" * 100_000,
        '{"format": NaN}', '{"a": 1, "a": 2}', '{"a":' * 5000 + "1" + "}" * 5000,
        "9" * 5000, "\ufeff{}",
    ],
    ids=range(12),
)  # fmt: skip
def test_an_index_that_is_none(folder, tmp_path, text):
    path = copy_of(folder, tmp_path / "b")
    (path / "index.json").write_text(text)
    with pytest.raises(SchemaError, match=r"index\.json"):
        Bundle.open(path)


def test_an_index_in_no_encoding(folder, tmp_path):
    path = copy_of(folder, tmp_path / "b")
    (path / "index.json").write_bytes(b'{"format": "\xff\xfe"}')
    with pytest.raises(SchemaError, match="not JSON"):
        Bundle.open(path)


# --- forged shards: the index agrees with the file, the content is wrong --------------------


def forge(path: Path, name: str, value: torch.Tensor) -> None:
    """Replace a tensor of image 0 in shard and index alike, with all checksums right."""
    shard = path / "images-00000.safetensors"
    tensors = load_file(shard)
    tensors[f"image.00000000.{name}"] = value
    save_file(tensors, shard)
    content = shard.read_bytes()

    def change(record):
        entry = record["images"][0]["tensors"][name]
        entry["sha256"] = sha256(value.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
        entry["shape"] = list(value.shape)
        listed = record["shards"][shard.name]
        listed.update(size=len(content), sha256=sha256(content).hexdigest())

    reseal(path, change)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused_when_read(folder, tmp_path, bad):
    path = copy_of(folder, tmp_path / "b")
    visual = full_sample().visual.clone()
    visual[1, 1] = bad
    forge(path, "visual", visual)
    bundle = Bundle.open(path)  # cheap: no tensor is read
    assert bundle.sample("1-0").n_v == 4  # another image
    for read in (lambda: bundle.sample("0-0"), lambda: Bundle.open(path, verify=True)):
        with pytest.raises(
            BundleError, match=r"images-00000\.safetensors: image\.00000000\.visual"
        ):
            read()


def test_shard_and_index_of_other_dtypes(folder, tmp_path):
    path = copy_of(folder, tmp_path / "b")
    forge(path, "visual", full_sample().visual.half())
    with pytest.raises(SchemaError, match=r"visual must be F32 \(4, 6\); got F16 \(4, 6\)"):
        read_all(path, verify=False)


# --- the file system ------------------------------------------------------------------------


def test_a_changed_tensor_is_noticed_when_it_is_read(folder, tmp_path):
    path = copy_of(folder, tmp_path / "b")
    shard = path / "images-00000.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    bundle = Bundle.open(path)
    with pytest.raises(ChecksumError, match=r"images-00000\.safetensors: image\."):
        list(bundle)
    with pytest.raises(ChecksumError, match=r"images-00000\.safetensors: field sha256"):
        Bundle.open(path, verify=True)


def test_shards_that_are_missing_shorter_or_exchanged(folder, tmp_path):
    names = ("images-00000.safetensors", "samples-00000.safetensors")
    for i, act in enumerate(("missing", "shorter", "exchanged", "folder", "pipe")):
        path = copy_of(folder, tmp_path / str(i))
        first, second = (path / name for name in names)
        if act == "shorter":
            first.write_bytes(first.read_bytes()[:-1])
        elif act == "exchanged":
            first.rename(path / "x")
            second.rename(first)
            (path / "x").rename(second)
        else:
            first.unlink()
        if act == "folder":
            first.mkdir()
        elif act == "pipe":
            os.mkfifo(first)  # opening it would wait for ever
        with pytest.raises(BundleError, match=r"images-00000\.safetensors"):
            Bundle.open(path)


def test_links_may_not_lead_out_of_the_bundle(folder, tmp_path):
    path = copy_of(folder, tmp_path / "b")
    shard = path / "images-00000.safetensors"
    shard.rename(tmp_path / "outside")
    shard.symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match="leads out"):
        Bundle.open(path)


def test_what_is_no_bundle(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    (tmp_path / "short").write_bytes(b"\x01")
    (tmp_path / "nothing").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    save_file({"a": torch.ones(1)}, tmp_path / "other.safetensors")
    save_file({"a": torch.ones(1)}, tmp_path / "forged.safetensors", metadata={"mitheory": "{}"})
    for path in [*tmp_path.iterdir(), tmp_path / "missing", tmp_path / "a\0b"]:
        with pytest.raises(BundleError):
            Bundle.open(path)


def test_a_one_file_bundle_of_another_name_reads(tmp_path):
    path = write(tmp_path / "a.safetensors", iter([bare_sample()]))
    path.rename(tmp_path / "renamed")
    assert len(read_all(tmp_path / "renamed", verify=True)) == 1
