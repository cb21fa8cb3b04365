"""Writing bundles: refusals, crashes, resuming, and what may be replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bundle_samples import (
    PROVENANCE,
    assert_same_sample,
    bare_sample,
    full_sample,
    many_samples,
    write,
)

from mitheory.bundle import Bundle, BundleWriter
from mitheory.errors import (
    BundleError,
    DTypeError,
    EmptyInputError,
    MitheoryError,
    NonFiniteError,
    ParameterError,
    ShapeError,
)

FORMS = ("bundle", "bundle.safetensors")
LATER = replace(PROVENANCE, created="2100-01-01T00:00:00+00:00")
WORDS = {"tokens": ["?"], "question": "?", "answer": "a", "question_type": "open"}


class Stop(Exception):
    """What interrupts a writer in these tests."""


def interrupt(path: Path, samples: int, *, shard_size: int = 1) -> None:
    """Write some samples and die inside the block."""
    with BundleWriter(path, PROVENANCE, dtype="float32", shard_size=shard_size) as writer:
        for i, sample in enumerate(many_samples()):
            if i == samples:
                raise Stop
            writer.add(sample)


def assert_reads_as_nothing(folder: Path) -> None:
    """No path below the folder, hidden ones included, opens as a bundle."""
    for path in [folder, *folder.rglob("*")]:
        with pytest.raises(BundleError):
            Bundle.open(path)


# --- interruption ---------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("samples", [0, 1, 5])
def test_an_interrupted_writer_leaves_nothing_that_reads(tmp_path, form, samples):
    with pytest.raises(Stop):
        interrupt(tmp_path / form, samples)
    assert not (tmp_path / form).exists()
    assert_reads_as_nothing(tmp_path)
    if samples == 0:
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("samples", [1, 5, 8])
def test_a_resumed_writer_makes_the_same_bundle(tmp_path, form, samples):
    with pytest.raises(Stop):
        interrupt(tmp_path / form, samples)
    written = []
    with BundleWriter(tmp_path / form, LATER, dtype="float32", shard_size=1, resume=True) as writer:
        for sample in many_samples():
            if not writer.has_sample(sample.sample_id):
                writer.add(sample)
                written.append(sample.sample_id)
    assert len(written) == 12 - samples
    bundle = Bundle.open(tmp_path / form, verify=True)
    for got, expected in zip(bundle, many_samples(), strict=True):
        assert_same_sample(got, expected)
    assert [p.name for p in tmp_path.iterdir()] == [form]


def test_only_whole_steps_are_resumed(tmp_path):
    with pytest.raises(Stop):
        interrupt(tmp_path / "b", 6, shard_size=1)
    staging = tmp_path / ".b.partial"
    # The last shard did not reach the disk whole, and there is a stray file.
    last = sorted((staging / "bundle").iterdir())[-1]
    last.write_bytes(last.read_bytes()[:-1])
    (staging / "bundle" / "images-99999.safetensors").write_bytes(b"")
    with BundleWriter(tmp_path / "b", PROVENANCE, dtype="float32", resume=True) as writer:
        assert writer.has_sample("1-0")
        assert not writer.has_sample("1-1")
        for sample in many_samples():
            if not writer.has_sample(sample.sample_id):
                writer.add(sample)
    bundle = Bundle.open(tmp_path / "b", verify=True)
    assert sorted(bundle.sample_ids) == sorted(s.sample_id for s in many_samples())
    assert not (tmp_path / "b" / "images-99999.safetensors").exists()


@pytest.mark.parametrize("damaged", ["job.json", "step-00000.json"])
def test_a_damaged_journal_means_starting_anew(tmp_path, damaged):
    with pytest.raises(Stop):
        interrupt(tmp_path / "b", 3)
    journal = tmp_path / ".b.partial" / "journal" / damaged
    journal.write_bytes(journal.read_bytes()[:-5])
    with BundleWriter(tmp_path / "b", PROVENANCE, dtype="float32", resume=True) as writer:
        assert not writer.has_sample("0-0")
        writer.add(full_sample())
    assert Bundle.open(tmp_path / "b", verify=True).sample_ids == ("0-0",)
    assert len(list((tmp_path / "b").iterdir())) == 3  # index, images, samples: no strays


@pytest.mark.parametrize(
    ("provenance", "dtype", "named"),
    [
        (replace(PROVENANCE, seed=4), "float32", "seed"),
        (replace(PROVENANCE, git_commit="0" * 40), "float32", "git_commit"),
        (PROVENANCE, "float16", "dtype"),
    ],
)
def test_another_job_is_not_resumed(tmp_path, provenance, dtype, named):
    with pytest.raises(Stop):
        interrupt(tmp_path / "b", 3)
    with (
        pytest.raises(BundleError, match=rf"another job: .*{named}.*resume=False"),
        BundleWriter(tmp_path / "b", provenance, dtype=dtype, resume=True),
    ):
        pass
    with BundleWriter(tmp_path / "b", provenance, dtype=dtype) as writer:  # as the message says
        assert not writer.has_sample("0-0")
        writer.add(bare_sample())
    assert len(Bundle.open(tmp_path / "b", verify=True)) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
import mitheory.bundle.{module} as module
from bundle_samples import many_samples, write

original, calls = module.{name}, 0
def dying(*arguments, **options):
    global calls
    calls += 1
    if calls == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)
module.{name} = dying
write(Path(sys.argv[1]), many_samples(), shard_size=800)
"""
DEATHS = [  # every kind of step at which the disk is touched
    ("staging", "save_tensors", 1),
    ("staging", "save_tensors", 4),
    ("staging", "sync", 3),
    ("staging", "atomic_write_text", 1),
    ("staging", "atomic_write_text", 3),
    ("placing", "replace_directory", 1),
]


