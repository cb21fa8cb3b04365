"""Extraction: failures are rows, stopped work goes on, workers share it, the disk is looked at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from functools import partial
from pathlib import Path

import dataset_samples as files
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from seeing import LONGEST, Seeing
from typer.testing import CliRunner

from analysis.cli import app
from analysis.extraction import (
    Extraction,
    Worker,
    extract,
    extract_part,
    joined_if_done,
    part_of,
    run,
    worker_here,
    writing,
)
from analysis.extraction import job as extraction_job
from analysis.extraction.failures import FailureLog, encoded, log_of, read_log
from analysis.extraction.items import Item, of_examples, share
from analysis.extraction.space import Sizes, check_space, sizes_of
from analysis.manners import PART_FAILED
from mitheory import provenance
from mitheory.bundle import Bundle, BundleWriter, Sample
from mitheory.errors import (
    BundleError,
    EmptyInputError,
    ParameterError,
    SpaceError,
)
from mitheory.models.base import Example
from mitheory.models.fruitfly import examples

MODEL = "seeing:Seeing"


def asked(root: Path, n_images: int = 5, *, long: str = "", broken: str = "") -> Path:
    """Two questions about each image, the second ones after all first ones."""
    rows = [
        {
            "image": f"{i}.png",
            "question": f"is {i} red {turn}",
            "answer": "yes",
            "id": f"{i}-{turn}",
        }
        for turn in (0, 1)
        for i in range(n_images)
    ]
    for row in rows:
        if row["id"] == long:
            row["question"] = "word " * (LONGEST + 1)
    files.write_jsonl(root / "questions.jsonl", rows)
    for i in range(n_images):
        files.picture(root / f"{i}.png", 50 * i)
    if broken:
        (root / broken).write_bytes(b"no image")
    return root


def contents(bundle: Bundle) -> list[tuple[str, list[tuple[str, list[float]]]]]:
    return [
        (s.sample_id, [(n, t.double().flatten().tolist()) for n, t in s.tensors().items()])
        for s in bundle
    ]


# --- failures -------------------------------------------------------------------------------


def test_a_failing_question_costs_no_other(tmp_path):
    """An unreadable image and an over-long prompt are rows with what is wrong and where."""
    root = asked(tmp_path / "own", long="1-1", broken="3.png")
    bundle = run(Extraction(MODEL, "folder", root=root), tmp_path / "out")
    failed = ["1-1", "3-0", "3-1"]
    assert sorted(bundle.sample_ids) == [
        f"{i}-{turn}" for i in range(5) for turn in (0, 1) if f"{i}-{turn}" not in failed
    ]
    rows = read_log(log_of(tmp_path / "out"))
    assert {(r.sample_id, r.stage, r.error) for r in rows} == {
        ("1-1", "encode", "ParameterError"),
        ("3-0", "image", "ImageError"),
        ("3-1", "image", "ImageError"),
    }
    by_id = {r.sample_id: r for r in rows}
    assert "got 25" in by_id["1-1"].message
    assert by_id["3-0"].origin == "questions.jsonl, line 4"


def test_questions_about_one_image_are_encoded_together(tmp_path):
    """Benchmarks ask about an image at several places; the bundle has them side by side."""
    root = asked(tmp_path / "own", 3)
    bundle = run(Extraction(MODEL, "folder", root=root), tmp_path / "out")
    assert bundle.sample_ids == ("0-0", "0-1", "1-0", "1-1", "2-0", "2-1")


def test_nothing_but_failures_is_an_error(tmp_path):
    root = asked(tmp_path / "own", 1, broken="0.png")
    with pytest.raises(EmptyInputError, match=r"none of 2 questions.*'0-0'.*cannot be read"):
        run(Extraction(MODEL, "folder", root=root), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_error_of_the_program_ends_the_run(tmp_path):
    """Only errors of one question are rows: a bug must not look like bad data."""

    class Broken(Seeing):
        def encode(self, given):
            raise ZeroDivisionError("a bug")

    one = list(examples("test", limit=1))
    with FailureLog(tmp_path / "log") as log, pytest.raises(ZeroDivisionError):
        encoded(Broken(), one, log)


def test_a_retried_image_keeps_one_set_of_tensors(tmp_path):
    """Passes in other batches may round differently; the questions must share one result."""

    class Jittery(Seeing):
        def encode(self, given: list[Example]) -> list[Sample]:
            found = super().encode(given)
            for sample in found:
                sample.visual.add_(1e-3 * len(self.batches))
            return found

    root = asked(tmp_path / "own", 2, long="0-1")
    items = Extraction(MODEL, "folder", root=root).items()
    origin = provenance.collect("test")
    bundle = extract(Jittery(), items, tmp_path / "out", origin, limit=4, dtype="float32")
    assert torch.equal(bundle.sample("1-0").visual, bundle.sample("1-1").visual)
    assert len(bundle) == 3


def test_what_failed_is_tried_again(tmp_path):
    """A finished bundle with failures is reused as it is; --overwrite makes it anew."""
    root = asked(tmp_path / "own", 2, broken="1.png")
    job, out = Extraction(MODEL, "folder", root=root), tmp_path / "out"
    run(job, out)
    made = (out / "index.json").stat().st_mtime_ns
    run(job, out)
    assert (out / "index.json").stat().st_mtime_ns == made
    files.picture(root / "1.png", 9)
    assert len(run(job, out, overwrite=True)) == 4
    assert not log_of(out).exists()


# --- resuming -------------------------------------------------------------------------------


def test_a_stopped_run_goes_on_where_it_was(tmp_path, monkeypatch):
    """What is on disk is not encoded again, and the bundle is that of an uninterrupted run."""
    root = asked(tmp_path / "own", 30)
    job = Extraction(MODEL, "folder", root=root)
    monkeypatch.setattr(writing, "BundleWriter", partial(BundleWriter, shard_size=64))
    whole = run(job, tmp_path / "whole")

    class Stops(Seeing):
        def encode(self, given):
            if len(self.batches) == 2:
                raise KeyboardInterrupt
            return super().encode(given)

    origin = job.origin(Seeing())
    with pytest.raises(KeyboardInterrupt):
        extract(Stops(), job.items(), tmp_path / "out", origin, limit=60)
    second = Seeing()
    bundle = extract(second, job.items(), tmp_path / "out", origin, limit=60)
    again = [name for batch in second.batches for name in batch]
    assert len(again) == 60 - 2 * 16  # two chunks of eight batches of two were on disk
    assert contents(bundle) == contents(whole)


def test_another_dataset_is_another_job(tmp_path):
    """Seed, model and number alike: the questions are not, and the bundle is not reused."""
    out = tmp_path / "out"
    run(Extraction(limit=4), out)
    with pytest.raises(BundleError, match="exists"):
        run(Extraction(dataset="fruitfly-open", limit=4), out)


# --- workers --------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 8), max_size=30), st.integers(1, 6))
def test_shares_are_a_partition_into_whole_images(images, world):
    """Every item is in exactly one share, with all others about its image, in order."""
    items = [Item(f"{n}", f"{image}", lambda: None) for n, image in enumerate(images)]
    shares = [list(share(items, Worker(rank, world))) for rank in range(world)]
    assert sorted((i for part in shares for i in part), key=lambda i: int(i.sample_id)) == items
    for part in shares:
        assert part == [i for i in items if i in part]
    for image in set(images):
        assert sum(any(i.image_id == f"{image}" for i in part) for part in shares) == 1
    counts = [len({i.image_id for i in part}) for part in shares]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("world", [2, 3, 7])
def test_parts_join_to_what_one_worker_writes(tmp_path, world):
    """Whatever the order in which workers finish; failures included; the parts are gone."""
    root = asked(tmp_path / "own", long="1-1", broken="3.png")
    job, out = Extraction(MODEL, "folder", root=root), tmp_path / "out"
    alone = run(job, tmp_path / "alone")
    for rank in reversed(range(world)):
        assert joined_if_done(job, out, world) is None
        extract_part(job, out, Worker(rank, world))
    joined = joined_if_done(job, out, world)
    assert contents(joined) == contents(alone)
    assert joined.provenance.differences(alone.provenance) == []
    rows = [sorted(map(str, read_log(log_of(tmp_path / n)))) for n in ("out", "alone")]
    assert rows[0] == rows[1]
    assert not part_of(out, Worker(0, world)).parent.exists()


def test_parts_of_another_job_are_not_joined(tmp_path):
    """One part of 8 questions and one of 10: the first must be made again."""
    root = asked(tmp_path / "own")
    out = tmp_path / "out"
    extract_part(Extraction(MODEL, "folder", root=root, limit=4), out, Worker(0, 2))
    job = Extraction(MODEL, "folder", root=root)
    extract_part(job, out, Worker(1, 2))
    assert joined_if_done(job, out, 2) is None
    extract_part(job, out, Worker(0, 2))
    assert len(joined_if_done(job, out, 2)) == 10


def test_a_worker_started_once_more_finds_the_whole(tmp_path):
    root = asked(tmp_path / "own")
    job, out = Extraction(MODEL, "folder", root=root), tmp_path / "out"
    run(job, out, parts=2)
    assert extract_part(job, out, Worker(1, 2)) == out
    assert not part_of(out, Worker(1, 2)).parent.exists()


ENVIRONMENTS = [
    ({}, Worker()),
    ({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}, Worker(1, 2, 1)),
    ({"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1"}, Worker(5, 8, 1)),
    # inside a batch script, not under srun: one process, whatever the job has been given
    ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_LOCALID": "0"}, Worker()),
    # torchrun started by srun on each of two machines
    (
        {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": "0",
         "RANK": "6", "WORLD_SIZE": "8", "LOCAL_RANK": "2"},
        Worker(6, 8, 2),
    ),
    ({"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4"}, Worker(2, 4, 0)),
]  # fmt: skip


@pytest.mark.parametrize(("environment", "worker"), ENVIRONMENTS)
def test_workers_by_the_environment(environment, worker):
    assert worker_here(environment) == worker


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"WORLD_SIZE": "2"}, "RANK beside WORLD_SIZE"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, r"within 0\.\.1"),
        ({"WORLD_SIZE": "2", "RANK": "one"}, "whole numbers"),
    ],
)
def test_half_an_environment_is_refused(environment, message):
    with pytest.raises(ParameterError, match=message):
        worker_here(environment)


def test_workers_of_a_launcher_from_the_command_line(tmp_path):
    """As `torchrun` or `srun` start them: the last one joins."""
    root = asked(tmp_path / "own")
    command = ["extract", "--model", MODEL, "--dataset", "folder", "--root", str(root)]
    out = tmp_path / "out"
    for rank in (1, 0):
        assert not out.exists()
        environment = {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
        done = CliRunner().invoke(app, [*command, "--out", str(out)], env=environment)
        assert done.exit_code == 0, done.output
    assert len(Bundle.open(out)) == 10


def test_a_worker_that_is_overtaken_gets_the_bundle(tmp_path, monkeypatch):
    """Both have seen that all parts are there; before the slower one has begun, the other is done
    and the parts are gone."""
    root = asked(tmp_path / "own")
    job, out = Extraction(MODEL, "folder", root=root), tmp_path / "out"
    for rank in (0, 1):
        extract_part(job, out, Worker(rank, 2))
    order = extraction_job._order

    def overtaken(items, bundles):
        monkeypatch.setattr(extraction_job, "_order", order)
        assert len(joined_if_done(job, out, 2)) == 10
        return order(items, bundles)

    monkeypatch.setattr(extraction_job, "_order", overtaken)
    assert len(joined_if_done(job, out, 2)) == 10
    other = tmp_path / "other"
    run(Extraction(MODEL, "folder", root=root, limit=4), other)
    for rank in (0, 1):
        extract_part(job, other, Worker(rank, 2))
    with pytest.raises(BundleError):  # something else stands there
        joined_if_done(job, other, 2)


def test_two_processes_of_a_launcher_at_once(tmp_path):
    """Two real processes side by side, told apart by the environment of `torchrun`: whoever comes
    last joins, and what is there is what one process writes, failures included."""
    root = asked(tmp_path / "own", long="1-1", broken="3.png")
    command = ["extract", "--model", MODEL, "--dataset", "folder", "--root", str(root)]
    own = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "analysis.cli", *command, "--out", str(tmp_path / "out")],
            env={**own, "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=300)[0] for process in started]
    assert {p.returncode for p in started} <= {0, PART_FAILED}, said
    alone = tmp_path / "alone"
    run(Extraction(MODEL, "folder", root=root), alone)
    both = Bundle.open(tmp_path / "out")
    assert contents(both) == contents(Bundle.open(alone))
    assert len(both) == 7
    failed = {f.sample_id for f in read_log(log_of(tmp_path / "out"))}
    assert failed == {"1-1", "3-0", "3-1"}
    assert not (tmp_path / "out.parts").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Dask's own, on closing
def test_a_cluster_by_address_writes_what_one_process_does(tmp_path):
    """Three parts on two workers of a Dask cluster, and the second time nothing is encoded."""
    distributed = pytest.importorskip("distributed")
    root = asked(tmp_path / "own", long="1-1", broken="3.png")
    job = Extraction(MODEL, "folder", root=root)
    alone = run(job, tmp_path / "alone")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        there = run(job, tmp_path / "out", parts=3, scheduler=cluster.scheduler_address)
        assert there is not None
        written = {f: f.stat().st_mtime_ns for f in there.path.iterdir()}
        again = run(job, tmp_path / "out", parts=3, scheduler=cluster.scheduler_address)
    assert contents(there) == contents(alone)
    assert {f.sample_id for f in read_log(log_of(there.path))} == {"1-1", "3-0", "3-1"}
    assert {f: f.stat().st_mtime_ns for f in again.path.iterdir()} == written


# --- space ----------------------------------------------------------------------------------


def test_sizes_by_hand():
    """Half precision takes 2 bytes: (4, 3) V once per image, (2, 3) T per question; bytes stay."""
    sample = Sample(
        sample_id="a", image_id="a", visual=torch.ones(4, 3), text=torch.ones(2, 3), grid=(2, 2),
        tokens=("a", "b"), question="a b", answer="", question_type="all",
        image=torch.zeros(5, 6, 3, dtype=torch.uint8),
    )  # fmt: skip
    other = Sample(**{**vars(sample), "sample_id": "b"})
    assert sizes_of([sample, other], "float16") == Sizes(4 * 3 * 2 + 5 * 6 * 3, 2 * 3 * 2)
    assert sizes_of([sample], "float32") == Sizes(4 * 3 * 4 + 5 * 6 * 3, 2 * 3 * 4)


def test_the_estimate_is_what_the_bundle_takes(tmp_path):
    """Tensors of the shards of a bundle, and the estimate from its first chunk, are one number."""
    out = tmp_path / "out"
    bundle = run(Extraction(limit=64, attention=False), out)
    sizes = sizes_of(list(bundle.select(bundle.sample_ids[:16])), "float16")
    tensors = sum(
        t.numel() * {"F16": 2, "U8": 1, "BOOL": 1}[t.dtype]
        for e in (*bundle.index.images.values(), *bundle.index.samples.values())
        for t in [_Size.of(x) for x in e.tensors.values()]
    )
    estimated = sizes.total(images=len(bundle.image_ids), questions=len(bundle))
    assert abs(estimated / tensors - 1) < 0.02  # questions differ in length


class _Size:
    """A tensor's entry in the index."""

    def __init__(self, dtype, shape):
        self.dtype, self.shape = dtype, shape

    @classmethod
    def of(cls, entry):
        return cls(entry.dtype, entry.shape)

    def numel(self) -> int:
        return int(torch.tensor(self.shape).prod())


def test_a_full_disk_is_told_before_the_work(tmp_path, monkeypatch):
    """Nothing is written, and only the first chunk was encoded."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 1000, 1000))
    root = asked(tmp_path / "own", 40)
    fake = Seeing()
    items = Extraction(MODEL, "folder", root=root).items()
    with pytest.raises(SpaceError, match=r"expected .* free for the bundle, got 1\.0 kB"):
        extract(fake, items, tmp_path / "out", provenance.collect("test"), limit=80)
    assert len(fake.batches) == 1
    assert not (tmp_path / "out").exists()


def test_joining_needs_the_room_twice(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 0, 1500))
    assert check_space(tmp_path / "new" / "out", 1000) == 1500
    with pytest.raises(SpaceError, match=r"2\.2 kB"):
        check_space(tmp_path / "out", 1000, copies=2)


def test_items_of_examples_are_lazy():
    """Streams without an end can be cut."""
    stream = of_examples(examples("test", limit=10**9))
    assert next(stream).load().sample_id == next(examples("test", limit=1)).sample_id
