"""The examples of the pages about plots, questions and estimators run and give what they show."""

from __future__ import annotations

import doctest

import pytest
from structure import ROOT

PAGES = ("ask", "plot", "sklearn")


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_the_page_run(page):
    path = ROOT / "docs" / f"{page}.md"
    failed, tried = doctest.testfile(
        str(path), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert tried > 3
    assert failed == 0
