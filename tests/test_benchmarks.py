"""The benchmark runs, and its two sides keep the same patches in the same order."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks import selection

SMALL = selection.Case("test", n_v=40, n_t=5, d=8, budget=12, relevance_weight=0.5)


@pytest.mark.parametrize("relevance_weight", [1.0, 0.7, 0.5, 0.2])
def test_both_sides_agree(relevance_weight):
    case = dataclasses.replace(SMALL, relevance_weight=relevance_weight)
    row = selection.measure(case, repeats=1, batch=3)
    assert row.agree
    assert row.literal > 0
    assert row.fast > 0


def test_table_has_a_row_per_case():
    row = selection.Row(SMALL, literal=0.2, fast=0.01, batched=0.001, agree=True)
    table = selection.markdown([row, row]).splitlines()
    assert len(table) == 4
    assert len({line.count("|") for line in table}) == 1
    assert table[2].endswith("| 200.00 | 10.00 | 1.00 | 20× |")
