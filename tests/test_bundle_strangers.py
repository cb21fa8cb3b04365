"""Bundles from strangers: they leave their folder, fill the memory, or run nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from archives import unpack
from bundle_fuzz import FORMS, MUTATIONS, assert_refused_or_unchanged, sound_bundles
from bundle_samples import PROVENANCE, bare_sample, many_samples, write
from safetensors import safe_open
from safetensors.torch import save_file
from structure import ROOT
from test_bundle_damage import reseal

from analysis.auditing import Options
from analysis.auditing import run as audit
from analysis.claims.context import runnable_model
from analysis.claims.source import Facts
from analysis.cli import app
from analysis.manners import run, visible
from analysis.report import write as write_report
from mitheory.bundle import Bundle, BundleWriter, inspect
from mitheory.bundle.schema import MAX_VALUES, parse
from mitheory.errors import BundleError, SchemaError

EVIL = '"><script>alert(1)</script>[bold]\x1b]0;owned\x07'


# --- fuzzing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.__name__)
def test_mutated_files_are_refused_or_read_as_before(tmp_path, form, mutation):
    """Some twenty of each kind on each form; `-m slow` takes 12,000."""
    noticed = assert_refused_or_unchanged(tmp_path, form, mutation, count=22, seed=1)
    assert noticed >= 11


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.__name__)
def test_ten_thousand_mutated_files(tmp_path, form, mutation):
    """500 of each kind on each form: more than 10,000 in all."""
    assert 500 * len(FORMS) * len(MUTATIONS) >= 10_000
    noticed = assert_refused_or_unchanged(tmp_path, form, mutation, count=500, seed=2)
    assert noticed >= 250


# --- nothing leaves its folder ----------------------------------------------------------------


def test_no_name_leads_out_of_the_folder(tmp_path):
    """Not as a shard, not as a link, not as the index itself; the secret is never opened."""
    path = write(tmp_path / "b", iter([bare_sample()]))
    secret = tmp_path / "images-00000.safetensors"
    (path / "images-00000.safetensors").rename(secret)
    for name in ("../images-00000.safetensors", str(secret), "b/../../images-00000.safetensors"):

        def change(record, name=name):
            record["shards"][name] = record["shards"].popitem()[1]

        copy = write(tmp_path / f"c{abs(hash(name))}", iter([bare_sample()]))
        reseal(copy, change)
        with pytest.raises(SchemaError, match="no name of a shard"):
            Bundle.open(copy)
    (path / "images-00000.safetensors").symlink_to(secret)
    with pytest.raises(BundleError, match="leads out"):
        Bundle.open(path)
    other = tmp_path / "index.json"
    (path / "index.json").rename(other)
    (path / "index.json").symlink_to(other)
    with pytest.raises(BundleError, match="leads out"):
        Bundle.open(path)


def test_a_moved_archive_reads(tmp_path):
    """Links are refused, not folders reached through one."""
    path = write(tmp_path / "b", iter([bare_sample()]))
    with tarfile.open(tmp_path / "b.tar", "w") as file:
        file.add(path, "b")
    there = unpack(tmp_path / "b.tar", tmp_path / "there")
    (tmp_path / "link").symlink_to(there / "b")
    assert len(list(Bundle.open(tmp_path / "link"))) == 1


# --- memory -----------------------------------------------------------------------------------


def sparse_bundle(folder: Path, *, side: int) -> Path:
    """A bundle whose image says `side` by 16 values in a file that is almost all hole."""
    path = write(folder / f"sparse{side}", iter([bare_sample()]))
    shard = path / "images-00000.safetensors"
    shape, size = [side, 16], side * 16 * 2
    key = "image.00000000.visual"
    header = json.dumps({key: {"dtype": "F16", "shape": shape, "data_offsets": [0, size]}}).encode()
    with open(shard, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)

    def change(record):
        record["images"][0]["tensors"]["visual"]["shape"] = shape
        record["samples"][0]["tensors"]["text"]["shape"] = [1, 16]
        record["dtype"] = "float16"
        record["samples"][0]["tensors"]["text"]["dtype"] = "F16"
        record["images"][0]["tensors"]["visual"]["dtype"] = "F16"
        record["shards"][shard.name]["size"] = shard.stat().st_size

    reseal(path, change)
    return path


def test_a_huge_tensor_is_refused_by_what_it_declares(tmp_path):
    """A terabyte of hole takes no room on the disk; as float32 it would take two in memory."""
    path = sparse_bundle(tmp_path, side=2**35)
    with pytest.raises(SchemaError, match=r"sample\.0+ takes 219902\d+ bytes in memory"):
        Bundle.open(path)


def test_the_limit_counts_a_sample_as_it_is_read(tmp_path):
    """3 x 2 and 1 x 2 values: 32 bytes as float32, 16 as float16, by hand."""
    path = write(tmp_path / "b", iter([bare_sample()]), dtype="float16")
    assert len(Bundle.open(path, max_sample_bytes=32)) == 1
    assert len(Bundle.open(path, max_sample_bytes=16, dtype=None)) == 1
    for most, dtype in ((31, torch.float32), (15, None)):
        with pytest.raises(SchemaError, match=f"at most {most} are read"):
            Bundle.open(path, max_sample_bytes=most, dtype=dtype)


@pytest.mark.parametrize("text", ["[[],", "[{},", "[0,"])
@pytest.mark.parametrize("kind", [str, bytes])
def test_very_many_values_are_counted_before_they_are_made(text, kind):
    """As objects they would take gigabytes; the refusal takes the memory of the text."""
    text = text + text[1:] * MAX_VALUES
    value = text if kind is str else text.encode()
    tracemalloc.start()
    try:
        with pytest.raises(SchemaError, match="at most 20000000 are read"):
            parse(value, "index.json")
        assert tracemalloc.get_traced_memory()[1] < 1.1 * len(text) + (1 << 20)
    finally:
        tracemalloc.stop()


def test_a_header_longer_than_the_file_is_refused(tmp_path):
    path = tmp_path / "b.safetensors"
    path.write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    with pytest.raises(BundleError, match="not a safetensors file"):
        Bundle.open(path)


# --- nothing is executed ----------------------------------------------------------------------


def hostile(folder: Path) -> Path:
    """A bundle whose every word is an attack on who prints it."""
    path = folder / "hostile"
    with BundleWriter(path, PROVENANCE, dtype="float32") as writer:
        rng = torch.Generator().manual_seed(0)
        for i in range(4):
            name = f"{EVIL}{i}"
            writer.add_image(name, visual=torch.randn(9, 4, generator=rng), grid=(3, 3))
            text = torch.randn(2, 4, generator=rng)
            writer.add_sample(
                name, image_id=name, text=text, tokens=(EVIL, EVIL), question=EVIL, answer=EVIL,
                question_type=EVIL,
            )  # fmt: skip
    reseal(path, lambda r: r["provenance"].update(command=EVIL, platform=EVIL))
    return path


def test_words_of_a_bundle_are_text_on_a_page_and_on_a_terminal(tmp_path, capsys):
    path = hostile(tmp_path)
    assert run(app, ["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert run(app, ["inspect", str(path), "--json"]) == 0
    assert EVIL in json.loads(capsys.readouterr().out)["question_types"]
    claims = ["cross_dominates_self", "temperature"]
    audit(Bundle.open(path), tmp_path / "audit", claims=claims, options=Options(), jobs=1)
    page = write_report(tmp_path / "audit").read_text(encoding="utf-8")
    assert "<script>alert" not in page


def test_a_damaged_name_is_told_without_its_control_characters(tmp_path, capsys):
    path = hostile(tmp_path)
    reseal(path, lambda r: r["samples"][0].update(image_id=EVIL + "x"))
    assert run(app, ["inspect", str(path)]) == 2
    told = capsys.readouterr().err
    assert "not among the images" in told
    assert "\x1b" not in told
    assert visible("\x1b\x07\n\u202e") == r"\x1b\x07\n\u202e"


@pytest.mark.parametrize("model", ["os:abort", "antigravity:fly", "fruitfly:x", "../x.safetensors"])
def test_a_bundle_names_no_code_to_run(monkeypatch, model):
    """A factory is for who types it: the name of a model in a bundle imports nothing."""

    def imported(*arguments):
        raise AssertionError(arguments)

    monkeypatch.setattr("mitheory.models.resolving.import_module", imported)
    facts = dict.fromkeys(Facts.__dataclass_fields__)
    assert runnable_model(Facts(**{**facts, "model": model, "revision": "x"})) is None


def test_a_shard_that_is_a_pickle_is_no_shard(tmp_path):
    """Whatever reads it must not unpickle: unpickling this one would leave a file."""
    mark = tmp_path / "mark"
    content = b"cos\nsystem\n(S'touch " + os.fsencode(mark) + b"'\ntR."
    path = write(tmp_path / "b", many_samples(images=1, questions=1))
    for name in ("images-00000.safetensors", "samples-00000.safetensors", "index.json"):
        copy = write(tmp_path / f"{name}.d", many_samples(images=1, questions=1))
        (copy / name).write_bytes(content)
        with pytest.raises(BundleError):
            inspect(copy, verify=True)
    (tmp_path / "p.safetensors").write_bytes(content)
    with pytest.raises(BundleError):
        Bundle.open(tmp_path / "p.safetensors")
    assert len(Bundle.open(path)) == 1
    assert not mark.exists()


def test_the_reader_needs_little_memory_whatever_it_is_given(tmp_path):
    """In a process that may take 1 GiB on top of what it has loaded: refused, not killed."""
    path = sparse_bundle(tmp_path, side=2**28)  # 8 GiB on disk, 16 in memory: declared, allowed
    code = (
        "import resource, sys, torch\n"
        "from mitheory.bundle import Bundle\n"
        "from mitheory.errors import MitheoryError\n"
        "now = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now + 2**30, now + 2**30))\n"
        "try:\n"
        "    Bundle.open(sys.argv[1], max_sample_bytes=2**29)\n"
        "except MitheoryError as error:\n"
        "    print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "SchemaError", done.stderr


def test_extra_tensors_and_files_are_no_part_of_a_bundle(tmp_path):
    """What the index does not list is not read: a stray file is left alone, a tensor refused."""
    path = write(tmp_path / "b", iter([bare_sample()]))
    (path / "evil.py").write_text("raise SystemExit")
    (path / "images-00009.safetensors").write_bytes(b"junk")
    assert len(list(Bundle.open(path, verify=True))) == 1
    single = write(tmp_path / "b.safetensors", iter([bare_sample()]))
    with safe_open(single, framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file({**tensors, "more": torch.ones(3)}, single, metadata=metadata)
    with pytest.raises(SchemaError, match=r"differ in the tensors \['more'\]"):
        list(Bundle.open(single))


def test_the_sound_bundles_of_the_fuzzer_read(tmp_path):
    """Else everything it damages would be refused for another reason."""
    for form, (path, expected) in sound_bundles(tmp_path).items():
        assert len(list(Bundle.open(path, verify=True))) == len(expected) > 2, form
    assert len({m.__name__ for m in MUTATIONS}) == len(MUTATIONS) >= 6
    assert isinstance(np.random.default_rng(0), np.random.Generator)
