"""The tables of the paper beside ours, as data, LaTeX and HTML; the look in gray."""

from __future__ import annotations

import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from figure_results import make_results, write_run

from analysis.reference.cells import printed_cells
from mitheory.errors import MissingInputError
from paper_figures import counterparts, matrices, printed_tables, style
from paper_figures.registry import FIGURES
from paper_figures.results import Results, load

TABLES = [name for name, spec in FIGURES.items() if spec.latex]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    return load(write_run(tmp_path_factory.mktemp("run"), make_results(30)))


@pytest.fixture(scope="module")
def tables(results) -> dict[str, pd.DataFrame]:
    return {name: FIGURES[name].data(results) for name in TABLES}


def test_every_table_of_the_paper_is_there():
    assert set(TABLES) == {f"tab{n}" for n in range(1, 12)}


@pytest.mark.parametrize("name", TABLES)
def test_every_printed_cell_stands_once_in_its_own_digits(tables, name):
    table = tables[name]
    shown = table[table["side"] == "printed"]
    number = int(name.removeprefix("tab"))
    printed = {k: v for k, v in printed_cells().items() if k.table == number}
    assert sorted(shown["text"]) == sorted(cell.text for cell in printed.values())
    assert not shown.duplicated(["column", "block", "method"]).any()


@pytest.mark.parametrize("name", TABLES)
def test_no_column_holds_both_printed_and_measured_numbers(tables, name):
    table = tables[name]
    columns, rows = printed_tables.shape(table)
    sides = [side for side, _ in columns]
    assert sides == sorted(sides, reverse=True)  # printed first, then ours, never mixed
    assert len(set(columns)) == len(columns)
    ours = table[table["side"] == "ours"]
    assert len(ours) > 0
    assert set(zip(ours["block"], ours["method"], strict=True)) <= set(rows)
    assert not ours.duplicated(["column", "block", "method"]).any()


def test_what_cannot_be_right_is_marked_and_only_that(tables):
    """Tab. 10 prints 73.23 for Random at 32 tokens, where its splits average 74.53."""
    flagged = tables["tab10"].query("side == 'printed' and note != ''")
    cells = set(zip(flagged["block"], flagged["method"], flagged["column"], strict=True))
    assert ("LLaVA1.5-7B, keep 32; ours: 5.6%", "Random", "mean acc") in cells
    assert len(cells) == 7  # five averages, two accuracies that are no count of 3,000 questions
    assert (tables["tab8"]["side"] != "check").all()
    assert (tables["tab2"]["note"] == "").all()


def test_measured_cells_are_of_the_share_that_the_block_names(tables, results):
    """MI-Pruner at 64 of 576 tokens stands beside ours at 16 of 144, recomputed by hand here."""
    rows = results.table
    rows = rows[(rows["family"] == "all_methods") & (rows["method"] == "mi_pruner")]
    mean = 100 * rows[rows["budget"] == 16]["correct"].astype(float).mean()
    table = tables["tab1"]
    cell = table[
        (table["side"] == "ours")
        & (table["column"] == "all (%)")
        & (table["method"] == "MI-Pruner")
        & table["block"].str.contains("keep 64")
    ]
    assert cell["value"].item() == pytest.approx(mean)
    assert cell["text"].item() == f"{mean:.1f}"
    assert cell["low"].item() <= mean <= cell["high"].item()


def test_f1_and_yes_rate_by_counting(results):
    rows = counterparts.everything(results)
    cell = rows[(rows["key"] == "random") & (rows["budget"] == 8)]
    cell = cell[cell["question_type"] == "existence"]
    both = ((cell["answer"] == "yes") & (cell["prediction"] == "yes")).sum()
    said = (cell["prediction"] == "yes").sum()
    found = counterparts.yes_no(results)
    ours = found[(found["key"] == "random") & np.isclose(found["ratio"], 8 / 144)]
    values = ours.set_index("column")["value"]
    assert values["F1"] == pytest.approx(2 * both / (said + (cell["answer"] == "yes").sum()))
    assert values["yes-rate"] == pytest.approx(said / len(cell))


def test_a_run_that_has_nothing_beside_a_table_says_so():
    only = make_results(4, budgets=(40,), families=("method", "all_methods"))
    data = printed_tables.data_of(8, {"GQA_instruct_sampling": "GQA"}, counterparts.by_form, {})
    with pytest.raises(MissingInputError, match=r"nothing that stands beside Tab\. 8"):
        data(only)


