"""The documentation site: pages that are found, examples that run, nothing left out."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from importlib import import_module
from pathlib import PurePosixPath

import pytest
from structure import ROOT
from test_documents import code_blocks, load

from analysis.claims import CLAIMS
from mitheory import SELECTORS
from mitheory.errors import MissingInputError
from paper_figures.registry import FIGURES
from paper_figures.results import load as load_results

DOCS = ROOT / "docs"
MADE = ("gallery", "reference", "notebooks")  # when the site is built
HOW_TO = sorted(p for p in (DOCS / "how_to").glob("*.md") if p.stem != "index")
WITH_CODE = [DOCS / "index.md", *HOW_TO, *sorted((DOCS / "start").glob("*.md"))]
EXAMPLES = [p for p in WITH_CODE if "```python" in p.read_text(encoding="utf-8")]
OF_A_HOW_TO = {
    "prior", "score", "selector", "estimator", "claim", "model", "dataset", "dask", "slurm",
    "gpu_embeddings",
}  # fmt: skip
LONGEST = 29
IN_A_FILE = {"dask"}  # its worker processes import it

sys.path.insert(0, str(DOCS))  # its scripts import one another
gallery, guides, ledger = load("gallery"), load("guides"), load("ledger")
links, reference = load("links"), load("reference")


def pages() -> set[str]:
    """Documents by name: those in the repository, and those made when the site is built."""
    found = {p.relative_to(DOCS).with_suffix("").as_posix() for p in DOCS.rglob("*.md")}
    kept = {name for name in found if name.split("/")[0] not in {*MADE, "_build", "results"}}
    kept |= {"guides", "theory/ledger"}
    kept |= {f"reference/{name}" for name in reference.pages()}
    kept |= {f"notebooks/{p.stem}" for p in (ROOT / "notebooks").glob("*.ipynb")}
    return kept | {f"gallery/{name}" for name in ("index", *FIGURES, *gallery.OTHERS)}


def toctrees(name: str) -> list[str]:
    """Names, or patterns, in the toctrees of a page."""
    folder = PurePosixPath(name).parent
    if name == "reference/index":
        text = reference.pages()["index"]
    elif name == "guides":
        text = guides.document()
    elif name == "gallery/index":
        text = gallery.hidden_toctree([*FIGURES, *gallery.OTHERS])
    elif name.split("/")[0] in MADE or name == "theory/ledger":
        return []
    else:
        text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL)
    entries = [line.strip() for block in blocks for line in block.splitlines()]
    wanted = [e for e in entries if e and not e.startswith(":")]
    return [os.path.normpath(e[1:] if e.startswith("/") else folder / e) for e in wanted]


def reached_from(name: str, known: set[str]) -> set[str]:
    """Pages in the toctrees below a page, and the page."""
    reached, ahead = set(), {name}
    while ahead:
        here = ahead.pop()
        reached.add(here)
        named = toctrees(here)
        missing = [n for n in named if "*" not in n and n not in known]
        assert missing == [], f"in the toctree of {here}"
        ahead |= {page for page in known if any(fnmatch(page, n) for n in named)} - reached
    return reached


def test_every_page_is_reached_from_the_index():
    known = pages()
    assert known - reached_from("index", known) == set()


def test_a_page_in_no_toctree_is_noticed():
    known = pages() | {"forgotten"}
    assert known - reached_from("index", known) == {"forgotten"}


@pytest.mark.slow
def test_the_site_builds_without_a_warning_or_a_broken_link(tmp_path):
    """As `make docs` does, which CI runs on every push; here where what it needs is installed."""
    for name in ("furo", "myst_nb", "sphinx_copybutton", "sphinx_design"):
        pytest.importorskip(name)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(DOCS)]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "external_links.txt").is_file(), "links were not looked at"


def test_the_slow_build_does_what_make_does():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "sphinx-build -q -W --keep-going docs docs/_build/html\n" in makefile


# --- examples ---------------------------------------------------------------------------------


def test_there_is_a_how_to_for_everything_that_can_be_added():
    assert {p.stem for p in HOW_TO} == OF_A_HOW_TO


@pytest.mark.parametrize("page", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_is_short_and_checks_itself(page):
    blocks = code_blocks(page.read_text(encoding="utf-8"), "python")
    assert max(len(block.splitlines()) for block in blocks) <= LONGEST
    assert "assert " in blocks[-1] or page.stem in ("index", "score")


def run(folder, script, *arguments):
    (folder / "example.py").write_text(script, encoding="utf-8")
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-W", "error", "example.py", *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


ALL_OF_THEM = """
import json, os, pathlib, sys, traceback

