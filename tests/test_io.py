"""Files that are whole or absent."""

from __future__ import annotations

import json
import os

import pandas as pd
import pytest

from mitheory.errors import ParameterError
from mitheory.io import (
    atomic_write,
    atomic_write_csv,
    atomic_write_json,
    atomic_write_parquet,
    atomic_write_text,
    remove,
    replace_directory,
    replacing,
)

TABLE = pd.DataFrame(
    {"setting": ["τ = 0.1", 'a,"b"'], "budget": [64, 128], "correct": [True, False]}
)
WRITERS = {
    "bytes": (atomic_write, b"abc"),
    "text": (atomic_write_text, "τ\r\n"),
    "json": (atomic_write_json, {"τ": [1, None, 0.1]}),
    "csv": (atomic_write_csv, TABLE),
    "parquet": (atomic_write_parquet, TABLE),
}
READERS = {
    "bytes": lambda p: p.read_bytes(),
    "text": lambda p: p.read_bytes().decode("utf-8"),
    "json": lambda p: json.loads(p.read_text(encoding="utf-8")),
    "csv": pd.read_csv,
    "parquet": pd.read_parquet,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_written_comes_back_in_a_new_folder(tmp_path, kind):
    write, value = WRITERS[kind]
    path = tmp_path / "new" / "file"
    write(path, value)
    got = READERS[kind](path)
    if kind in ("csv", "parquet"):
        pd.testing.assert_frame_equal(got, value)
    else:
        assert got == value
    assert [p.name for p in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", WRITERS)
def test_a_failure_at_the_last_moment_leaves_the_old_content(tmp_path, monkeypatch, kind):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(*_):
        raise OSError("disk")

    monkeypatch.setattr(os, "replace", fail)
    write, value = WRITERS[kind]
    with pytest.raises(OSError, match="disk"):
        write(path, value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_complete_before_it_has_its_name(tmp_path):
    path = tmp_path / "file"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent  # same file system: the rename is atomic
    assert path.read_text() == "half"


def test_an_exception_inside_leaves_nothing(tmp_path):
    def stop_halfway():
        with replacing(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise KeyError("stop")

    with pytest.raises(KeyError):
        stop_halfway()
    assert list(tmp_path.iterdir()) == []


def test_what_json_cannot_hold_is_refused_before_anything_is_touched(tmp_path):
    path = tmp_path / "file"
    for value in (float("nan"), {"a": object()}):
        with pytest.raises(ParameterError, match="must be JSON"):
            atomic_write_json(path, value)
    assert list(tmp_path.iterdir()) == []


def test_files_are_as_readable_as_any_other(tmp_path):
    (tmp_path / "plain").write_text("")
    atomic_write(tmp_path / "file", b"")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_takes_the_place_of_what_is_there(tmp_path):
    for old in ("nothing", "file", "folder"):
        target, source = tmp_path / old, tmp_path / "source"
        if old == "file":
            target.write_text("old")
        elif old == "folder":
            (target / "deep").mkdir(parents=True)
        source.mkdir()
        (source / "new").write_text("new")
        replace_directory(source, target)
        assert [p.name for p in target.iterdir()] == ["new"]
        assert not source.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder", "nothing"]


def test_removing_a_link_spares_what_it_leads_to(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    remove(tmp_path / "link")
    assert (tmp_path / "folder" / "kept").exists()
    assert not (tmp_path / "link").is_symlink()