# --- LaTeX and HTML ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_latex_is_balanced_and_every_row_has_every_column(tables, name):
    text = FIGURES[name].latex(tables[name])
    assert text.isascii()
    bare = text.replace(r"\{", "").replace(r"\}", "")
    depth = np.cumsum([{"{": 1, "}": -1}.get(letter, 0) for letter in bare])
    assert depth.min() >= 0
    assert depth[-1] == 0
    assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text)
    assert [text.count(rule) for rule in (r"\toprule", r"\bottomrule")] == [1, 1]
    assert bare.replace(r"\$", "").count("$") % 2 == 0
    columns = len(printed_tables.shape(tables[name])[0]) + 1
    rows = re.findall(r"^(.*) \\\\$", text, re.MULTILINE)
    assert len(rows) > 4
    for row in rows:
        spans = [int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", row)]
        assert len(re.findall(r"(?<!\\)&", row)) + 1 + sum(spans) == columns, row
    percent = re.findall(r"(?<!\\)%", text)
    assert len(percent) == 1  # the one comment


def test_every_number_of_a_table_is_in_its_latex_and_its_html(tables):
    for name in ("tab3", "tab10"):
        table = tables[name]
        cells = table[table["side"].isin(["printed", "ours"])]
        for text in (FIGURES[name].latex(table), FIGURES[name].html(table)):
            assert all(cell in text for cell in cells["text"] if cell != "–")


def test_html_tells_ours_from_the_paper_by_class(tables):
    html = FIGURES["tab1"].html(tables["tab1"])
    ours = re.findall(r'<td class="ours">([^<]*)', html)
    paper = re.findall(r"<td(?: title=\"[^\"]*\")?>([^<]*)", html)
    table = tables["tab1"]
    assert sorted(t for t in ours if t != "–") == sorted(table.query("side == 'ours'")["text"])
    shown = sorted(t.rstrip("†") for t in paper)
    assert shown == sorted(table.query("side == 'printed'")["text"])


def test_the_machine_is_named_where_time_is_measured(tables):
    for name in ("tab3", "tab9"):
        assert "an abacus, 9 repetitions" in FIGURES[name].caption(tables[name])


# --- pictures ---------------------------------------------------------------------------------


def test_the_order_of_choice_stands_where_the_patch_is(results):
    """Patch 7 of 12 x 12, chosen first, is the eighth of the first row."""
    table = matrices.data(results)
    with style.theme():
        figure = matrices.draw(table, results.scenes)
    numbers = {t.get_text(): t.get_position() for ax in figure.axes for t in ax.texts}
    assert numbers["1"] == (7.5 * 4 - 0.5, 0.5 * 4 - 0.5)
    assert numbers["3"] == ((100 % 12 + 0.5) * 4 - 0.5, (100 // 12 + 0.5) * 4 - 0.5)


def test_answers_and_kept_tokens_are_those_of_the_run(results):
    spec = FIGURES["dialogues"]
    table = spec.data(results)
    assert set(table["budget"]) == {72, 36, 16, 8}
    assert [len(kept.split()) for kept in table["kept"]] == list(table["budget"])
    rows = results.table.query("family == 'method' and method == 'mi_pruner' and budget == 8")
    said = rows.set_index("sample_id")["prediction"]
    ours = table.query("series == 'mi_pruner' and budget == 8").set_index("sample_id")
    assert len(ours) == 5
    assert (ours["prediction"] == said[ours.index]).all()


def luminance(color: str) -> float:
    """Relative luminance of sRGB, 0 black to 1 white."""
    rgb = np.array(mpl.colors.to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize(
    "looks", [style.METHODS, style.AGGREGATIONS, style.CONDITIONALS, style.NEGATIVES]
)
def test_in_gray_every_two_curves_differ_in_marker_line_or_shade(looks):
    """Without color a curve is told by its marker, or by line and a shade well apart."""
    one = {look: key for key, look in looks.items()}  # two keys may share a look on purpose
    for a in one:
        assert luminance(a.color) < 0.6, f"{one[a]} is too pale on white"
        for b in one:
            apart = abs(luminance(a.color) - luminance(b.color)) > 0.15
            assert a == b or a.marker != b.marker or (a.line != b.line and apart), (one[a], one[b])
