"""The reference: a page per public module, from the list of modules, so that none is forgotten.

`make docs` writes docs/reference/, which is not kept in the repository.
"""

from __future__ import annotations

import ast
from pathlib import Path

from writing import hidden_toctree, plain, table

from mitheory.io import atomic_write_text

ROOT = Path(__file__).resolve().parent.parent
FLOW = (
    "distributions", "priors", "pmi", "aggregation", "properties", "scores", "setfunctions",
    "selection", "budgets",
)  # fmt: skip
INTERNAL = {"checks", "faces", "names", "notebook"}  # of use to nobody outside
ANALYSIS = ("analysis", "analysis.claims", "analysis.ablation", "analysis.datasets")
INDEX = """\
# Reference

Every public module, in the order of the data flow: the theory first, then what stands beside it.
`import mitheory` brings the names of the first row; a module is imported when it is asked for.
Logarithms are natural throughout; a leading `...` in a shape stands for any number of batch axes.

"""


def write(folder: Path) -> None:
    """Write the pages below `folder`/reference."""
    for name, text in pages().items():
        path = folder / "reference" / f"{name}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            atomic_write_text(path, text)


def pages() -> dict[str, str]:
    """Name -> text of every page.

    >>> "mitheory.pmi" in pages() and "mitheory.checks" not in pages()
    True
    """
    names = modules()
    rows = [[f"[`{name}`]({name}.md)", _first_line(name)] for name in names]
    index = INDEX + table(["module", "what it holds"], rows) + "\n" + hidden_toctree(names)
    return {"index": index, **{name: _page(name) for name in names}}


def modules() -> list[str]:
    """Public modules: `mitheory`, its parts in the order of the flow, the others, the models.

    >>> modules()[:3]
    ['mitheory', 'mitheory.distributions', 'mitheory.priors']
    """
    found = _children(ROOT / "mitheory") - INTERNAL - {"models"}
    parts = [*FLOW, *sorted(found - set(FLOW))]
    models = sorted(_children(ROOT / "mitheory" / "models"))
    return [
        "mitheory",
        *(f"mitheory.{name}" for name in parts),
        *(f"mitheory.models.{name}" for name in models),
        *ANALYSIS,
    ]


def _children(package: Path) -> set[str]:
    files = [p for p in package.glob("*.py") if not p.stem.startswith("_")]
    return {p.stem for p in files} | {p.parent.name for p in package.glob("*/__init__.py")}


def _first_line(name: str) -> str:
    path = ROOT.joinpath(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return plain(doc.split("\n\n")[0])


def _page(name: str) -> str:
    members = "   :no-members:" if name == "mitheory" else "   :members:"
    members += "\n   :exclude-members: ablate" * (name == "analysis")  # of a page of its own
    return f"# {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n{members}\n```\n"
