"""The shape of the repository: layers, light import, documents and pins that cannot drift apart."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import structure
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from structure import PACKAGES, ROOT, module_name, python_files

SOURCES = python_files(*PACKAGES)
TESTS = python_files("tests")
HEAVY = ("sklearn", "skimage", "pandas", "pyarrow", "seaborn", "matplotlib", "transformers")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".cff", ".bib", ".txt", ".yaml", ".yml", ".ipynb", ".json"}


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:  # an unpacked archive has no history
        pytest.skip("not a git checkout: the list of files is unknown")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def pyproject() -> dict:
    return tomllib.loads(read(ROOT / "pyproject.toml"))


def requirements() -> dict[str, list[Requirement]]:
    project = pyproject()["project"]
    groups = {"core": project["dependencies"], **project["optional-dependencies"]}
    return {group: [Requirement(line) for line in lines] for group, lines in groups.items()}


def pins() -> dict[str, str]:
    lines = [line for line in read(ROOT / "constraints.txt").splitlines() if "==" in line]
    return {canonicalize_name(n): v for n, v in (line.split("==") for line in lines)}


# --- layers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_run_along_the_flow(path):
    package = path.name == "__init__.py"
    assert structure.layering_violations(read(path), module_name(path), is_package=package) == []


def test_every_module_of_the_theory_has_a_layer():
    assert structure.undeclared_components(map(module_name, SOURCES)) == []


@pytest.mark.parametrize(
    ("source", "module", "wrong"),
    [
        ("from mitheory.errors import ShapeError", "mitheory.checks", False),
        ("from mitheory.pmi import pmi", "mitheory.priors", True),
        ("from mitheory import select", "mitheory.pmi", True),
        ("def f():\n    from mitheory.models import base", "mitheory.selection.greedy", True),
        ("import analysis.cli", "mitheory.scores", True),
        ("from .priors import PRIORS", "mitheory.distributions", True),
        ("from ..selection import select", "mitheory.models.base", False),
        ("from paper_figures.render import render_all", "analysis.reproduce", True),
        ("from mitheory.bundle import Bundle", "mitheory.statistics", False),
        ("from mitheory.pmi import pmi", "mitheory.bundle.reader", True),
    ],
)
def test_the_layering_rule_itself(source, module, wrong):
    assert bool(structure.layering_violations(source, module)) is wrong


def test_importing_mitheory_is_light():
    """`import mitheory` loads none of the heavy optional or plotting libraries."""
    code = f"import sys, mitheory; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


# --- modules --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if re.search(r"^__all__\b", read(p), re.MULTILINE)], ids=relative
)
def test_every_name_in_all_resolves(path):
    assigned = [
        node.value
        for node in ast.parse(read(path)).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and "__all__" in ast.unparse(node).partition("=")[0]
    ]
    assert len(assigned) == 1, "__all__ is written once"
    names = ast.literal_eval(assigned[0])  # raises unless it is a literal
    module = importlib.import_module(module_name(path))
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(module, name)] == []


@pytest.mark.parametrize("path", python_files("mitheory"), ids=relative)
def test_every_public_definition_is_documented(path):
    undocumented = [n for n, doc in structure.public_definitions(read(path)) if not doc]
    assert undocumented == []
    assert ast.get_docstring(ast.parse(read(path))) or not read(path), "what does it hold?"


EVERY_CODE = [
    *SOURCES,
    *TESTS,
    *python_files("benchmarks", "docs"),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
]


def code_of(path: Path) -> str:
    """The Python of a file; of a notebook its cells, IPython's own commands aside."""
    if path.suffix == ".py":
        return read(path)
    cells = json.loads(read(path))["cells"]
    lines = ["".join(c["source"]) + "\n" for c in cells if c["cell_type"] == "code"]
    return "\n".join(re.sub(r"^[%!].*$", "", text, flags=re.MULTILINE) for text in lines)


@pytest.mark.parametrize("path", EVERY_CODE, ids=relative)
def test_nothing_is_pickled(path):
    """Nor is anything else read that could execute code: YAML with tags, torch's archives."""
    assert structure.pickling(code_of(path)) == []


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("import pickle", True),
        ("from pickle import loads", True),
        ("import torch\ntorch.load(p, weights_only=True)", True),
        ("import torch as t\nread = t.load", True),
        ("from torch import load as read", True),
        ("from torch import hub", True),
        ("import torch\ntorch.hub.load('a', 'b')", True),
        ("import numpy as np\nnp.load(p, allow_pickle=True)", True),
        ("import numpy as np\nnp.load(p, allow_pickle=False)", False),
        ("import numpy as np\nnp.load(p)", False),  # refuses pickles by itself
        ("frame.to_pickle(p)", True),
        ("import joblib\njoblib.dump(a, p)", True),
        ("from joblib import Parallel", False),
        ("import yaml\nyaml.load(f, Loader=yaml.SafeLoader)", True),
        ("from yaml import UnsafeLoader", True),
        ("import yaml\nyaml.safe_load(f)", False),
        ("import json\njson.load(f)", False),
        ("from safetensors.torch import load_file, save_file", False),
    ],
)
def test_the_pickling_rule_itself(source, wrong):
    assert bool(structure.pickling(source)) is wrong