failed = {}
for name, code in json.loads(pathlib.Path(sys.argv[1]).read_text()).items():
    os.makedirs(name)
    os.chdir(name)
    try:
        exec(compile(code, name, "exec"), {"__name__": name})
    except Exception:
        failed[name] = traceback.format_exc()
    os.chdir("..")
pathlib.Path("failed.json").write_text(json.dumps(failed))
"""


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """Page -> traceback: all examples in one process, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("examples")
    code = {p.stem: python_of(p) for p in EXAMPLES if p.stem not in IN_A_FILE}
    (folder / "code.json").write_text(json.dumps(code), encoding="utf-8")
    done = run(folder, ALL_OF_THEM, "code.json")
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "failed.json").read_text(encoding="utf-8"))


def python_of(page):
    return "\n\n".join(code_blocks(page.read_text(encoding="utf-8"), "python"))


@pytest.mark.parametrize("page", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_runs(page, failed, tmp_path):
    if page.stem in IN_A_FILE:
        done = run(tmp_path, python_of(page))
        assert done.returncode == 0, done.stderr
    assert failed.get(page.stem, "") == ""


# --- theory -----------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", CLAIMS)
def test_every_claim_is_argued_in_the_theory_with_its_verdict(claim):
    title, page = ledger.homes()[claim]
    text = (DOCS / "theory" / page).read_text(encoding="utf-8")
    assert title
    assert f"{{{{ {claim} }}}}" in text
    assert "**" in ledger.substitutions()[claim]


def test_the_ledger_says_what_the_audit_said():
    audit = json.loads(ledger.VERDICTS.read_text(encoding="utf-8"))
    text = ledger.document(audit)
    rows = [line for line in text.splitlines() if line.startswith("| [")]
    said = {re.search(r"claims\.md#(\w+)", row)[1]: row for row in rows}
    assert set(said) == {record["claim"] for record in audit["verdicts"]} == set(CLAIMS)
    for record in audit["verdicts"]:
        assert f"**{record['decision']}**" in said[record["claim"]]


def test_totals_of_one_set_in_two_orders():
    """The worked example of theory/greedy.md."""
    pmi = {(1, 2): 2, (1, 3): 1, (2, 3): 0}

    def charged(order):
        pairs = [[pmi[tuple(sorted((i, j)))] for j in order[:n]] for n, i in enumerate(order)]
        return sum(max(pair) for pair in pairs if pair)

    assert (charged([1, 2, 3]), charged([2, 3, 1])) == (3, 2)


# --- gallery ----------------------------------------------------------------------------------


def figure(name, **changes):
    spec = FIGURES[name]
    return gallery.Rendered(spec, caption="a_b", state="fresh", **changes)


def test_the_gallery_shows_every_figure():
    rendered = [figure(name) for name in FIGURES]
    made = gallery.pages(rendered, load_results(gallery.RESULTS))
    assert set(made) == {"index", *FIGURES, *gallery.OTHERS}
    for name, spec in FIGURES.items():
        assert f":link: {name}\n" in made["index"]
        assert all(f"{number}" in made["index"] for number in spec.ids)
        assert f"figures/{name}.png" in made[name]
        assert f"literalinclude}} ../../paper_figures/{name}.py" in made[name]


def test_a_figure_that_cannot_be_drawn_says_why_and_shows_no_picture():
    page = gallery.figure_page(figure("tab8", reason="no such budget"))
    assert "no such budget" in page
    assert ".png" not in page


def test_pictures_outside_of_a_run_are_there():
    for name, other in gallery.OTHERS.items():
        assert (DOCS / "images" / f"{name}.png").is_file()
        assert (ROOT / other.code).is_file()
        assert (DOCS / f"{other.page}.md").is_file()


@pytest.mark.slow
def test_the_result_files_draw_every_figure(tmp_path):
    gallery.write(tmp_path)
    assert {p.stem for p in (tmp_path / "gallery").glob("*.md")} == {
        "index", *FIGURES, *gallery.OTHERS,
    }  # fmt: skip


def test_every_figure_has_its_tables():
    """Where this fails a study has other tables now: `docs/gallery.py` says how to renew them."""
    results = load_results(gallery.RESULTS)
    missing = {}
    for name, spec in FIGURES.items():
        try:
            assert len(spec.data(results))
        except MissingInputError as error:
            missing[name] = str(error)
    assert missing == {}


def test_tables_of_a_run_take_the_place_of_those_that_were_there(tmp_path):
    run, target = tmp_path / "run", tmp_path / "results"
    for name in (*gallery.ALWAYS_READ, "audit/verdicts.json", "studies/new.parquet"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name, encoding="utf-8")
    (run / "studies" / "work").mkdir()
    (target / "studies").mkdir(parents=True)
    (target / "studies" / "old.parquet").touch()
    gallery.bring(run, target)
    there = {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()}
    assert there == {*gallery.ALWAYS_READ, "audit/verdicts.json", "studies/new.parquet"}
    (run / "run.json").unlink()
    with pytest.raises(FileNotFoundError):
        gallery.bring(run, target)
    assert (target / "run.json").read_text(encoding="utf-8") == "run.json"


def test_the_site_adds_little_to_the_repository():
    size = sum(p.stat().st_size for p in (DOCS / "results").rglob("*") if p.is_file())
    assert size < 6e6  # the tables of a whole run are 4.7 MB


# --- links ------------------------------------------------------------------------------------


def site(tmp_path, **pages):
    for name, text in pages.items():
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
    return list(links.problems(links.read(tmp_path)))


def test_links_that_lead_somewhere(tmp_path):
    a = '<a href="b.html#there"></a><a href="#here"></a><p id="here"></p><a href="https://x.org">'
    assert site(tmp_path, a=a, b='<p id="there"></p><link rel="next" href="a.html">') == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('<a href="c.html">', "no such file"),
        ('<a href="#nowhere">', "no #nowhere there"),
        ('<img src="picture.png">', "no such file"),
        ('<a href="file:///home/me/audit/index.html">', "a file of the machine that built it"),
        ('<script src="https://cdn.org/x.js"></script>', "loads https://cdn.org/x.js"),
        ('<link rel="stylesheet" href="//fonts.org/x.css">', "loads //fonts.org/x.css"),
    ],
)
def test_links_that_do_not(tmp_path, text, why):
    (problem,) = site(tmp_path, a=text)
    assert why in problem


