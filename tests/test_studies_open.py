"""Studies of single choices that the paper leaves open: aggregation, split, budget, words."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selection_cases import inputs

from analysis.studies import Context, dynamic_budget, mi_attention_split, renyi, run_studies
from analysis.studies import text_pruning as words
from analysis.studies.asking import asked
from analysis.studies.summaries import chosen_on_validation, differences, means, wide
from mitheory import select_batch
from mitheory.bundle import Bundle
from mitheory.errors import ParameterError
from mitheory.models.fruitfly import FruitFlyAdapter
from mitheory.statistics import holm, paired_difference

SEEDS = st.integers(0, 2**20)
LEVELS = {"a": 0.9, "b": 0.6, "c": 0.3}


def rows_of(accuracy, *, scenes=40, seed=0):
    """Tidy rows of cells of known accuracy, three questions a scene."""
    rng = np.random.default_rng(seed)
    parts = []
    for cell, level in accuracy.items():
        parts.append(
            pd.DataFrame(
                {
                    "sample_id": [f"q{i}" for i in range(3 * scenes)],
                    "image_id": [f"s{i // 3}" for i in range(3 * scenes)],
                    "cell": cell,
                    "correct": rng.random(3 * scenes) < level,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


# --- Rényi --------------------------------------------------------------------------------------


@given(SEEDS, st.sampled_from([1.0, 0.5]), st.sampled_from([0.03, 0.1, 1.0]))
def test_the_ends_of_the_family_keep_what_kl_and_max_keep(seed, weight, temperature):
    """D_1 is kl and D_∞ is max: the same tokens, in the same order, with the same scores."""
    case = {n: x for n, x in inputs(seed, b=2, n_v=16).items() if n in ("visual", "text")}
    options = {"budget": 6, "relevance_weight": weight, "temperature": temperature}
    for end, name in (("renyi:1", "kl"), ("renyi:inf", "max")):
        ours = select_batch("mi_pruner", **case, **options, aggregation=end)
        theirs = select_batch("mi_pruner", **case, **options, aggregation=name)
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one.indices, other.indices)
            assert torch.equal(one.gains, other.gains)


def test_the_cells_of_the_sweep_have_the_papers_two_at_their_ends():
    cells = renyi.cells_of((1.0, 2.0, math.inf), (16,))
    names = {(a["alpha"], a["redundancy"]): c.options["aggregation"] for c, a in cells}
    assert names == {
        (1.0, "max"): "kl", (2.0, "max"): "renyi:2", (math.inf, "max"): "max",
        (1.0, "global"): "kl",
    }  # fmt: skip
    assert len({c.identity for c, _ in cells}) == len(cells) == 7
    both = [c for c, a in cells if a["redundancy"] == "global"]
    assert [c.options["redundancy_aggregation"] for c in both] == ["global"]


# --- summaries ----------------------------------------------------------------------------------


def test_means_are_means_with_the_interval_around_them():
    rows = rows_of(LEVELS)
    table = means(rows, ["cell"]).set_index("cell")
    for cell, own in rows.groupby("cell"):
        assert table.estimate[cell] == pytest.approx(own.correct.mean())
        assert table.low[cell] < table.estimate[cell] < table.high[cell]
    assert set(table.scenes) == {40}
    assert set(table.questions) == {120}


def test_differences_are_those_of_the_statistics_with_holm_over_the_pairs():
    rows = rows_of(LEVELS)
    pairs = [(("a",), ("b",)), (("b",), ("c",)), (("a",), ("a",))]
    table = differences(rows, ["cell"], pairs)
    answers = wide(rows, ["cell"])
    clusters = np.array([f"s{int(q[1:]) // 3}" for q in answers.index])
    for (first, second), (_, row) in zip(pairs, table.iterrows(), strict=True):
        twin = paired_difference(
            answers[first], answers[second], clusters, rng=np.random.default_rng(0)
        )
        assert (row.difference, row.low, row.high) == (twin.estimate, twin.low, twin.high)
    assert table.p_holm.tolist() == holm(table.p_value.to_numpy()).tolist()
    assert table.difference.iloc[2] == 0


def test_cells_of_different_questions_are_refused():
    rows = rows_of(LEVELS)
    with pytest.raises(ParameterError, match="1 are missing"):
        means(rows.iloc[1:], ["cell"])


def test_the_choice_is_made_on_validation_and_judged_on_test():
    """The splits disagree: the choice follows validation, the difference follows test."""
    validation = rows_of({"a": 0.2, "b": 0.9}, seed=1).assign(budget=8)
    test = rows_of({"a": 0.9, "b": 0.2}, seed=2).assign(budget=8)
    table = chosen_on_validation(validation, test, ["budget"], ["cell"], [("a",)])
    assert table.cell.tolist() == ["b"]
    accuracy = test.groupby("cell").correct.mean()
    assert table.difference[0] == pytest.approx(accuracy["b"] - accuracy["a"])
    assert table.high[0] < 0


# --- asking and running -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    return Context(tmp_path_factory.mktemp("open"), quick=True)


def test_any_kept_sets_are_answered_as_the_model_answers_them(context):
    """Joined to the right question, equal sets asked once, order of choice of no account."""
    bundle = context.bundle("test", 12)
    samples = list(Bundle.open(bundle))
    sets = pd.DataFrame(
        {
            "sample_id": [s.sample_id for s in samples for _ in range(3)],
            "kept": [k for _ in samples for k in ([5, 3, 70], [3, 5, 70], list(range(40)))],
        }
    )
    table = asked(context, bundle, sets)
    fly = FruitFlyAdapter()
    direct = fly.answer(
        [s for s in samples for _ in range(3)], [torch.tensor(k) for k in sets["kept"]]
    )
    assert table["prediction"].tolist() == [a.text for a in direct]
    assert table["n_kept"].tolist() == [3, 3, 40] * len(samples)
    truth = {s.sample_id: s.answer for s in samples}
    right = [a.text == truth[s] for a, s in zip(direct, table["sample_id"], strict=True)]
    assert table["correct"].tolist() == right


def test_fixed_budgets_have_exactly_the_average_of_the_dynamic_ones(context):
    """In every form and at every target, question weights and all; so have the shuffled ones."""
    line = dynamic_budget.LINES[0]
    bundle = context.bundle("test", 24)
    found = dynamic_budget.orders(line, bundle)
    levels = dynamic_budget.calibrated(line, found, (16, 36))
    rows = dynamic_budget.sets_of(line, found, levels, seed=0)
    form = {o.sample_id: o.form for o in found}
    rows = rows.assign(
        form=rows["sample_id"].map(form), image_id="s", question_type="t", correct=True,
        n_kept=rows["kept"].map(len),
    )  # fmt: skip
    tidy = dynamic_budget.mixed(rows)
    average = tidy.groupby(["target", "form", "how"])["tokens"].mean().unstack("how")
    np.testing.assert_allclose(average["fixed"], average["dynamic"], atol=1e-9)
    np.testing.assert_allclose(average["shuffled"], average["dynamic"], atol=1e-9)
    assert tidy["correct"].round(9).eq(1).all()
    assert (average["dynamic"].groupby("target").mean() >= [16, 36]).all()


def test_dynamic_sets_are_beginnings_of_what_the_method_keeps(context):
    for line in dynamic_budget.LINES:
        for found in dynamic_budget.orders(line, context.bundle("test", 12)):
            assert sorted(found.order) == list(range(144))
            assert bool((found.curve.diff() <= 0).all())


def test_every_order_of_words_has_the_last_word_first_and_every_word_once(context):
    for sample in Bundle.open(context.bundle("test", 24)):
        for name, order in words.ORDERS.items():
            places = order(sample, 0).tolist()
            assert sorted(places) == list(range(sample.n_t)), name
            assert places[0] == sample.n_t - 1, name
        fillers = words.ORDERS["fillers"](sample, 0).tolist()
        named = [sample.tokens[i] not in words.FILLERS for i in fillers[1:]]
        assert named == sorted(named, reverse=True)


@pytest.mark.slow
def test_the_studies_write_what_they_announce(context):
    """Three of them on few questions: tables, columns, and every accuracy inside its interval."""
    names = ["dynamic_budget", "text_pruning", "mi_attention_split"]
    tables = run_studies(context, names)
    assert {"dynamic_budget", "text_pruning", "mi_attention_split"} <= set(tables)
    for name in ("dynamic_budget", "text_pruning", "mi_attention_split"):
        table = tables[name]
        assert (table["low"] <= table["estimate"]).all()
        assert (table["estimate"] <= table["high"]).all()
    split = tables["mi_attention_split"]
    ends = split[split["attention_ratio"].isin([0.0, 1.0])]
    key = ["attention_ratio", "budget", "form"]
    assert (ends.groupby(key)["estimate"].nunique() == 1).all()  # all readings meet there
    assert set(split["rounds"]) == set(mi_attention_split.ROUNDS)
    whole = tables["text_pruning"].query("order == 'all'")
    assert (whole["share"] == 1).all()
    assert {"mi", *words.CONTROLS} <= set(tables["text_pruning"]["order"])
