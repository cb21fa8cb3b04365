"""Sphinx settings (`make docs`)."""

import re
import tomllib
from pathlib import Path

_project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]

project = _project["name"]
release = _project["version"]
copyright = "the mitheory authors"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["dollarmath"]
exclude_patterns = ["_build"]
html_theme = "furo"
autodoc_typehints = "none"  # shapes and units stand in the docstrings
autodoc_member_order = "bysource"
suppress_warnings = [
    "myst.xref_missing",  # links into the source tree work on the repository page
    "ref.python",  # several records have a field called n
]


def escape_bars(app, what, name, obj, options, lines):
    """Cardinalities: reStructuredText would take |S| for a substitution."""
    lines[:] = [re.sub(r"\|(\w)\|", r"\|\1\|", line) for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", escape_bars)
