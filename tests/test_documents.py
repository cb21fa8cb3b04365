"""Documents that run: README commands and example, the equation index, the bibliography."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from types import ModuleType

import pytest
from structure import ROOT, python_files

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
BIBLIOGRAPHY = (ROOT / "references.bib").read_text(encoding="utf-8")
MADE = {"_build", "gallery", "notebooks", "reference"}  # below docs, when the site is built
DOCUMENTS = [
    ROOT / "README.md",
    *(p for p in sorted((ROOT / "docs").rglob("*.md")) if not MADE & set(p.parts)),
]


def load(name: str) -> ModuleType:
    """A script of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


equations = load("equations")
OURS = {"mitheory.selection.oracle.oracle"}  # an upper row of every table, in no paper
ENTRIES = equations.entries(ROOT / "mitheory")


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))


def test_make_targets_in_documents_exist():
    named = {t for d in DOCUMENTS for t in re.findall(r"\bmake ([a-z]+)\b(?=[\s`#]|$)", fenced(d))}
    assert {"reproduce", "test"} <= named
    assert named <= make_targets()


def fenced(path) -> str:
    """The code in a document: fenced blocks and inline spans, where a command may stand."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return "\n".join([*blocks, *inline])


def test_mitheory_commands_in_documents_exist():
    import typer

    from analysis.cli import app

    group = typer.main.get_command(app)
    named = {c for d in DOCUMENTS for c in re.findall(r"(?:^|/)mitheory ([a-z]+)", fenced(d), re.M)}
    assert "reproduce" in named
    assert named <= set(group.commands)


def command_lines() -> list[list[str]]:
    """What stands after `mitheory` in the fenced commands of all documents."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for block in re.findall(r"```(?:console|bash)\n(.*?)```", text, re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            for line in re.findall(r"(?:^|[\s/])mitheory ([a-z].*)", "\n".join(lines)):
                words = shlex.split(line, comments=True)
                ends = [i for i, word in enumerate(words) if word in ("|", "&", "&&", ";", ">")]
                found.append(words[: min(ends, default=len(words))])
    return found


def test_command_lines_in_documents_parse():
    """Into the options of their command: one that was renamed would leave a dead line."""
    import typer

    from analysis.cli import app

    group = typer.main.get_command(app)
    lines = command_lines()
    assert len(lines) > 30
    for name, *arguments in lines:
        assert group.commands[name].make_context(name, list(arguments)).params


def test_make_and_pip_install_the_same():
    """The plain pip commands of the README install what `make` installs."""
    (pip,) = re.findall(r"pip (install -c constraints\.txt -e '\.\[test\]')", README)
    assert re.sub(r"-q ", "", MAKEFILE).count(pip) == 1


def test_the_example_of_the_readme_runs():
    (example,) = code_blocks(README, "python")
    namespace: dict = {}
    exec(compile(example, "README.md", "exec"), namespace)
    kept = namespace["kept"]
    assert len(set(kept.indices.tolist())) == 64
    assert kept.sorted.tolist() == sorted(kept.indices.tolist())


def test_the_equation_index_is_current():
    assert equations.TARGET.read_text(encoding="utf-8") == equations.table(), "run `make index`"


def test_the_table_of_the_readme_is_current():
    assert equations.README.read_text(encoding="utf-8") == equations.readme(), "run `make index`"
    assert equations.core_table().count("\n") == len(equations.CORE) + 2


def test_the_list_of_claims_is_current():
    claims = load("claims")
    assert claims.TARGET.read_text(encoding="utf-8") == claims.document(), "run `make index`"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.module}.{e.name}")
def test_sources_name_an_equation_or_a_reference(entry):
    """A source points at a place in the paper, at theory.md, or at a work in references.bib."""
    known = set(re.findall(r"^@\w+\{([^,]+),", BIBLIOGRAPHY, re.MULTILINE))
    assert set(entry.bib_keys) <= known
    place = re.search(r"\b(Alg|Sec|App|Tab|Fig|Footnote|Definition)\b|docs/theory", entry.source)
    ours = f"{entry.module}.{entry.name}" in OURS
    assert entry.numbers or entry.bib_keys or place or ours, entry.source
    assert max(entry.numbers, default=1) <= 56, "the paper has no such equation"


def test_the_main_equations_are_implemented():
    """Those that Algorithm 1 and its variants are made of."""
    numbers = {number for entry in ENTRIES for number in entry.numbers}
    assert {15, 16, 17, 18, 19, 20, 21, 22, 23, 50, 52, 53} <= numbers


def test_bibliography_keys_are_unique():
    keys = re.findall(r"^@\w+\{([^,]+),", BIBLIOGRAPHY, re.MULTILINE)
    assert len(keys) == len(set(keys)) > 20
    assert BIBLIOGRAPHY.count("{") == BIBLIOGRAPHY.count("}")


def test_tests_named_in_documents_exist():
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    files = {path.name: path.read_text(encoding="utf-8") for path in python_files("tests")}
    assert set(re.findall(r"test_\w+\.py", text)) <= set(files)
    named = re.findall(r"(test_\w+\.py)::(test_\w+)", text)
    assert len(named) > 15
    assert [f"{file}::{test}" for file, test in named if f"def {test}(" not in files[file]] == []


def test_every_equation_that_is_implemented_is_tested():
    """Of the functions that carry an equation, a test names at least one."""
    rows = [line for line in equations.table().splitlines() if line.startswith("| ")][1:]
    tested = "\n".join(row for row in rows if "test_" in row.split(" | ")[-1])
    names = {e.name for e in ENTRIES if f".{e.name}`" in tested}
    lonely = {
        number
        for number in {n for e in ENTRIES for n in e.numbers}
        if not names & {e.name for e in ENTRIES if number in e.numbers}
    }
    assert lonely == set()
