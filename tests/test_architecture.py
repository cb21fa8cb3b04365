"""The import diagrams and the guides for contributors say what the code does."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from structure import ROOT
from test_documents import load

architecture = load("architecture")
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def acyclic(draw) -> dict[str, frozenset[str]]:
    """A graph whose nodes import earlier ones only."""
    names = [chr(ord("a") + i) for i in range(draw(st.integers(1, 7)))]
    return {n: draw(st.frozensets(st.sampled_from(names[:i]) if i else st.nothing()))
            for i, n in enumerate(names)}  # fmt: skip


def test_the_import_diagrams_are_current():
    for file, svg in architecture.pictures().items():
        stands = (architecture.IMAGES / file).read_text(encoding="utf-8")
        assert stands == svg, "run `make index`"
        assert f"images/{file}" in PAGE


def test_every_part_stands_in_a_diagram_once():
    shown: list[str] = []
    for svg in architecture.pictures().values():
        shown += [text.text or "" for text in ET.fromstring(svg).iter(f"{SVG}text")]
    parts = [name.rpartition(".")[2] for name in architecture.known_components()]
    assert sorted(shown) == sorted(parts)
    assert {"bundle", "selection", "cli", "manners", "paper_figures"} <= set(shown)


def test_imports_are_found_whatever_way_they_are_written(tmp_path, monkeypatch):
    """Relative ones of a module and of a package, absolute ones, and those inside functions."""
    monkeypatch.setattr(architecture, "ROOT", tmp_path)
    folder = tmp_path / "analysis" / "claims"
    folder.mkdir(parents=True)
    module = folder / "one.py"
    module.write_text(
        "from . import base\nfrom ..progress import console\nimport mitheory.pmi as p, os\n"
        "def f():\n    from mitheory import io\n"
    )
    found = {"analysis.claims.base", "analysis.progress.console", "mitheory.pmi", "mitheory.io"}
    assert architecture.imports_of(module) == found
    package = folder / "__init__.py"
    package.write_text("from .base import Claim\n")
    assert architecture.imports_of(package) == {"analysis.claims.base.Claim"}


def test_the_graph_of_the_code_by_hand():
    """A few arrows that anybody can look up, and none against the flow."""
    graph = architecture.import_graph()
    assert {"mitheory.distributions", "mitheory.priors"} <= graph["mitheory.pmi"]
    assert "analysis.progress" in graph["analysis.manners"]
    assert graph["mitheory.errors"] == frozenset()
    assert architecture.flow_is_kept()


@given(acyclic())
def test_a_reduced_graph_reaches_the_same(graph):
    """No part is lost from reach, and no arrow that is left is implied by the others."""
    fewer = architecture.reduced(graph)
    for name in graph:
        assert architecture.reachable(fewer, name) == architecture.reachable(graph, name)
        for other in fewer[name]:
            rest = {**fewer, name: fewer[name] - {other}}
            assert other not in architecture.reachable(rest, name)


@given(acyclic())
def test_who_imports_stands_above(graph):
    """Every arrow of the picture joins neighboring rows, downwards."""
    level, arrows = architecture.staged(graph)
    assert all(level[name] == level[other] + 1 for name, other in arrows)
    rows = architecture.rows_of(level, arrows)
    assert sorted(name for row in rows for name in row) == sorted(level)
    assert all(level[name] == len(rows) - 1 - i for i, row in enumerate(rows) for name in row)


def test_a_circle_is_refused():
    with pytest.raises(ValueError, match=r"circle of imports among \['a', 'b'\]"):
        architecture.levels({"a": frozenset("b"), "b": frozenset("a"), "c": frozenset()})


# --- guides -----------------------------------------------------------------------------------


def test_the_line_to_change_is_there():
    """Once, in the file that the guide names; changed, the file still compiles."""
    ((old, new),) = re.findall(r"```diff\n-(.*)\n\+(.*)\n```", PAGE)
    (file,) = set(re.findall(r"change one line, in `([\w/]+\.py)`", PAGE))
    source = (ROOT / file).read_text(encoding="utf-8")
    assert source.count(f"{old}\n") == 1
    changed = source.replace(old, new)
    assert changed != source
    compile(changed, file, "exec")


def test_the_places_for_a_change_exist():
    rows = re.findall(r"^\| (?:a|an) .*? \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)
    assert len(rows) >= 7
    code = "\n".join(p.read_text(encoding="utf-8") for package in ("mitheory", "analysis",
                     "paper_figures") for p in (ROOT / package).rglob("*.py"))  # fmt: skip
    for place, entry in rows:
        for folder in re.findall(r"`([\w/]+/[\w/]+)`", place):
            assert (ROOT / folder).exists(), folder
        for name in re.findall(r"`([A-Z]+)`", entry):
            assert re.search(rf"^{name}\b", code, re.MULTILINE), name


def test_the_hooks_run_what_make_lint_runs():
    """Each hook's command is of the environment, and those of `make lint` are among them."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    entries = [hook["entry"] for repo in hooks["repos"] for hook in repo["hooks"]]
    assert all(entry.startswith(".venv/bin/") for entry in entries)
    for tool in ("ruff format", "ruff check", "mypy"):
        assert any(tool in entry for entry in entries)
    for script in re.findall(r"docs/\w+\.py", " ".join(entries)):
        assert (ROOT / script).exists()


def test_issue_forms_are_forms():
    """With a name, a description, and fields that a forge accepts."""
    kinds = {"markdown", "textarea", "input", "dropdown", "checkboxes"}
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    forms = [p for p in folder.glob("*.yml") if p.name != "config.yml"]
    assert len(forms) >= 2
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert form["name"]
        assert form["description"]
        ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
        assert len(ids) == len(set(ids)) > 0
        assert {field["type"] for field in form["body"]} <= kinds
        assert all(field["attributes"]["label"] for field in form["body"])


def test_contributing_is_a_page_of_commands_that_exist():
    targets = re.findall(r"^make ([a-z]+)", CONTRIBUTING, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"test", "lint"} <= set(targets)
    assert [t for t in targets if f"\n{t}:" not in makefile] == []
    assert len(CONTRIBUTING.splitlines()) < 90
