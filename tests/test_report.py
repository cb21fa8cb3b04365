"""The page of an audit: complete, escaped, self-contained; and the files it is made of."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import HOSTILE, document, folder, graded, picture, record, verdicts

from analysis.report import formatting, interval, write
from analysis.report.html import VOID, Markup, tag, text
from analysis.report.page import SCHEMA
from analysis.report.svg import inline, save_svg
from analysis.report.values import LONG, value
from analysis.report.verdicts import DECISIONS as BADGES
from analysis.report.verdicts import summary
from analysis.style import new_figure
from mitheory.errors import ParameterError
from mitheory.verdict import DECISIONS, unassessed


class Reader(HTMLParser):
    """Tags in order, with attributes and the text that follows; checks that all are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    def ids(self):
        return [attrs["id"] for _, attrs in self.tags if "id" in attrs]

    def all(self, name):
        return [attrs for tag, attrs in self.tags if tag == name]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write(folder(tmp_path_factory.mktemp("audit"))).read_text("utf-8")


@pytest.fixture(scope="module")
def read(page):
    return Reader(page)


# --- the page -------------------------------------------------------------------------------


def test_every_claim_has_a_row_and_a_section(read):
    sections = {a["id"] for a in read.all("section") if "id" in a}
    links = [a["href"] for a in read.all("a")]
    assert sections == {f"claim-{v.claim}" for v in verdicts()}
    assert links == [f"#claim-{v.claim}" for v in verdicts()]  # in their order
    assert read.open == []


def test_every_decision_is_said_in_words(page, read):
    body = page[page.index("<body>") :]
    sections = re.split(r'<section id="claim-', body)[1:]
    for verdict, section in zip(verdicts(), sections, strict=True):
        name = "error" if verdict.claim == "failing" else verdict.decision
        assert section.startswith(verdict.claim)
        assert f"</span> {name}</span></h2>" in section
    assert {v.decision for v in verdicts()} == set(DECISIONS)


def test_numbers_are_those_of_the_verdicts(read):
    said = "".join(read.words)
    # 0.02 ± 2.064 * 0.01; 24 degrees of freedom
    assert "0.020 [−0.001, 0.041] nats" in said
    assert "|effect| < 0.1 nats" in said
    assert "28,800" in said
    assert "50.0 [45.9, 54.1] %" in said  # a share is read in percent: ± 2.064 * 2
    assert "−38.1" in said  # of the counter-example
    assert "2 min 5 s of processor time" in said


def test_unassessed_and_failed_claims_say_why(page):
    assert "Not assessed: </strong>needs the model in the loop" in page
    assert "It stopped with an error: </strong><code>ValueError: bad &lt;input&gt;" in page
    assert "The figure was not drawn: </strong><code>KeyError" in page


def test_what_claims_say_is_escaped(page):
    assert "<script" not in page
    assert "&lt;script&gt;alert" in page
    assert "some &lt;bundle&gt;" in page


@pytest.mark.parametrize(
    "field", ["statement", "source", "how", "meaning", "command", "error", "reason", "method"]
)
def test_every_field_is_escaped(tmp_path, field):
    one = record(graded("hostile", 0.0, "negligible"), **{field: HOSTILE})
    page = write(folder(tmp_path, records=[one])).read_text("utf-8")
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 0


def test_nothing_is_loaded(page, read):
    """No address is fetched: no such element, and links lead to the page itself."""
    assert {t for t, _ in read.tags}.isdisjoint({"script", "link", "iframe", "img", "object"})
    for _, attrs in read.tags:
        for name in ("src", "href", "xlink:href", "data", "action", "poster"):
            assert attrs.get(name, "#").startswith(("#", "data:"))
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert "http" not in without_names
    assert "url(" not in re.sub(r"url\(#", "", without_names)
    assert "@import" not in page


def test_ids_are_unique_and_references_resolve(page, read):
    ids = read.ids()
    assert len(ids) == len(set(ids))
    references = [a["href"][1:] for t, a in read.tags if a.get("href", "").startswith("#")]
    references += re.findall(r"url\(#([^)]+)\)", page)
    assert len(references) > len(verdicts())  # figures refer to their clip paths
    assert set(references) <= set(ids)


def test_figures_are_in_the_page_and_follow_its_colors(page, read):
    figures = page.count("<figure")
    assert figures == 2
    assert page.count("<svg") > figures
    assert "currentColor" in page
    assert all(a.get("aria-label") for a in read.all("svg"))


def test_phone_dark_and_print_are_provided_for(page):
    assert 'name="viewport"' in page
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 46rem"):
        assert rule in page


def test_a_page_is_the_same_twice(tmp_path):
    first = write(folder(tmp_path / "a")).read_bytes()
    assert write(folder(tmp_path / "b")).read_bytes() == first


def test_an_audit_of_nothing_is_a_page(tmp_path):
    about = {"bundle": None, "n_samples": 0, "n_images": 0, "d": 0, "model": None}
    page = write(folder(tmp_path, records=[], **about)).read_text("utf-8")
    assert "No claim was asked for." in page
    assert Reader(page).open == []


