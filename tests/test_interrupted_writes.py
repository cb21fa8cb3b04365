"""Writers killed at any moment, and disks that fill up: what is left is whole, or is nothing."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from bundle_samples import PROVENANCE, assert_same_sample, many_samples, write

from mitheory.bundle import Bundle, BundleWriter
from mitheory.errors import BundleError
from mitheory.io import atomic_write_csv, atomic_write_json, atomic_write_parquet
from mitheory.models.fruitfly.training.loop import read_log, write_log

SAMPLES = list(many_samples(images=3, questions=2))
FORMS = ("bundle", "bundle.safetensors")
ROWS = 5000


def in_child(work: Callable[[], None]) -> int:
    """Start a copy of this process that does the work and ends, 0 if well; its id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking where there are threads
        child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def killed_after(
    work: Callable[[], None], seconds: float, *, is_under_way: Callable[[], bool] = lambda: True
) -> bool:
    """Do the work in a child and kill it a while after it has begun; whether it had ended well."""
    child = in_child(work)
    while not is_under_way():  # a busy machine may take its time
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return status == 0


def write_bundle(path: Path) -> None:
    """A bundle in steps of one sample, resumed and replaced: every path of the writer."""
    with BundleWriter(
        path, PROVENANCE, dtype="float32", shard_size=1, resume=True, overwrite=True
    ) as writer:
        for sample in SAMPLES:
            if not writer.has_sample(sample.sample_id):
                writer.add(sample)


def assert_whole_or_nothing(folder: Path, path: Path) -> bool:
    """No path in the folder reads as another bundle than the one; whether that is there."""
    for found in [folder, *folder.rglob("*")]:
        try:
            with Bundle.open(found, verify=True) as bundle:
                samples = list(bundle)
        except BundleError:
            continue
        assert found == path or found.name == "bundle" or found.name.startswith("."), found
        assert len(samples) == len(SAMPLES), found
        for got, expected in zip(samples, SAMPLES, strict=True):
            assert_same_sample(got, expected)
    return path.exists()


def kill_many(tmp_path: Path, form: str, rounds: int, seed: int) -> None:
    """Writers that are killed at random moments until one is done, again and again."""
    rng = random.Random(seed)
    durations = []
    for i in range(3):
        started = time.monotonic()
        write_bundle(tmp_path / f"sound{i}" / form)
        durations.append(time.monotonic() - started)
    whole = min(durations)  # the moments are spread over what a write takes
    outcomes = []
    for i in range(rounds):
        folder = tmp_path / f"round{i // 3}"  # three in a row resume what the earlier left
        path = folder / form
        folder.mkdir(exist_ok=True)
        outcomes.append(killed_after(lambda path=path: write_bundle(path), rng.random() * whole))
        assert_whole_or_nothing(folder, path)
        if i % 3 == 2:
            write_bundle(path)
            assert assert_whole_or_nothing(folder, path)
    assert not all(outcomes), "no writer was killed in time"


@pytest.mark.parametrize("form", FORMS)
def test_killed_at_random_moments(tmp_path, form):
    """Nothing reads as a bundle, or the whole bundle does; the next writer finishes it."""
    kill_many(tmp_path, form, rounds=12, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_killed_at_very_many_random_moments(tmp_path, form):
    """As above, 300 times."""
    kill_many(tmp_path, form, rounds=300, seed=1)


# --- tables -----------------------------------------------------------------------------------


def table(version: int) -> pd.DataFrame:
    """Rows that all carry the version: a mixture of two would be seen."""
    return pd.DataFrame({"version": [version] * ROWS, "row": range(ROWS)})


WRITERS = {
    "a.parquet": (atomic_write_parquet, pd.read_parquet),
    "a.csv": (atomic_write_csv, pd.read_csv),
    "a.json": (
        lambda path, frame: atomic_write_json(path, frame.to_dict("list")),
        lambda path: pd.DataFrame(json.loads(path.read_text())),
    ),
    "log.jsonl": (
        lambda path, frame: write_log(path, frame.to_dict("records")),
        lambda path: pd.DataFrame(read_log(path)),
    ),
}


def assert_one_version(path: Path) -> int:
    """The table is one that was written, every row of it; which."""
    frame = WRITERS[path.name][1](path)
    version = int(frame.version.iloc[0])
    pd.testing.assert_frame_equal(frame, table(version))
    return version


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_is_the_old_or_the_new_one(tmp_path, name):
    """While its writer replaces it without end and is killed."""
    path = tmp_path / name
    WRITERS[name][0](path, table(-1))
    rng = random.Random(3)

    def work(start: int) -> None:
        for version in range(start, start + 10_000):
            WRITERS[name][0](path, table(version))

    seen = set()
    for i in range(12):
        before = path.stat().st_mtime_ns
        killed_after(
            lambda i=i: work(10_000 * i),
            0.05 * rng.random(),
            is_under_way=lambda before=before: path.stat().st_mtime_ns != before,
        )
        seen.add(assert_one_version(path))
        hidden = [p for p in tmp_path.iterdir() if p != path]
        assert all(p.name.startswith(".") and p.name.endswith(".tmp") for p in hidden)
    assert len(seen) == 12, "each writer replaced the table at least once"


# --- no space ---------------------------------------------------------------------------------


def with_little_space(work: Callable[[], None], limit: int) -> int:
    """Exit status of the work in a child whose files may have `limit` bytes: 0, or 3 if OSError."""

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python does: writes fail instead
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            work()
        except OSError:
            os._exit(3)

    _, status = os.waitpid(in_child(limited), 0)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("form", FORMS)
def test_a_bundle_for_which_there_is_no_space(tmp_path, form):
    """An OSError whatever file it was, never a short bundle; with space it is resumed."""
    largest = max(p.stat().st_size for p in write(tmp_path / "x", iter(SAMPLES)).iterdir())
    statuses = []
    for limit in (0, 100, 700, 1500, 4000, largest // 2, 1 << 30):
        folder = tmp_path / str(limit)
        folder.mkdir()
        path = folder / form
        statuses.append(with_little_space(lambda path=path: write_bundle(path), limit))
        assert assert_whole_or_nothing(folder, path) == (statuses[-1] == 0)
        write_bundle(path)
        assert assert_whole_or_nothing(folder, path)
    assert set(statuses) == {0, 3}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("limit", [0, 10, 4096, 20_000])
def test_a_table_for_which_there_is_no_space_stays_as_it_was(tmp_path, name, limit):
    path = tmp_path / name
    WRITERS[name][0](path, table(1))
    assert with_little_space(lambda: WRITERS[name][0](path, table(2)), limit) == 3
    assert assert_one_version(path) == 1
    assert list(tmp_path.iterdir()) == [path]
    assert with_little_space(lambda: WRITERS[name][0](path, table(2)), 1 << 30) == 0
    assert assert_one_version(path) == 2