@pytest.mark.parametrize(("module", "name", "call"), DEATHS)
def test_a_killed_writer_leaves_nothing_that_reads_and_is_resumed(tmp_path, module, name, call):
    path = tmp_path / "out" / "b"
    path.parent.mkdir()
    code = KILLED.format(module=module, name=name, call=call)
    places = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not path.exists()
    with pytest.raises(BundleError):
        Bundle.open(path)
    with BundleWriter(path, LATER, dtype="float32", shard_size=800, resume=True) as writer:
        for sample in many_samples():
            if not writer.has_sample(sample.sample_id):
                writer.add(sample)
    for got, expected in zip(Bundle.open(path, verify=True), many_samples(), strict=True):
        assert_same_sample(got, expected)


def test_two_writers_do_not_share_a_place(tmp_path):
    with BundleWriter(tmp_path / "b", PROVENANCE) as first:
        first.add(bare_sample())
        for resume in (False, True):
            second = BundleWriter(tmp_path / "b", PROVENANCE, resume=resume)
            with pytest.raises(BundleError, match="another writer"):
                second.__enter__()
    assert len(Bundle.open(tmp_path / "b", verify=True)) == 1


# --- the place ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_bundle_is_replaced_only_when_told_and_only_when_the_new_one_is_whole(tmp_path, form):
    path = write(tmp_path / form, iter([bare_sample("old")]))
    with pytest.raises(BundleError, match="overwrite=True"):
        BundleWriter(path, PROVENANCE).__enter__()

    def fail():
        with BundleWriter(path, PROVENANCE, overwrite=True) as writer:
            writer.add(bare_sample("half"))
            raise Stop

    with pytest.raises(Stop):
        fail()
    reader = Bundle.open(path)
    assert reader.sample_ids == ("old",)
    with BundleWriter(path, PROVENANCE, overwrite=True) as writer:
        writer.add(bare_sample("new"))
    assert Bundle.open(path, verify=True).sample_ids == ("new",)
    assert [p.name for p in tmp_path.iterdir()] == [form]


