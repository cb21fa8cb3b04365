"""Drawing, files and the page."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from figure_results import make_results, write_run

from mitheory.errors import MissingInputError, NonFiniteError
from paper_figures import __main__ as command
from paper_figures import accuracy_budget, labels, style
from paper_figures.registry import FIGURES
from paper_figures.render import render_all
from paper_figures.results import Results, Scene, load
from paper_figures.style import theme

COUNTS_ONLY = {"table_main", "verdict_overview"}  # captions without estimates
QUICK = {"budgets": (36, 8), "families": ("temperature",)}


@pytest.fixture(scope="module")
def results() -> Results:
    return make_results(20)


@pytest.fixture(scope="module")
def run(tmp_path_factory, results):
    return write_run(tmp_path_factory.mktemp("run"), results)


@pytest.fixture(scope="module")
def rendered(run):
    return render_all(run)


class Page(HTMLParser):
    """Links, ids, unclosed tags and text of a page."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.targets += [given[name] for name in ("href", "src") if name in given]
        self.ids += [given["id"]] if "id" in given else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> closes nothing")

    def handle_data(self, data):
        self.words.append(data)


# --- figures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIGURES)
def test_figures_leave_no_global_state(results, name):
    before = dict(mpl.rcParams)
    spec = FIGURES[name]
    with theme():
        figure = spec.draw(spec.data(results), results.scenes)
        figure.canvas.draw()
    assert dict(mpl.rcParams) == before
    assert "matplotlib.pyplot" not in type(figure).__module__
    assert figure.get_figwidth() == style.PAGE
    assert figure.get_figheight() < 9.3  # a page of a paper, less its caption


def test_every_estimate_and_interval_is_drawn_where_it_is(results):
    table = accuracy_budget.data(results)
    with theme():
        figure = accuracy_budget.draw(table)
    ax = figure.axes[0]
    drawn = np.concatenate([line.get_ydata() for line in ax.lines])
    ends = np.concatenate(
        [
            np.concatenate(c.get_segments())[:, 1]
            for c in ax.collections
            if hasattr(c, "get_segments")
        ]
    )
    for key in ("mi_pruner", "similarity:mean", "oracle"):
        rows = table[table["series"] == key]
        for column, values in (("estimate", drawn), ("low", ends), ("high", ends)):
            for value in rows[column]:
                assert np.isclose(values, 100 * value).any(), (key, column)
    low, high = ax.get_ylim()
    shown = table[table["series"] != "random"]
    assert low < 100 * shown["low"].min()
    assert high > 100 * shown["high"].max()
    assert figure.axes[1].get_ylim() == (low, high)


def test_panels_of_one_difference_have_one_scale(results):
    for name in ("temperature", "normalization"):
        spec = FIGURES[name]
        with theme():
            axes = spec.draw(spec.data(results), results.scenes).axes
        spans = [np.ptp(ax.get_ylim()) for ax in axes]
        assert spans[0] == pytest.approx(spans[1])
        assert spans[2] == pytest.approx(spans[3])


def test_no_two_methods_look_the_same():
    looks = [look for key, look in style.METHODS.items() if key != "similarity"]
    assert len({(look.color, look.marker) for look in looks}) == len(looks)
    assert len({look.marker for look in looks}) == len(looks)
    assert style.METHODS["similarity"] == style.METHODS["similarity:max"]


@pytest.mark.parametrize("name", FIGURES)
def test_captions_take_their_numbers_from_the_table(results, name):
    spec = FIGURES[name]
    table = spec.data(results)
    text = spec.caption(table)
    if "estimate" not in table:
        if name == "kept_patches":
            right = table.groupby("label")["correct"].sum()
            assert f"MI-Pruner {right['MI-Pruner']}" in text
        assert re.search(r"\d", text)  # tables and matrices: their own tests
        return
    columns = ("estimate", "low", "high")
    known = {labels.points(v, sign=s) for c in columns for v in table[c] for s in (False, True)}
    numbers = re.findall(r"[+−]?\d+\.\d(?=%|, |\])", text)
    assert numbers or name in COUNTS_ONLY
    assert [n for n in numbers if n not in known] == []
    moved = table.assign(**{c: table[c] * 0.5 for c in columns})
    assert spec.caption(moved) != text or name in COUNTS_ONLY


# --- files ------------------------------------------------------------------------------------


def test_every_figure_comes_as_png_pdf_and_csv(run, rendered):
    assert [figure.spec.name for figure in rendered] == list(FIGURES)
    for figure in rendered:
        assert figure.is_drawn, figure.reason
        stem = run / "figures" / figure.spec.name
        assert stem.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
        assert stem.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        assert stem.with_suffix(".tex").is_file() is bool(figure.spec.latex)
        again = pd.read_csv(stem.with_suffix(".csv"), keep_default_na=False)
        assert list(again.columns) == list(figure.table.columns)
        assert len(again) == len(figure.table)


def test_the_same_tables_give_the_same_bytes(run, rendered, tmp_path):
    render_all(run, tmp_path, figures={"normalization": FIGURES["normalization"]})
    for path in sorted((tmp_path / "figures").glob("*.p*")):
        assert path.read_bytes() == (run / "figures" / path.name).read_bytes(), path.name


