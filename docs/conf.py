"""Sphinx settings (`make docs`)."""

import logging
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

from sphinx import addnodes

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import gallery  # noqa: E402
import guides  # noqa: E402
import ledger  # noqa: E402
import links  # noqa: E402
import reference  # noqa: E402

CLASS = re.compile(r"[A-Z]\w+")
_project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]

project = _project["name"]
release = _project["version"]
copyright = "the mitheory authors"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx-mathjax-offline",
]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "substitution"]
myst_substitutions = ledger.substitutions()  # {{ claim }}: its verdict
myst_heading_anchors = 3
exclude_patterns = ["_build", "_templates", "results"]
html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
autodoc_typehints = "none"  # shapes and units stand in the docstrings
autodoc_member_order = "bysource"
autodoc_default_options = {"no-value": True}  # of a table the name, not all that is in it
default_role = "code"  # single backticks in docstrings are code
napoleon_use_param = False  # types are prose, "(n, d) tensor", not the names of classes
napoleon_use_ivar = False
for _chatty in ("fontTools", "traitlets"):
    logging.getLogger(_chatty).setLevel(logging.WARNING)
nitpicky = True
nitpick_ignore_regex = [
    ("py:class", r"(torch|collections|typing|pathlib|numpy|pandas|matplotlib)\..*")
]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# Notebooks are stored without output and run when they are read.
# Kernels of the notebooks find docs/_kernel first.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(HERE / "_kernel"), *filter(None, [os.environ.get("PYTHONPATH")])]
)
nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_in_temp = True


def escape_bars(app, what, name, obj, options, lines):
    """Cardinalities: reStructuredText would take |S| for a substitution."""
    lines[:] = [re.sub(r"\|(\w)\|", r"\|\1\|", line) for line in lines]


def types_are_prose(app, doctree):
    """Of the words in the types of docstrings only names of classes are looked up."""
    for node in list(doctree.findall(addnodes.pending_xref)):
        if node.get("refspecific") and not CLASS.fullmatch(node["reftarget"]):
            node.replace_self(node.children)


def no_such_class(app, env, node, contnode):
    """A class in the type of a docstring that is none of ours stays as it is written."""
    return contnode if node.get("refspecific") and node["refdomain"] == "py" else None


def one_file_of_mathjax(app, config):
    """SVG output: one script, no fonts to load, the same look everywhere and without a network."""
    config.mathjax_path = "mathjax/tex-svg.js"


def write_pages(app):
    """Pages made from the code and from result files, before Sphinx looks for pages."""
    reference.write(HERE)
    ledger.write(HERE)
    guides.write(HERE)
    gallery.write(HERE)
    (HERE / "notebooks").mkdir(exist_ok=True)
    for path in (HERE.parent / "notebooks").glob("*.ipynb"):
        shutil.copy2(path, HERE / "notebooks")  # with its time: what is unchanged is not run again


def forget_source_pages(app):
    """Pages of source lead back to where a name is documented, which may have changed since."""
    shutil.rmtree(Path(app.outdir) / "_modules", ignore_errors=True)


def setup(app):
    app.connect("config-inited", one_file_of_mathjax)
    app.connect("builder-inited", write_pages)
    app.connect("builder-inited", forget_source_pages)
    app.connect("autodoc-process-docstring", escape_bars)
    app.connect("doctree-read", types_are_prose)
    app.connect("missing-reference", no_such_class)
    app.connect("build-finished", links.after_build, priority=900)  # when the theme is done too