def test_a_page_of_source_leads_back_to_the_place(tmp_path):
    (tmp_path / "_modules").mkdir()
    back = '<a href="../b.html#mitheory.plot.score_map"></a>'
    place = '<dt id="mitheory.plot.score_map"></dt>'
    assert site(tmp_path, b=place, **{"_modules/a": back}) == []
    assert len(site(tmp_path, b="", **{"_modules/a": back})) == 1


# --- reference --------------------------------------------------------------------------------


def test_the_reference_has_every_public_module():
    files = {p.relative_to(ROOT) for p in (ROOT / "mitheory").glob("*.py")}
    packages = {p.parent.relative_to(ROOT) for p in (ROOT / "mitheory").glob("*/__init__.py")}
    public = {p.with_suffix("").name for p in files | packages} - {"__init__", "models"}
    listed = {name.removeprefix("mitheory.") for name in reference.modules()}
    assert public - listed == reference.INTERNAL


@pytest.mark.parametrize("name", reference.modules())
def test_what_a_module_offers_is_found_in_it(name):
    """By `dir`, which completion and the reference read: names that are imported on use too."""
    module = import_module(name)
    offered = getattr(module, "__all__", ())
    assert set(offered) <= set(dir(module))
    assert all(hasattr(module, each) for each in offered)
    with pytest.raises(AttributeError):
        module.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", reference.modules())
def test_every_function_of_the_reference_has_an_example(name):
    """It runs with the tests of its module, so that it is true."""
    module = import_module(name)
    own = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == name]
    offered = getattr(module, "__all__", [key for key in own if not key.startswith("_")])
    functions = {key: getattr(module, key) for key in offered}
    assert [
        key
        for key, value in functions.items()
        if inspect.isfunction(value) and ">>>" not in (value.__doc__ or "")
    ] == []


# --- methods ----------------------------------------------------------------------------------


def test_the_index_of_methods_has_all_with_what_they_need():
    text = (DOCS / "methods" / "index.md").read_text(encoding="utf-8")
    rows = [row.split(" | ") for row in re.findall(r"^\| (\[`.+) \|$", text, re.MULTILINE)]
    needs = {re.match(r"\[`(\w+)`\]\(\1\.md\)", row[0])[1]: row[2] for row in rows}
    assert len(rows) == len(needs)
    assert {n: tuple(re.findall(r"`(\w+)`", cell)) for n, cell in needs.items()} == {
        name: method.requires for name, method in SELECTORS.items()
    }
