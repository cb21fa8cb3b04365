"""The Makefile on a machine without an environment: what it would do, and what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from structure import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that make looks at, and nothing installed."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Under `make test` the variables of the outer make are inherited: they are not meant here.
    outer = {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "ARGS", "OUT", "PYTHON"}
    clean = {name: value for name, value in os.environ.items() if name not in outer}
    return subprocess.run(
        ["make", *arguments], cwd=checkout, env=clean, capture_output=True, text=True, check=False
    )


def position(text: str, *parts: str) -> list[int]:
    places = [text.find(part) for part in parts]
    assert -1 not in places, f"one of {parts} is missing from:\n{text}"
    return places


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("test", "ARGS=-m slow"), ".venv/bin/python -m pytest -n auto -m slow"),
        (("reproduce", "ARGS=--quick"), ".venv/bin/mitheory reproduce --out out --quick"),
        (("reproduce", "OUT=figures"), ".venv/bin/mitheory reproduce --out figures"),
        (("lab", "ARGS=--no-browser"), ".venv/bin/jupyter lab notebooks --no-browser"),
    ],
)
def test_environment_then_packages_then_command(checkout, arguments, command):
    done = make(checkout, "--dry-run", *arguments)
    assert done.returncode == 0, done.stderr
    steps = position(done.stdout, "-m venv .venv", "install -q -c constraints.txt", command)
    assert steps == sorted(steps)


def test_an_installed_environment_is_left_alone(checkout):
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").touch()
    (checkout / ".venv" / ".installed-test").touch()
    done = make(checkout, "--dry-run", "test")
    assert "install" not in done.stdout
    assert "-m pytest" in done.stdout


def test_a_changed_pin_reinstalls(checkout):
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").touch()
    stamp = checkout / ".venv" / ".installed-test"
    stamp.touch()
    later = stamp.stat().st_mtime + 10
    os.utime(checkout / "constraints.txt", (later, later))
    done = make(checkout, "--dry-run", "test")
    assert "-m venv" not in done.stdout
    assert "install -q -c constraints.txt" in done.stdout


def test_a_missing_interpreter_is_named(checkout):
    done = make(checkout, "test", "PYTHON=no-such-python")
    assert done.returncode != 0
    assert "Python >= 3.11; there is no no-such-python" in done.stderr
    assert not (checkout / ".venv").exists()


def test_an_old_interpreter_is_refused(checkout):
    """The check itself runs in a Python that claims to be 3.10."""
    old = checkout / "old-python"
    old.write_text(
        "#!/bin/sh\n"
        "# sys.version_info is what the check reads\n"
        f"exec {os.path.realpath(shutil.which('python3') or 'python3')} -c "
        '"import sys; sys.version_info = (3, 10, 4); $2"\n'
    )
    old.chmod(0o755)
    done = make(checkout, "test", f"PYTHON={old}")
    assert done.returncode != 0
    assert "needs Python >= 3.11" in done.stderr
    assert "is 3.10.4" in done.stderr
    assert not (checkout / ".venv").exists()


def test_help_lists_every_target(checkout):
    help_text = make(checkout, "help").stdout
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = [line for line in makefile.splitlines() if line.startswith(".PHONY:")]
    listed = {line.split()[0] for line in help_text.splitlines()}
    assert listed == set(phony.split()[1:])