def test_a_missing_figure_is_said(tmp_path):
    one = record(graded("holding", 0.0, "negligible"), figure="figures/holding.svg")
    page = write(folder(tmp_path, records=[one])).read_text("utf-8")
    assert "The figure figures/holding.svg is missing." in page


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="found none"):
        write(tmp_path)
    (tmp_path / "verdicts.json").write_text(json.dumps({"schema_version": 99}))
    with pytest.raises(ParameterError, match="schema version 1"):
        write(tmp_path)


# --- the schema -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def schema():
    schema = json.loads(SCHEMA.read_text("utf-8"))
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    return validator(schema)


def test_files_of_an_audit_follow_the_schema(schema, tmp_path):
    found = json.loads((folder(tmp_path) / "verdicts.json").read_text("utf-8"))
    assert [error.message for error in schema.iter_errors(found)] == []


def test_what_the_runner_writes_follows_the_schema(schema, tmp_path):
    from analysis.auditing import audit

    audit(claims=["printed_tables_consistent", "max_below_sum"], out=tmp_path)
    found = json.loads((tmp_path / "verdicts.json").read_text("utf-8"))
    assert [error.message for error in schema.iter_errors(found)] == []
    assert [v["decision"] for v in found["verdicts"]] == ["unassessed", "refuted"]
    page = Reader((tmp_path / "index.html").read_text("utf-8"))
    assert page.open == []
    assert "82.380" in "".join(page.words)


@pytest.mark.parametrize(
    "damage",
    [
        {"decision": "perhaps"},
        {"effect": None},  # of a claim that holds
        {"reason": "and yet a reason"},
        {"n": -1},
        {"unheard_of": 1},
        {"effect": {"value": 1.0}},
    ],
)
def test_the_schema_finds_damage(schema, damage):
    good = record(graded("holding", 0.0, "negligible"))
    assert schema.is_valid(document([good]))
    assert not schema.is_valid(document([{**good, **damage}]))


def test_the_documents_name_every_field(schema):
    text = (Path(__file__).parent.parent / "docs" / "verdicts.md").read_text("utf-8")
    definitions = schema.schema["$defs"]
    for part in ("verdict", "effect", "smallest_effect", "audit"):
        missing = [f for f in definitions[part]["properties"] if f"`{f}`" not in text]
        assert missing == []


# --- parts ----------------------------------------------------------------------------------


def test_figures_keep_colors_and_lend_grays(tmp_path):
    text = picture(tmp_path / "a.svg").read_text("utf-8")
    assert "#0072b2" in text
    grays = [c for c in re.findall(r"#([0-9a-f]{6})\b", text) if c[:2] == c[2:4] == c[4:]]
    assert grays == []
    assert "A title &lt; B" in text  # text is text
    assert "<metadata" not in text


def test_opacities_multiply(tmp_path):
    """Ink at 1 - shade times what was there: a pale gray at one half is not half black."""
    figure = new_figure(2, 2)
    axes = figure.subplots()
    axes.fill_between([0, 1], 0, 1, facecolor=(0.8, 0.8, 0.8, 0.5), edgecolor="none")
    axes.axis("off")
    text = save_svg(figure, tmp_path / "a.svg").read_text("utf-8")
    assert "fill: currentColor; fill-opacity: 0.1" in text  # 0.5 * (1 - 0xcc / 0xff)


def test_text_on_a_heat_map_keeps_its_color(tmp_path):
    figure = new_figure(2, 2)
    axes = figure.subplots()
    axes.imshow(np.eye(2))
    axes.text(0, 0, "on a cell", color="#262626")
    axes.set_xlabel("on paper", color="#262626")
    text = save_svg(figure, tmp_path / "a.svg").read_text("utf-8")
    assert text.count("#262626") == 1
    drawn = inline(tmp_path / "a.svg", label="heat map")
    assert 'href="data:image/png' in drawn


def test_two_figures_on_a_page_share_no_id(tmp_path):
    drawn = [inline(picture(tmp_path / name), label="x") for name in ("a.svg", "b.svg")]
    first, second = (set(re.findall(r'\bid="([^"]+)"', text)) for text in drawn)
    assert len(first) == len(second) > 5
    assert not first & second


@pytest.mark.parametrize(
    "content",
    [
        "<script>alert(1)</script>",
        '<rect onload="alert(1)"/>',
        '<image href="https://example.org/a.png"/>',
        "<foreignObject/>",
    ],
)
def test_a_figure_that_does_things_is_refused(tmp_path, content):
    path = tmp_path / "a.svg"
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">{content}</svg>')
    with pytest.raises(ParameterError, match="drawing alone"):
        inline(path, label="x")


