"""The paper's printed numbers, and the labels beside them."""

from __future__ import annotations

import pytest

from analysis import reference
from mitheory.errors import UnknownNameError
from paper_figures import accuracy_budget, labels, normalization, pope, temperature


@pytest.mark.parametrize(
    ("table", "method", "option", "metric", "tokens", "value"),
    [  # read off the paper
        (1, "MI-Pruner", None, "GQA", 64, 56.88),
        (1, "Similarity", None, "GQA", 32, 51.46),
        (1, "MI-Attention", None, "POPE", 32, 82.81),
        (1, "Full", None, "SQA", 576, 66.80),
        (5, "MI-Pruner", "0.5", "GQA", 32, 52.23),
        (6, "MI-Pruner", "minmax", "SQA", 64, 67.56),
        (10, "Random", None, "POPE_popular_yes", 128, 0.38),
        (10, "MI-Pruner", None, "POPE_adversarial_acc", 32, 80.60),
    ],
)
def test_printed_cells(table, method, option, metric, tokens, value):
    rows = reference.printed(table)
    rows = rows[(rows["method"] == method) & (rows["metric"] == metric)]
    rows = rows[(rows["tokens"] == tokens)]
    if option is not None:
        rows = rows[rows["option"] == option]
    assert rows["value"].tolist() == [value]
    assert rows["ratio"].tolist() == [tokens / 576]


@pytest.mark.parametrize(
    ("table", "model"), [(12, reference.MODEL), (1, "GPT-9"), (2, "Qwen3VL-2B")]
)
def test_what_is_not_printed_is_refused(table, model):
    with pytest.raises(UnknownNameError, match="prints no table"):
        reference.printed(table, model=model)


def test_no_cell_is_printed_twice():
    for table in (1, 3, 5, 6, 9, 10):
        rows = reference.printed(table)
        assert not rows.duplicated(["method", "option", "metric", "tokens"]).any()


def test_averages_that_cannot_be_right_are_found():
    # Tab. 10, 32 tokens. Random: (74.93 + 75.43 + 73.23) / 3 = 74.53, printed 73.23;
    # Similarity: (83.87 + 83.20 + 80.07) / 3 = 82.38, printed 80.07
    wrong = reference.wrong_averages()
    assert wrong["recomputed"].tolist() == [74.53, 82.38]
    assert (
        "Random at 32 tokens (73.23; its splits average 74.53)" in reference.wrong_averages_note()
    )


def test_printed_tables_of_the_figures_lie_where_ours_do():
    assert set(temperature.printed_table()["form"]) == set(labels.FORMS)
    assert set(normalization.printed_table()["conditional"]) == {"softmax", "minmax"}
    assert sorted(set(temperature.printed_table()["temperature"])) == [0.01, 0.1, 0.5]
    table = pope.printed_table()
    assert table["value"].between(0, 1).all()
    assert set(table["series"]) == {"full", "random", "similarity", "mi_attention", "mi_pruner"}
    assert len(table) == 5 * 3 * 3


def test_pope_takes_the_budget_that_only_table_10_prints():
    rows = accuracy_budget.printed_table("POPE")
    assert not rows.duplicated(["method", "tokens"]).any()
    more = rows[rows["tokens"] == 128].set_index("method")["value"].to_dict()
    assert more == {"Random": 83.37, "Similarity": 85.44, "MI-Attention": 86.35, "MI-Pruner": 86.47}


def test_every_form_has_a_label_and_no_type_two_forms():
    assert set(labels.FORM_LABELS) == set(labels.FORMS)
    assert sum(len(types) for types in labels.FORMS.values()) == len(labels.FORM_OF)


@pytest.mark.parametrize(
    ("method", "words", "label"),
    [
        ("similarity", "max", "Similarity (max)"),
        ("similarity", float("nan"), "Similarity"),
        ("mi_pruner", None, "MI-Pruner"),
    ],
)
def test_labels_come_from_fields(method, words, label):
    assert labels.series_label(labels.series(method, words)) == label


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [
        (0.0004, True, "+0.04"),  # its sign is the verdict
        (-0.0004, True, "−0.04"),
        (-0.0004, False, "0.0"),
        (0.0, True, "0.0"),
        (-0.25, True, "−25.0"),
        (1.0, False, "100.0"),
    ],
)
def test_points_keep_the_sign_of_a_difference(value, sign, text):
    assert labels.points(value, sign=sign) == text