def test_missing_families_are_listed_with_their_reason(tmp_path):
    quick = make_results(12, **QUICK)
    folder = write_run(tmp_path / "quick", replace(quick, kept=None))
    stale = folder / "figures" / "pope.png"
    stale.parent.mkdir()
    stale.write_bytes(b"of an earlier run")
    found = {figure.spec.name: figure for figure in render_all(folder)}
    drawn = {name for name, figure in found.items() if figure.is_drawn}
    assert drawn == {"temperature", "tab5"}
    assert not stale.exists()
    text = (folder / "index.html").read_text(encoding="utf-8")
    for name in set(FIGURES) - drawn:
        assert f"<strong>{found[name].spec.title}</strong>" in text
        assert f'<section id="{name}">' not in text
    assert "no rows of family &#x27;aggregation&#x27;" in text
    assert "no pruning method, only all tokens" in text


def test_what_is_refused_is_listed_and_the_rest_drawn(run, tmp_path):
    def refusing(results: Results) -> pd.DataFrame:
        raise NonFiniteError("F1 must exist")

    figures = {"x": replace(FIGURES["pope"], name="x", data=refusing)}
    [figure] = render_all(run, tmp_path, figures=figures)
    assert (figure.is_drawn, figure.reason) == (False, "F1 must exist")
    assert "F1 must exist" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_a_bug_is_not_taken_for_a_missing_input(run, tmp_path):
    def broken(results: Results) -> pd.DataFrame:
        raise KeyError("bug")

    with pytest.raises(KeyError, match="bug"):
        render_all(run, tmp_path, figures={"x": replace(FIGURES["pope"], data=broken)})
    assert not (tmp_path / "index.html").exists()


def test_a_run_is_read_as_it_was_written(run, results):
    again = load(run)
    one, other = (t.astype(object).where(t.notna(), None) for t in (again.table, results.table))
    pd.testing.assert_frame_equal(one, other)
    assert set(again.scenes) == set(results.scenes)
    for name, scene in again.scenes.items():
        np.testing.assert_array_equal(scene.image, results.scenes[name].image)
        assert (scene.question, scene.grid) == (results.scenes[name].question, (12, 12))


# --- page -------------------------------------------------------------------------------------


def test_every_link_of_the_page_leads_somewhere(run, rendered):
    page = Page((run / "index.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    for target in page.targets:
        if target.startswith("#"):
            assert target[1:] in page.ids
        else:
            assert (run / target.split("#")[0]).is_file(), target
    kinds = {f"figures/{n}.{kind}" for n, spec in FIGURES.items() for kind in spec.kinds}
    assert kinds <= set(page.targets)


def test_the_page_says_what_the_tables_say(run, rendered):
    text = " ".join(Page((run / "index.html").read_text(encoding="utf-8")).words)
    table = next(f.table for f in rendered if f.spec.name == "accuracy_budget")
    for _, row in table.iterrows():
        assert labels.points(row["estimate"]) in text
        assert labels.interval(row["low"], row["high"]) in text
    for figure in rendered:
        assert figure.spec.caption(figure.table) in text
        for comparison in figure.comparisons:
            ends = labels.interval(comparison.low, comparison.high, sign=True)
            assert ends in text


def test_the_overview_counts_every_comparison_once(run, rendered):
    text = (run / "index.html").read_text(encoding="utf-8")
    overview = text[text.index("What the paper says, what we measured") :]
    overview = overview[: overview.index("</table>")]
    counted = sum(int(n) for n in re.findall(r">[✓✗○] (\d+)<", overview))
    listed = pd.read_csv(run / "figures" / "comparisons.csv")
    assert counted == len(listed) == sum(len(f.comparisons) for f in rendered) > 20
    above = (listed["low"] > 0) == (listed["verdict"] == "agrees")
    below = (listed["high"] < 0) == (listed["verdict"] == "contradicts")
    assert above.all()
    assert below.all()


def test_words_of_the_run_cannot_break_the_page(results, tmp_path):
    hostile = "<script>alert('$x')</script>"
    scenes = {n: Scene(hostile, s.image, s.grid) for n, s in results.scenes.items()}
    run = {"run": {"model": hostile}, "provenance": {"command": hostile, "versions": {"a": "1"}}}
    folder = write_run(tmp_path / "run", replace(results, run=run, scenes=scenes))
    render_all(folder, figures={"kept_patches": FIGURES["kept_patches"]})
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;alert(&#x27;$x&#x27;)" in text
    assert "<dt>provenance.versions.a</dt><dd>1</dd>" in text


# --- command ----------------------------------------------------------------------------------


def test_the_command_draws_and_says_so(tmp_path, capsys):
    folder = write_run(tmp_path / "run", replace(make_results(4, **QUICK), kept=None))
    assert command.main(["--results", str(folder), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in said] == list(FIGURES)
    assert "temperature: drawn: not drawn before" in said
    assert "kept_patches: missing: this run holds no kept.parquet, or an empty one" in said
    assert (tmp_path / "out" / "index.html").is_file()


def test_without_results_there_is_nothing_to_draw(tmp_path, capsys):
    assert command.main(["--results", str(tmp_path)]) == 2
    assert "results.parquet" in capsys.readouterr().err
    with pytest.raises(MissingInputError, match=r"results\.parquet"):
        load(tmp_path)
