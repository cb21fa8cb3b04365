"""Studies: their tables are written once, and again when what they depend on has changed."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from analysis.studies import STUDIES, Context, Study, run_studies
from mitheory.errors import ParameterError, UnknownNameError


@pytest.fixture
def counted():
    """A study that counts its runs, and the list of the contexts it was given."""
    seen: list[Context] = []

    def run(context):
        seen.append(context)
        return {"table": pd.DataFrame({"seed": [context.seed]})}

    return {"count": Study("count", "How often?", ("table",), run)}, seen


def test_a_finished_study_is_not_run_again(tmp_path, counted):
    studies, seen = counted
    context = Context(tmp_path)
    first, again = (run_studies(context, studies=studies) for _ in range(2))
    assert len(seen) == 1
    for tables in (first, again):
        assert list(tables) == ["table"]
        assert tables["table"].seed.tolist() == [0]
    assert pd.read_parquet(context.table("table")).equals(first["table"])


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"quick": True}, {"model": "fruitfly-contrastive"}]
)
def test_a_study_of_something_else_is_run_again(tmp_path, counted, change):
    studies, seen = counted
    context = Context(tmp_path)
    run_studies(context, studies=studies)
    run_studies(dataclasses.replace(context, **change), studies=studies)
    assert len(seen) == 2


def test_a_lost_table_is_made_again(tmp_path, counted):
    studies, seen = counted
    run_studies(Context(tmp_path), studies=studies)
    path = Context(tmp_path).table("table")
    path.unlink()
    run_studies(Context(tmp_path), studies=studies)
    assert path.is_file()
    assert len(seen) == 2


def test_a_study_that_writes_other_tables_than_it_says_is_refused(tmp_path):
    wrong = {"wrong": Study("wrong", "?", ("a",), lambda context: {"b": pd.DataFrame()})}
    with pytest.raises(ParameterError, match=r"expected tables \['a'\], got \['b'\]"):
        run_studies(Context(tmp_path), studies=wrong)


def test_an_unknown_study_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match="no_such"):
        run_studies(Context(tmp_path), ["no_such"])


def test_no_two_studies_write_the_same_table():
    tables = [table for study in STUDIES.values() for table in study.tables]
    assert len(tables) == len(set(tables))
