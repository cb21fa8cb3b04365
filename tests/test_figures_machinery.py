"""What is drawn again and what is not, by which names, and without torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
from figure_results import make_results, write_run
from structure import ROOT

from mitheory.errors import UnknownNameError
from paper_figures import __main__ as command
from paper_figures import sources
from paper_figures.registry import FIGURES, PAPER
from paper_figures.render import render_all
from paper_figures.results import Results

ONE = {"temperature": FIGURES["temperature"]}
PAPER_ORDER = (
    "fig1", "fig3", "tab1", "fig4", "tab2", "fig5", "tab3", "tab4", "fig6a", "fig6b", "tab5",
    "tab6", "tab7", "tab8", "tab9", "fig7", "tab10", "tab11",
)  # fmt: skip


@pytest.fixture
def run(tmp_path):
    quick = make_results(6, budgets=(36, 8), families=("method", "temperature"))
    return write_run(tmp_path / "run", quick)


def states(run, **options) -> dict[str, str]:
    return {f.spec.name: f.state for f in render_all(run, **options)}


# --- without torch ----------------------------------------------------------------------------


def test_everything_that_draws_is_imported_without_torch():
    modules = sorted(f"paper_figures.{p.stem}" for p in (ROOT / "paper_figures").glob("[!_]*.py"))
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r} + ['paper_figures.__main__']: importlib.import_module(name)\n"
        "print('torch' in sys.modules, len(sys.modules) > 100)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_figures_are_drawn_without_torch(run):
    code = (
        "import sys; from paper_figures.__main__ import main\n"
        f"status = main(['temperature', 'fig1', '--results', {str(run)!r}])\n"
        "print('torch' in sys.modules); raise SystemExit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "kept_patches: drawn: not drawn before",
        "temperature: drawn: not drawn before",
        "False",
    ]


# --- what is out of date ----------------------------------------------------------------------


def test_what_is_up_to_date_is_not_drawn_again(run):
    first = states(run, figures=ONE)
    picture = run / "figures" / "temperature.png"
    before = picture.stat().st_mtime_ns, (run / "index.html").read_bytes()
    assert first == {"temperature": "drawn: not drawn before"}
    assert states(run, figures=ONE) == {"temperature": "fresh"}
    assert (picture.stat().st_mtime_ns, (run / "index.html").read_bytes()) == before
    assert states(run, figures=ONE, force=True) == {"temperature": "drawn: asked for"}
    assert picture.stat().st_mtime_ns > before[0]


def test_a_changed_result_is_named_and_drawn_again(run):
    states(run, figures=ONE)
    table = pd.read_parquet(run / "results.parquet")
    is_ours = (table["family"] == "temperature") & (table["budget"] == 8)
    table.loc[is_ours, "correct"] = ~table.loc[is_ours, "correct"]
    table.to_parquet(run / "results.parquet")
    old = (run / "figures" / "temperature.csv").read_bytes()
    assert states(run, figures=ONE) == {"temperature": "drawn: results.parquet changed"}
    assert (run / "figures" / "temperature.csv").read_bytes() != old


@pytest.mark.parametrize("kind", ["png", "pdf", "csv"])
def test_a_picture_that_is_gone_or_altered_is_drawn_again(run, kind):
    states(run, figures=ONE)
    path = run / "figures" / f"temperature.{kind}"
    drawn = path.read_bytes()
    for harm in (path.unlink, lambda: path.write_bytes(drawn[:-1])):
        harm()
        said = states(run, figures=ONE)["temperature"]
        assert said == f"drawn: temperature.{kind} missing or not as drawn"
        assert path.read_bytes() == drawn


def test_changed_code_is_named_and_drawn_again(run, monkeypatch):
    states(run, figures=ONE)
    monkeypatch.setattr("paper_figures.stamps.code_digest", lambda module: f"another {module}")
    assert states(run, figures=ONE) == {"temperature": "drawn: its code has changed"}


def test_only_the_figures_that_read_a_study_are_stale_when_it_changes(run):
    def reads_study(results: Results) -> pd.DataFrame:
        results.study("probe")
        return FIGURES["temperature"].data(results)

    figures = {**ONE, "x": replace(ONE["temperature"], name="x", data=reads_study)}
    (run / "studies").mkdir(exist_ok=True)
    pd.DataFrame({"a": [1]}).to_parquet(run / "studies" / "probe.parquet")
    states(run, figures=figures)
    pd.DataFrame({"a": [2]}).to_parquet(run / "studies" / "probe.parquet")
    assert states(run, figures=figures) == {
        "temperature": "fresh",
        "x": "drawn: studies/probe.parquet changed",
    }


def test_a_file_that_appears_makes_stale_what_looked_for_it(run):
    def looks(results: Results) -> pd.DataFrame:
        results.file("audit/more.json")
        return FIGURES["temperature"].data(results)

    figures = {"temperature": replace(ONE["temperature"], data=looks)}
    states(run, figures=figures)
    (run / "audit").mkdir(exist_ok=True)
    (run / "audit" / "more.json").write_text("{}")
    stale = states(run, figures=figures, only=[])
    assert stale == {"temperature": "stale, not asked for: audit/more.json changed"}


def test_what_is_not_asked_for_is_left_and_named(run):
    figures = {name: FIGURES[name] for name in ("temperature", "kept_patches", "pope")}
    states(run, figures=figures, only=["temperature", "kept_patches"])
    table = pd.read_parquet(run / "kept.parquet")
    table.iloc[::-1].to_parquet(run / "kept.parquet")
    picture = (run / "figures" / "temperature.png").stat().st_mtime_ns
    assert states(run, figures=figures, only=["kept_patches"]) == {
        "temperature": "stale, not asked for: kept.parquet changed",
        "kept_patches": "drawn: kept.parquet changed",
        "pope": "not drawn yet",
    }
    assert (run / "figures" / "temperature.png").stat().st_mtime_ns == picture
    text = (run / "index.html").read_text(encoding="utf-8")
    assert '<section id="temperature">' in text
    assert "stale, not asked for" in text
    assert "not drawn yet" in text


def test_a_figure_that_fails_leaves_no_stamp_that_calls_it_fresh(run):
    states(run, figures=ONE)

    def broken(table, scenes):
        raise KeyError("bug")

    figures = {"temperature": replace(ONE["temperature"], draw=broken)}
    with pytest.raises(KeyError):
        states(run, figures=figures, force=True)
    assert states(run, figures=ONE)["temperature"] == "drawn: not drawn before"


def test_code_is_hashed_as_far_as_it_is_imported(tmp_path, monkeypatch):
    package = tmp_path / "paper_figures"
    package.mkdir()
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").write_text("")
    (tmp_path / "analysis" / "style.py").write_text("A = 1")
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from . import b\nfrom analysis.style import A")
    (package / "b.py").write_text("")
    (package / "c.py").write_text("")
    monkeypatch.setattr(sources, "ROOT", tmp_path)

    def digest() -> str:
        sources.code_digest.cache_clear()
        return sources.code_digest("paper_figures.a")

    try:
        seen = [digest()]
        (package / "c.py").write_text("changed")
        assert digest() == seen[0]
        for path in (package / "b.py", tmp_path / "analysis" / "style.py", package / "a.py"):
            path.write_text(path.read_text() + "\n# changed")
            assert digest() not in seen
            seen.append(digest())
    finally:
        sources.code_digest.cache_clear()


# --- names ------------------------------------------------------------------------------------


def test_figures_of_the_paper_stand_in_its_order_and_no_two_are_the_same():
    ids = [number for module in PAPER for number in module.FIGURE.ids]
    assert len(set(ids)) == len(ids)
    first = [PAPER_ORDER.index(module.FIGURE.ids[0]) for module in PAPER]
    assert first == sorted(first)
    assert all(set(module.FIGURE.ids) <= set(PAPER_ORDER) for module in PAPER)
    ours = [spec for spec in FIGURES.values() if spec not in [m.FIGURE for m in PAPER]]
    assert all(spec.ids == () for spec in ours)


def test_a_number_of_the_paper_is_a_name_and_others_are_refused(run, capsys):
    assert command.main(["fig6a", "temperature", "--results", str(run)]) == 0
    said = [line.split(": ")[0] for line in capsys.readouterr().out.splitlines()]
    assert said == ["aggregation", "temperature"]
    with pytest.raises(UnknownNameError, match="did you mean 'fig4'"):
        command.names_of(["fig44"])
    assert command.main(["fig44", "--results", str(run)]) == 2
    assert "unknown figure" in capsys.readouterr().err


def test_the_list_names_every_figure(capsys):
    assert command.main(["--list"]) == 0
    said = capsys.readouterr().out
    for name, spec in FIGURES.items():
        assert f"{name}: {spec.title}" in said