def test_saving_is_deterministic_and_leaves_the_background(tmp_path):
    first, second = (picture(tmp_path / name / "a.svg").read_bytes() for name in "ab")
    assert first == second
    figure = new_figure(2, 1)
    before = figure.get_facecolor()
    save_svg(figure, tmp_path / "c.svg")
    assert figure.get_facecolor() == before


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_places_on_the_axis_keep_the_order(a, b):
    """position is monotone, odd about the middle, and inside the drawing."""
    left, right = sorted((a, b))
    assert interval.position(left) <= interval.position(right)
    assert interval.position(a) + interval.position(-a) == pytest.approx(interval.WIDTH)
    assert 0 < interval.position(a) < interval.WIDTH


def test_an_interval_is_drawn_where_it_lies():
    one = record(graded("c", 0.05, "negligible", se=0.01))
    drawn = str(interval.draw(one["effect"], one["smallest_effect"], label="x"))
    # half of the smallest effect: between zero and the region's right border
    center = float(re.search(r'<circle class="estimate" cx="([\d.]+)"', drawn)[1])
    assert interval.position(0) < center == interval.position(0.5) < interval.position(1)
    region = re.search(r'<rect class="region" x="([\d.]+)" y="2" width="([\d.]+)"', drawn)
    assert float(region[1]) == interval.position(-1)
    assert float(region[1]) + float(region[2]) == pytest.approx(interval.position(1), abs=0.02)
    assert "beyond" not in drawn


@pytest.mark.parametrize(("effect", "arrows"), [(30.0, 1), (-30.0, 1), (0.3, 0)])
def test_what_leaves_the_axis_gets_an_arrow(effect, arrows):
    one = record(graded("c", effect, "at_least"))
    drawn = str(interval.draw(one["effect"], one["smallest_effect"], label="x"))
    assert drawn.count("<polygon") == arrows


@given(st.text())
def test_text_never_becomes_markup(words):
    """What is put into an element is read back from it, whatever it is."""
    read = Reader(str(tag("p", words, title=words)))
    assert [t for t, _ in read.tags] == ["p"]
    assert "".join(read.words).replace("\r", "") == words.replace("\r", "")
    assert read.tags[0][1]["title"] == words


def test_elements_nest_without_being_escaped_twice():
    assert tag("p", [tag("b", "<"), None, False, "x"], hidden=True) == (
        "<p hidden><b>&lt;</b>x</p>"
    )
    assert text(Markup("<br>")) == "<br>"


def test_values_as_tables():
    assert value({"a": {"n": 1, "m": 2}, "b": {"n": 3, "m": 4}}).count("<tr>") == 3
    rows = [{"x": i} for i in range(LONG + 1)]
    assert value(rows).startswith("<details>")
    assert value(rows[:-1]).startswith("<div")
    assert value([{"x": "<"}, {"x": float("nan")}]).count("undefined") == 1
    assert value({}) == value([]) == value(None) == "–"


@given(st.floats(-1e5, 1e5), st.floats(1e-3, 1e3))
def test_printed_estimates_lie_within_a_tenth_of_their_error(center, half):
    """Rounding shows two digits of the interval's half width: it moves no end by a tenth of it."""
    line = formatting.estimate(center, center - half, center + half, "nats")
    shown = [float(n.replace("−", "-").replace(",", "")) for n in
             re.findall(r"−?\d[\d,]*(?:\.\d+)?(?=[\s\],])", line)]  # fmt: skip
    for number, true in zip(shown, (center, center - half, center + half), strict=True):
        assert abs(number - true) <= 0.1 * half


@pytest.mark.parametrize(
    ("decisions", "said"),
    [
        (("holds",), "Of 1 claim, on these data 1 holds."),
        (("refuted", "refuted"), "Of 2 claims, 2 are refuted by counter-examples."),
        (
            ("verified", "holds", "violated", "inconclusive", "unassessed"),
            "Of 5 claims, 1 is verified. On these data 1 holds, 1 is violated and 1 stays "
            "inconclusive. 1 could not be assessed.",
        ),
    ],
)
def test_the_summary_counts(decisions, said):
    assert summary([{"decision": d, "error": None} for d in decisions]) == said


def test_there_is_a_badge_for_every_decision():
    assert set(BADGES) == {*DECISIONS, "error"}
    marks = {mark for mark, _ in BADGES.values()}
    assert len(marks) >= 5


# --- in a notebook --------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", verdicts(), ids=lambda v: v.claim)
def test_a_verdict_in_a_notebook(verdict):
    shown = verdict._repr_html_()
    read = Reader(shown)
    assert read.open == []
    said = "".join(read.words)
    assert verdict.claim in said
    assert verdict.decision in said
    assert "<script" not in shown
    assert ("-38.125" in said) == (verdict.counter_example is not None)


def test_a_notebook_shows_the_interval_that_decides():
    one = graded("c", 0.5, "at_least", se=0.1)
    # t at 97.5% with 24 degrees of freedom: 2.0639
    assert "[0.294, 0.706] at 95%" in one._repr_html_()
    assert "needs a bundle" in unassessed("c", "empirical", "needs a bundle", seed=0)._repr_html_()
