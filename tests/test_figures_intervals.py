"""Accuracies, paired differences and verdicts behind the figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from figure_results import LOSS, N_V, TYPES, make_results, true_accuracy
from hypothesis import given
from hypothesis import strategies as st

from mitheory.errors import MissingInputError, ParameterError
from paper_figures import claims
from paper_figures.claims import VERDICTS, Comparison
from paper_figures.intervals import accuracy, accuracy_within, difference
from paper_figures.results import COLUMNS, Results

TINY = pd.DataFrame(
    {
        "series": ["a"] * 4 + ["b"] * 4,
        "sample_id": ["p", "q", "r", "s"] * 2,
        "image_id": ["1", "1", "2", "3"] * 2,
        "correct": [True, True, False, True, False, True, False, False],
    }
)


@pytest.fixture(scope="module")
def results() -> Results:
    return make_results(150, families=("method",))


def test_accuracy_by_hand():
    # a: 3 of 4, b: 1 of 4; four questions about three scenes
    table = accuracy(TINY, ["series"]).set_index("series")
    assert table["estimate"].to_dict() == {"a": 0.75, "b": 0.25}
    assert (table["questions"] == 4).all()
    assert (table["scenes"] == 3).all()
    # scene 2 alone is wrong under a: a resample of it three times gives 0, without it 1
    assert table.loc["a", ["low", "high"]].tolist() == [0.0, 1.0]


def test_difference_by_hand():
    # a minus b: 1, 0, 0, 1 question by question
    a, b = (TINY[TINY["series"] == key] for key in "ab")
    gap = difference(a, b)
    assert gap.estimate == 0.5
    assert difference(b, a).estimate == -0.5
    assert (gap.low, gap.high) == (-difference(b, a).high, -difference(b, a).low)
    assert gap.n_clusters == 3


def test_difference_pairs_by_question_and_not_by_row():
    a, b = (TINY[TINY["series"] == key] for key in "ab")
    # shuffled rows give the same interval; paired by position b would look constant or not
    assert difference(a, b.iloc[::-1]) == difference(a, b)
    assert difference(a, a.iloc[::-1]).high == 0.0


def test_draws_are_averaged_before_they_are_resampled():
    draws = pd.concat([TINY.assign(series="random", draw=d) for d in range(3)]).iloc[:12]
    draws["correct"] = [True, False, False, False] * 2 + [True, True, True, False]
    table = accuracy(draws, ["series"])
    assert table["estimate"].item() == pytest.approx(5 / 12)
    assert table["questions"].item() == 4


@pytest.mark.parametrize("function", [lambda t: accuracy(t, ["series"])])
def test_cells_with_other_questions_are_not_compared(function):
    with pytest.raises(ParameterError, match="same 4 questions"):
        function(TINY.iloc[:-1])
    a, b = (TINY[TINY["series"] == key] for key in "ab")
    with pytest.raises(ParameterError, match="same questions"):
        difference(a, b.iloc[1:])


def test_intervals_cover_the_truth_and_do_not_cover_another(results):
    rows = results.family("method")
    table = accuracy_within(rows, "question_type", ["method", "series", "budget"])
    table = table[table["method"] != "full"]
    inside, shifted = [], []
    for _, row in table.iterrows():
        method, _, words = row["series"].partition(":")
        loss = LOSS[method, words or None]
        truth = true_accuracy(loss, int(row["budget"]), row["question_type"])
        inside.append(row["low"] <= truth <= row["high"])
        shifted.append(row["low"] <= truth - 0.15 <= row["high"])
    assert len(inside) == len(LOSS) * 4 * len(TYPES)
    # 352 intervals of 95%; difficulties are shared, so the count is noisier than independent
    assert 0.88 < np.mean(inside) <= 1
    assert np.mean(shifted) < 0.2


def test_rows_as_units_would_be_too_sure_of_themselves(results):
    rows = results.family("method")
    rows = rows[rows["series"].eq("mi_pruner") & rows["budget"].eq(16)]
    by_scene = accuracy(rows, ["series"]).iloc[0]
    by_row = accuracy(rows.assign(image_id=rows["sample_id"]), ["series"]).iloc[0]
    assert by_scene["high"] - by_scene["low"] > 1.2 * (by_row["high"] - by_row["low"])


# --- verdicts -------------------------------------------------------------------------------


def _comparison(low: float, high: float) -> Comparison:
    return Comparison("c", "s", "max", "kl", "", 16, 1 / 9, (low + high) / 2, low, high)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_the_verdict_is_decided_by_the_interval_alone(one, other):
    """Agrees iff the interval lies above 0, contradicts iff below, else not settled."""
    low, high = sorted((one, other))
    verdict = _comparison(low, high).verdict
    assert verdict in VERDICTS
    assert (verdict == "agrees") == (low > 0)
    assert (verdict == "contradicts") == (high < 0)
    swapped = _comparison(-high, -low).verdict
    mirror = {"agrees": "contradicts", "contradicts": "agrees", "not settled": "not settled"}
    assert swapped == mirror[verdict]


def test_the_sentence_says_numbers_and_verdict():
    assert _comparison(-0.05, -0.01).sentence == (
        "max minus kl at 16 tokens: −3.0 [−5.0, −1.0] points: contradicts"
    )


def test_an_interval_upside_down_is_refused():
    with pytest.raises(ParameterError, match="low must be at most high"):
        _comparison(0.2, 0.1)


def test_compare_covers_the_budgets_that_both_sides_have(results):
    rows = results.family("method")
    first = rows[rows["series"] == "mi_pruner"]
    second = rows[rows["series"].eq("random") & rows["budget"].isin([36, 8])]
    found = claims.compare(
        results, claim="c", source="s", first=("MI-Pruner", first), second=("Random", second)
    )
    assert [c.budget for c in found] == [36, 8]
    assert [c.ratio for c in found] == [36 / N_V, 8 / N_V]
    assert [c.verdict for c in found] == ["agrees", "agrees"]  # losses of 0.35 against 0.8
    gap = (
        first[first["budget"] == 8]["correct"].mean()
        - second[second["budget"] == 8]["correct"].mean()
    )
    assert found[1].estimate == pytest.approx(gap)
    empty = claims.compare(
        results, claim="c", source="s", first=("a", first), second=("b", second.iloc[:0])
    )
    assert empty == []


# --- the results table ------------------------------------------------------------------------


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(results, column):
    with pytest.raises(MissingInputError, match=column):
        Results(table=results.table.drop(columns=column))


def test_a_row_that_stands_twice_is_refused(results):
    table = results.table.drop(columns=["series", "form"])
    with pytest.raises(ParameterError, match="1 rows stand twice"):
        Results(table=pd.concat([table, table.iloc[:1]]))


def test_an_unknown_question_type_is_refused(results):
    table = results.table.drop(columns=["series", "form"]).iloc[:3].assign(question_type="riddle")
    with pytest.raises(ParameterError, match="riddle"):
        Results(table=table)
