"""Provenance: collected from this process, to JSON and back, compared between runs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import pytest
import torch

from mitheory.errors import DTypeError, MitheoryError, ParameterError
from mitheory.provenance import LIBRARIES, Provenance, collect, git_commit, is_modified

FOUND = collect("mitheory extract --seed 3", seed=3, dtype=torch.bfloat16, model="fruitfly")


def test_what_is_given_and_what_is_found():
    assert (FOUND.command, FOUND.seed, FOUND.model) == ("mitheory extract --seed 3", 3, "fruitfly")
    assert (FOUND.dtype, FOUND.device, FOUND.revision) == ("bfloat16", "cpu", None)
    assert FOUND.versions["torch"] == version("torch")
    assert set(FOUND.versions) <= set(LIBRARIES)
    assert FOUND.python == ".".join(map(str, sys.version_info[:3]))
    assert FOUND.device_name
    age = datetime.now(UTC) - datetime.fromisoformat(FOUND.created)
    assert timedelta(seconds=-1) <= age < timedelta(hours=1)


def test_the_command_of_this_process_is_the_default(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["somewhere/bin/mitheory", "extract", "--out", "a b"])
    assert collect().command == "mitheory extract --out 'a b'"


def test_json_gives_it_back():
    assert Provenance.from_dict(json.loads(json.dumps(FOUND.to_dict()))) == FOUND


def test_two_starts_of_one_job_do_not_differ():
    later = replace(FOUND, created="2000-01-01T00:00:00+00:00")
    assert FOUND.differences(later) == []
    assert FOUND.differences(replace(later, seed=4, git_commit="0" * 40)) == ["seed", "git_commit"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "3"}, "seed must be int"),
        ({"seed": True}, "seed must be int"),
        ({"command": None}, "command must be str"),
        ({"device": 0}, "device must be str"),
        ({"versions": [["torch", "2"]]}, "versions must be dict"),
        ({"versions": {"torch": 2}}, "versions must map"),
        ({"is_modified": "no"}, "is_modified must be bool"),
    ],
)
def test_a_field_of_another_type_is_named(change, message):
    with pytest.raises(DTypeError, match=message):
        replace(FOUND, **change)


def test_missing_and_unknown_fields_are_named():
    values = FOUND.to_dict()
    del values["seed"]
    with pytest.raises(ParameterError, match=r"lacks \['seed'\] .* know \['speed'\]"):
        Provenance.from_dict({**values, "speed": 3})
    with pytest.raises(MitheoryError):
        Provenance.from_dict([])  # type: ignore[arg-type]


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_commit_is_that_of_the_checkout_that_tracks_the_folder(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    assert (git_commit(package), is_modified(package)) == (None, None)  # no checkout
    git(tmp_path, "init", "-q")
    (package / "a.py").write_text("1")
    assert git_commit(package) is None  # not tracked: some other project's checkout
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "a")
    assert (git_commit(package), is_modified(package)) == (
        git(tmp_path, "rev-parse", "HEAD"),
        False,
    )
    (tmp_path / "other.py").write_text("untracked")
    assert is_modified(package) is False
    (package / "a.py").write_text("2")
    assert is_modified(package) is True


def test_without_git_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(tmp_path) is None
