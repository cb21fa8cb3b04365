"""The wheel and the source archive as an installer gets them: all that is needed, nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from archives import unpack
from structure import PACKAGES, ROOT
from test_structure import pyproject, relative, tracked_files

BUILD = "from setuptools.build_meta import build_sdist, build_wheel; import sys; {}(sys.argv[1])"
WORKFLOW = ROOT / ".github" / "workflows" / "tests.yml"


def build(kind: str, source: Path, out: Path) -> Path:
    """What the build backend makes of a source tree, from installed tools alone."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD.format(f"build_{kind}"), str(out)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout + done.stderr
    assert "is absent from the `packages`" not in told
    assert "Deprecat" not in told
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    return sorted(relative(path) for path in tracked_files())


@pytest.fixture(scope="module")
def archive(tmp_path_factory, tracked) -> Path:
    """The source archive of a checkout in which nothing has been built before."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in tracked:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    return build("sdist", checkout, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, archive) -> zipfile.ZipFile:
    """The wheel that pip builds of the source archive."""
    (source,) = unpack(archive, tmp_path_factory.mktemp("unpacked")).iterdir()
    return zipfile.ZipFile(build("wheel", source, tmp_path_factory.mktemp("wheel")))


def test_the_source_archive_holds_every_file(archive, tracked):
    """Tests, documents and pins too: what one unpacks can be tested."""
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert [name for name in tracked if name not in names] == []
    assert [name for name in names if "__pycache__" in name or name.startswith("out/")] == []


def test_the_wheel_holds_the_packages_and_nothing_else(wheel, tracked):
    """Checkpoints, templates, tables and type markers, byte for byte; no tests, no caches."""
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    packaged = [name for name in tracked if name.split("/")[0] in PACKAGES]
    assert sorted(held) == packaged
    assert [name for name in packaged if wheel.read(name) != (ROOT / name).read_bytes()] == []
    for package in PACKAGES:
        assert f"{package}/py.typed" in held
    assert "mitheory/models/fruitfly/checkpoints/fruitfly.safetensors" in held
    assert {Path(name).suffix for name in held} >= {".html", ".csv", ".json", ".safetensors"}


def test_the_wheel_says_what_it_is(wheel):
    project = pyproject()["project"]
    folder = f"mitheory-{project['version']}.dist-info"
    metadata = wheel.read(f"{folder}/METADATA").decode()
    assert f"Version: {project['version']}\n" in metadata
    assert f"Requires-Python: {project['requires-python']}\n" in metadata
    assert "mitheory = analysis.cli:main" in wheel.read(f"{folder}/entry_points.txt").decode()
    assert f"{folder}/licenses/LICENSE" in wheel.namelist()


def test_the_wheel_works_away_from_the_checkout(wheel, tmp_path):
    """Its own files, its checkpoint, its command; nothing of the repository is in reach."""
    wheel.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    code = "import sys, analysis.cli, mitheory; print(mitheory.__file__); analysis.cli.main()"
    options = ["extract", "--limit", "2", "--no-attention", "--out", "fly", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *options],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    home, outcome = done.stdout.splitlines()
    assert Path(home).is_relative_to(tmp_path)
    assert json.loads(outcome)["samples"] == 2


# --- the workflow -----------------------------------------------------------------------------


def test_the_workflow_covers_what_is_promised():
    """Every Python of the classifiers, pinned; the oldest and the newest libraries; the pages."""
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    rows = jobs["tests"]["strategy"]["matrix"]["include"]
    classifiers = [c.rpartition(" :: ") for c in pyproject()["project"]["classifiers"]]
    promised = {v for head, _, v in classifiers if head.endswith("Python") and "." in v}
    assert {row["python"] for row in rows if row["versions"] == "pinned"} == promised
    assert {row["versions"] for row in rows} == {"pinned", "lowest", "newest"}
    steps = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    assert any("lowest-direct" in step for step in steps)
    assert {step.partition("  #")[0] for step in steps} >= {"make lint", "make docs", "make links"}
    assert any("reproduce --quick" in step for step in steps)
    for step in steps:  # every command of make exists
        if step.startswith("make "):
            assert f"\n{step.split()[1]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_oldest_versions_are_tested_by_hand_as_in_the_workflow():
    """Of warnings, only those are let pass that old libraries draw from new ones beneath them."""
    ignored = {}
    for path in (WORKFLOW, ROOT / "CONTRIBUTING.md"):
        (line,) = (n for n in path.read_text(encoding="utf-8").splitlines() if " -W " in n)
        assert "pytest" in line, path
        ignored[path.name] = re.findall(r"-W (\S+)", line)
    assert set(map(tuple, ignored.values())) == {("ignore::DeprecationWarning",)}, ignored