@pytest.mark.parametrize("what", ["folder", "file", "other form", "bundle and more", "link"])
def test_what_is_no_bundle_is_never_replaced(tmp_path, what):
    path = tmp_path / "b"
    kept = path
    if what == "folder":
        path.mkdir()
        kept = path / "thesis.txt"
        kept.write_text("precious")
    elif what == "file":
        path.write_text("precious")
    elif what == "other form":
        path = tmp_path / "b.safetensors"
        path.mkdir()
    elif what == "bundle and more":
        write(path, iter([bare_sample()]))
        kept = path / "notes.txt"
        kept.write_text("precious")
    else:
        kept = write(tmp_path / "elsewhere", iter([bare_sample()]))
        path.symlink_to(kept)
    with pytest.raises(BundleError, match="not replaced"):
        BundleWriter(path, PROVENANCE, overwrite=True).__enter__()
    assert kept.exists() or what == "other form"


def test_an_empty_folder_is_a_place(tmp_path):
    (tmp_path / "b").mkdir()
    write(tmp_path / "b", iter([bare_sample()]))
    assert len(Bundle.open(tmp_path / "b")) == 1


# --- shards ---------------------------------------------------------------------------------


def payload(shard: Path) -> int:
    """Bytes of tensors: what follows the length of the header and the header."""
    content = shard.read_bytes()
    return len(content) - 8 - int.from_bytes(content[:8], "little")


def test_a_step_is_written_as_soon_as_it_is_large_enough(tmp_path):
    path = write(tmp_path / "b", many_samples(images=8, questions=2), shard_size=1000)
    steps: dict[str, int] = {}
    for shard in path.glob("*.safetensors"):
        number = shard.name.split("-")[1]
        steps[number] = steps.get(number, 0) + payload(shard)
    sizes = [steps[number] for number in sorted(steps)]
    largest_addition = 576  # the tensors of one image, in float32; those of a sample are smaller
    assert len(sizes) > 4
    assert all(1000 <= size < 1000 + largest_addition for size in sizes[:-1])


def test_what_fits_one_shard_is_one_of_each_kind(tmp_path):
    path = write(tmp_path / "b", many_samples(images=8))
    names = ["images-00000.safetensors", "index.json", "samples-00000.safetensors"]
    assert sorted(p.name for p in path.iterdir()) == names


def test_an_explicit_flush_makes_a_step(tmp_path):
    def flush_and_stop():
        with BundleWriter(tmp_path / "b", PROVENANCE) as writer:
            writer.add(bare_sample("a"))
            writer.flush()
            writer.add(bare_sample("b"))
            raise Stop

    with pytest.raises(Stop):
        flush_and_stop()
    with BundleWriter(tmp_path / "b", PROVENANCE, resume=True) as writer:
        assert writer.has_image("a")
        assert (writer.has_sample("a"), writer.has_sample("b")) == (True, False)


# --- refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "largest"), [("float16", 65504.0), ("bfloat16", 3.3e38), ("float32", 3.4e38)]
)
def test_what_overflows_on_disk_is_refused(tmp_path, dtype, largest):
    visual = torch.tensor([[largest, 1.0]], dtype=torch.float64)
    with BundleWriter(tmp_path / dtype, PROVENANCE, dtype=dtype) as writer:
        with pytest.raises(NonFiniteError, match=f"visual must fit {dtype}"):
            writer.add_image("a", visual=visual * 1.1, grid=(1, 1))
        writer.add_image("a", visual=visual, grid=(1, 1))
        writer.add_sample("a", image_id="a", text=torch.ones(1, 2), **WORDS)
    assert Bundle.open(tmp_path / dtype)[0].visual[0, 0] == pytest.approx(largest, rel=1e-2)


