"""The pages of docs/methods: one form for all."""

from __future__ import annotations

import re

import pytest
from structure import ROOT

from mitheory import SELECTORS

PAGES = sorted(p for p in (ROOT / "docs" / "methods").glob("*.md") if p.stem != "index")
HEADINGS = [
    "Rule", "What it keeps", "Source", "Needs", "Cost", "Modes", "Known failures", "Relations",
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_page_has_the_headings_of_all_in_order(page):
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^# (.+)$", text, re.M) == [page.stem]
    assert re.findall(r"^## (.+)$", text, re.M) == HEADINGS
    sections = re.split(r"^#+ .+$", text, flags=re.M)[1:]
    assert all(section.strip() for section in sections)
    assert len(sections) == 9


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_page_names_its_inputs_and_options_and_known_works(page):
    """Everything that the method requires, and what sets it apart from others of its kind."""
    method = SELECTORS[page.stem]
    text = page.read_text(encoding="utf-8")
    needs = re.split(r"^## ", text, flags=re.M)[HEADINGS.index("Needs") + 1]
    assert all(f"`{name}`" in needs for name in method.requires)
    bibliography = (ROOT / "references.bib").read_text(encoding="utf-8")
    known = set(re.findall(r"^@\w+\{([^,]+),", bibliography, re.M))
    cited = set(re.findall(r"`([a-z]+\d{4}[a-z0-9]*)`", text))
    assert cited <= known
    linked = set(re.findall(r"\{doc\}`([^`]+)`", text))
    assert linked <= {p.stem for p in PAGES}


def test_every_method_has_a_page_and_every_page_a_method():
    assert {p.stem for p in PAGES} == set(SELECTORS)
