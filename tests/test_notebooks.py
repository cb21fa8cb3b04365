"""Notebooks: a story with pictures, stored without output, that runs from the first cell on."""

from __future__ import annotations

import ast
import os
import re

import matplotlib.font_manager  # noqa: F401  # a kernel that lists the fonts first says so on stderr
import nbformat
import pytest
from nbclient import NotebookClient
from structure import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
IN_ORDER = ("quickstart", "which_function", "reading_a_verdict", "your_own", "your_embeddings")
FEWEST_PICTURES = 2
CPU_SECONDS = 300  # of one cell: stops a notebook that hangs
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def prose(path):
    return [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]


def test_there_are_five():
    assert [path.stem for path in NOTEBOOKS] == sorted(IN_ORDER)


@each
def test_notebook_is_stored_without_output(path):
    """Outputs would age silently; the figures that are meant to last are made by `reproduce`."""
    assert code(path)
    assert [cell.outputs for cell in code(path)] == [[]] * len(code(path))
    assert {cell.execution_count for cell in code(path)} == {None}
    assert not any(cell.get("metadata") for cell in code(path))


@each
def test_notebook_asks_a_question_first_and_answers_it_last(path):
    cells = read(path).cells
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith(f"# {IN_ORDER.index(path.stem) + 1} · ")
    assert "**Question:" in cells[0].source
    assert cells[-1].cell_type == "markdown"
    assert cells[-1].source.startswith("**Answer.**")


@each
def test_no_command_of_the_mathematics_is_a_line_break(path):
    """One backslash too many before a name makes a break and a word of it."""
    formulas = re.findall(r"\$[^$]+\$", "\n".join(prose(path)))
    assert [f for f in formulas if re.search(r"\\\\[a-zA-Z]", f)] == []


@each
def test_each_leads_to_the_next(path):
    links = re.findall(r"\]\(([^)]+)\)", "\n".join(prose(path)))
    after = IN_ORDER[IN_ORDER.index(path.stem) + 1 :][:1]
    assert links == [f"{name}.ipynb" for name in after]


def prints_only(source: str) -> bool:
    """Whether a cell does nothing but print.

    >>> prints_only("print(V)"), prints_only("x = 1" + chr(10) + "print(x)")
    (True, False)
    """
    body = ast.parse(re.sub(r"^%.*$", "", source, flags=re.M)).body
    return bool(body) and all(
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "id", "") == "print"
        for node in body
    )


@each
def test_no_cell_only_prints(path):
    assert [cell.source for cell in code(path) if prints_only(cell.source)] == []


@each
def test_code_uses_public_names_only(path):
    """What a reader copies must not break with the next version."""
    private = re.compile(r"(?:\bimport\s+_\w|\bfrom\s+[\w.]*\._\w|(?<!self)\.\b_[a-z]\w*)")
    assert [cell.source for cell in code(path) if private.search(cell.source)] == []


@each
def test_notebook_runs(path, tmp_path):
    """Whole, in order, with no cell that shows a tensor; as a reader without widgets has it."""
    notebook = read(path)
    (tmp_path / "ipywidgets.py").write_text("raise ImportError", encoding="utf-8")
    inline = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    inline["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(ROOT)])
    client = NotebookClient(
        notebook, timeout=CPU_SECONDS, resources={"metadata": {"path": str(ROOT)}}
    )
    client.execute(env=inline)  # raises CellExecutionError with the cell's traceback
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.data for output in outputs if "data" in output]
    assert sum("image/png" in data for data in shown) >= FEWEST_PICTURES
    assert [d["text/plain"] for d in shown if d.get("text/plain", "").startswith("tensor(")] == []
    warned = [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    assert warned == []


RECORD = """
import ipywidgets
sliders, drawn = [], []
original = ipywidgets.interact

def interact(draw, value):
    def recorded(value):  # ipywidgets prints what a callback raises, and goes on
        try:
            draw(value)
        except Exception as error:
            drawn.append(repr(error))
        else:
            drawn.append(value)
    sliders.append(value)
    return original(recorded, value=value)

ipywidgets.interact = interact
"""

MOVE = """
for slider in sliders:
    slider.value = slider.min
    slider.value = slider.max
wanted = [v for s, start in zip(sliders, (0.5, 0.0)) for v in (start, s.min, s.max)]
assert sorted(map(str, drawn)) == sorted(map(str, wanted)), drawn
"""


def test_sliders_draw_where_they_start_and_at_both_ends():
    """As a reader with widgets has it: from λ = 0 to 1, and for an empty set of any value."""
    notebook = read(ROOT / "notebooks" / "which_function.ipynb")
    notebook.cells.insert(0, nbformat.v4.new_code_cell(RECORD))
    notebook.cells.append(nbformat.v4.new_code_cell(MOVE))
    inline = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    inline["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    client = NotebookClient(
        notebook, timeout=CPU_SECONDS, resources={"metadata": {"path": str(ROOT)}}
    )
    client.execute(env=inline)
    views = [o for cell in notebook.cells for o in cell.get("outputs", []) if "data" in o]
    kind = "application/vnd.jupyter.widget-view+json"
    assert sum(kind in view.data for view in views) == 2
