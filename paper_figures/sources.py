"""Which source files a figure is drawn by: its module, and all of ours that it imports."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("paper_figures", "analysis", "mitheory")
LIBRARIES = ("matplotlib", "numpy", "pandas")


@cache
def code_digest(module: str) -> str:
    """Hash of a module, of what it imports from our packages, and of the libraries that draw.

    A package stands for its ``__init__`` and the tables in its folder.

    Examples
    --------
    >>> code_digest("paper_figures.pope") == code_digest("paper_figures.kept_patches")
    False
    """
    digest = hashlib.sha256(" ".join(f"{name}={version(name)}" for name in LIBRARIES).encode())
    for path in source_files(module):
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:20]


def source_files(module: str) -> list[Path]:
    """The files behind `code_digest`, sorted.

    Examples
    --------
    >>> names = [path.name for path in source_files("paper_figures.pope")]
    >>> "pope.py" in names, "style.py" in names, "temperature.py" in names
    (True, True, False)
    """
    found: dict[str, list[Path]] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and (files := _files(name)):
            found[name] = files
            waiting += _imports(name, files[0])
    return sorted({path for files in found.values() for path in files})


def _files(module: str) -> list[Path]:
    """Of a module its file, of a package its ``__init__`` first, none of anything else."""
    if module.partition(".")[0] not in PACKAGES:
        return []
    path = ROOT.joinpath(*module.split("."))
    if path.with_suffix(".py").is_file():
        return [path.with_suffix(".py")]
    first = path / "__init__.py"
    return [first, *sorted(path.glob("*.csv"))] if first.is_file() else []


def _imports(module: str, path: Path) -> list[str]:
    """Names that could be modules: of ``from a import b`` both ``a`` and ``a.b``."""
    names = []
    parents = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names += [stem, *(f"{stem}.{alias.name}" for alias in node.names)]
    return [name for name in names if name not in PACKAGES]