def test_the_writer_keeps_copies(tmp_path):
    visual = torch.ones(3, 2)
    with BundleWriter(tmp_path / "b", PROVENANCE, dtype="float32") as writer:
        writer.add_image("a", visual=visual, grid=None)
        visual.zero_()  # the model's buffer is used again
        writer.add_sample("a", image_id="a", text=torch.ones(2, 4)[:1, ::2], **WORDS)
    assert Bundle.open(tmp_path / "b")[0].visual.sum() == 6


BAD_SAMPLES = {
    "no image": ({"image_id": "x"}, ParameterError, "'x' was not added"),
    "same id": ({"sample_id": "a"}, ParameterError, "sample_id must be new"),
    "other d": ({"text": torch.ones(1, 3)}, ShapeError, "d = 2"),
    "no text": ({"text": None}, DTypeError, "text"),
    "tokens": ({"tokens": ["a", "b"]}, ShapeError, "n_t = 1"),
    "relevant": ({"relevant": torch.ones(2, dtype=torch.bool)}, ShapeError, "n_v = 3"),
    "negative": ({"negative": "hard"}, ParameterError, "negative"),
    "metadata": ({"metadata": {"a": float("inf")}}, ParameterError, "metadata"),
    "question": ({"question": None}, DTypeError, "question"),
    "id type": ({"sample_id": 3}, DTypeError, "sample_id"),
}


@pytest.mark.parametrize(("change", "error", "message"), BAD_SAMPLES.values(), ids=BAD_SAMPLES)
def test_a_refused_sample_leaves_the_writer_as_it_was(tmp_path, change, error, message):
    with BundleWriter(tmp_path / "b", PROVENANCE) as writer:
        writer.add(bare_sample("a"))
        wanted = {"image_id": "a", "text": torch.ones(1, 2), **WORDS, **change}
        name = wanted.pop("sample_id", "b")
        with pytest.raises(error, match=message) as caught:
            writer.add_sample(name, **wanted)
        assert isinstance(caught.value, MitheoryError)
    assert Bundle.open(tmp_path / "b", verify=True).sample_ids == ("a",)


def test_samples_of_one_image_must_share_its_tensors(tmp_path):
    other = replace(full_sample(0, 1), visual=full_sample(1).visual)
    regridded = replace(full_sample(0, 2), grid=(4, 1))
    with BundleWriter(tmp_path / "b", PROVENANCE) as writer:
        writer.add(full_sample(0, 0))
        with pytest.raises(ParameterError, match="differs in visual"):
            writer.add(other)
        with pytest.raises(ParameterError, match="differs in grid"):
            writer.add(regridded)
        with pytest.raises(ParameterError, match="differs in image"):
            writer.add(replace(full_sample(0, 3), image=None))
        with pytest.raises(ParameterError, match="image_id must be new"):
            writer.add_image("image 0", visual=torch.ones(3, 2), grid=None)


def test_a_bundle_without_samples_is_none(tmp_path):
    def write_nothing():
        with BundleWriter(tmp_path / "b", PROVENANCE) as writer:
            writer.add_image("a", visual=torch.ones(3, 2), grid=None)

    with pytest.raises(EmptyInputError, match="at least one sample"):
        write_nothing()
    assert not (tmp_path / "b").exists()


def test_outside_of_its_block_a_writer_takes_nothing(tmp_path):
    writer = BundleWriter(tmp_path / "b", PROVENANCE)
    with pytest.raises(ParameterError, match="`with` block"):
        writer.add(bare_sample())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"dtype": "float64"}, ParameterError),
        ({"dtype": torch.float16}, ParameterError),
        ({"shard_size": 0}, ParameterError),
        ({"shard_size": 1.5}, ParameterError),
        ({"provenance": {}}, DTypeError),
    ],
)
def test_bad_options(tmp_path, options, error):
    arguments = {"provenance": PROVENANCE, **options}
    with pytest.raises(error):
        BundleWriter(tmp_path / "b", **arguments)