# --- tests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_no_comparison_is_dropped(path):
    assert structure.dropped_comparisons(read(path)) == []


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_every_test_can_fail(path):
    helpers = {
        node.name
        for other in TESTS
        for node in ast.walk(ast.parse(read(other)))
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("test")
        and any(isinstance(n, ast.Assert) for n in ast.walk(node))
    }
    assert structure.assertionless_tests(read(path), helpers) == []


# --- packaging ------------------------------------------------------------------------------


def test_every_requirement_has_a_pin_that_satisfies_it():
    wanted = {str(r): (r, pins().get(canonicalize_name(r.name))) for r in sum_requirements()}
    wrong = [text for text, (r, pin) in wanted.items() if pin is None or pin not in r.specifier]
    assert wrong == []


def sum_requirements() -> list[Requirement]:
    return [r for group in requirements().values() for r in group]


@pytest.mark.parametrize("group", ["core", "test"])
def test_installed_versions_satisfy_the_bounds(group):
    wrong = []
    for requirement in requirements()[group]:
        installed = version(requirement.name)
        if not requirement.specifier.contains(installed, prereleases=True):
            wrong.append(f"{requirement} but {installed} is installed")
    assert wrong == []


def test_pins_are_exact_sorted_and_unique():
    lines = [n for n in read(ROOT / "constraints.txt").splitlines() if n and not n.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]*==[0-9][A-Za-z0-9.]*", line) for line in lines)
    names = [line.split("==")[0] for line in lines]
    assert names == sorted(set(names))


def test_the_version_is_written_in_one_place():
    declared = pyproject()["project"]["version"]
    assert f"version: {declared}\n" in read(ROOT / "CITATION.cff")
    try:
        assert version("mitheory") == declared
    except PackageNotFoundError:
        pytest.skip("mitheory is not installed here, only on the path")


def test_package_data_is_declared():
    """Each data file inside a package matches package-data, or an install would lose it."""
    patterns = pyproject()["tool"]["setuptools"]["package-data"]["*"]
    packages = {path.parent for path in SOURCES if path.name == "__init__.py"}
    shipped = {hit for folder in packages for pattern in patterns for hit in folder.glob(pattern)}
    packaged = [p for p in tracked_files() if p.relative_to(ROOT).parts[0] in PACKAGES]
    lost = [p for p in packaged if p.suffix != ".py" and p not in shipped]
    assert [relative(p) for p in lost] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_with_modules_is_a_package(package):
    folders = {p.parent for p in python_files(package)}
    assert [relative(f) for f in sorted(folders) if not (f / "__init__.py").exists()] == []


# --- repository -----------------------------------------------------------------------------


def is_built(path: Path) -> bool:
    """Whether a build makes the file, so that git ignores it; what it holds is the site's test."""
    place = path.resolve()
    if not place.is_relative_to(ROOT):
        return False
    done = subprocess.run(["git", "check-ignore", "-q", place], cwd=ROOT, check=False)
    return done.returncode == 0


def test_links_to_pages_that_a_build_makes_are_told_from_others():
    assert is_built(ROOT / "docs" / "_build" / "html" / "index.html")
    assert not is_built(ROOT / "docs" / "no-such-page.md")
    assert not is_built(ROOT.parent / "docs" / "_build" / "x")


def test_no_file_refers_to_a_path_outside_the_repository():
    found = {}
    for path in tracked_files():
        if path.suffix not in TEXT_SUFFIXES and path.name != "Makefile":
            continue
        text = read(path)
        hits = structure.machine_paths(text)
        if path.suffix == ".md":
            links = structure.escaping_links(text, path.parent)
            hits += [link for link in links if not is_built(path.parent / link.split("#")[0])]
        if hits:
            found[relative(path)] = hits
    assert found == {}


def test_top_level_holds_what_it_should():
    expected = {
        "pyproject.toml", "mitheory", "analysis", "paper_figures", "notebooks", "tests",
        "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "references.bib", "Makefile",
        "constraints.txt", "benchmarks", "docs", ".ci", ".pre-commit-config.yaml", ".gitignore",
        "CONTRIBUTING.md", "MANIFEST.in", ".github",  # forges and setuptools look for them there
    }  # fmt: skip
    assert {p.relative_to(ROOT).parts[0] for p in tracked_files()} == expected
