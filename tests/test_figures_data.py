"""The table behind each figure, against slow twins and numbers by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from figure_results import BUDGETS, N_V, TYPES, make_results, make_table

from mitheory.errors import MissingInputError, ParameterError
from mitheory.plot import faded
from paper_figures import (
    accuracy_budget,
    accuracy_cost,
    aggregation,
    all_methods,
    kept_patches,
    labels,
    normalization,
    pope,
    relevance_weight,
    style,
    table_main,
    temperature,
)
from paper_figures.intervals import difference
from paper_figures.registry import FIGURES
from paper_figures.results import Results

SWEEPS = {
    "aggregation": (aggregation, "aggregation"),
    "relevance_weight": (relevance_weight, "relevance_weight"),
    "temperature": (temperature, "temperature"),
    "normalization": (normalization, "conditional"),
}


@pytest.fixture(scope="module")
def results() -> Results:
    return make_results(40)


def test_accuracy_is_the_mean_of_correct(results):
    table = accuracy_budget.data(results)
    rows = results.family("method")
    for _, row in table.iterrows():
        cell = rows[(rows["series"] == row["series"]) & (rows["budget"] == row["budget"])]
        assert row["estimate"] == pytest.approx(cell["correct"].mean(), abs=1e-12)
        assert row["low"] <= row["estimate"] <= row["high"]
        assert row["ratio"] == row["budget"] / N_V
        assert (row["questions"], row["scenes"]) == (40 * len(TYPES), 40)
    assert len(table) == 11 * len(BUDGETS) + 1
    assert not table.duplicated(["series", "budget"]).any()
    assert list(dict.fromkeys(table["series"]))[:3] == ["full", "oracle", "mi_pruner"]


def test_both_similarities_stay_apart(results):
    table = accuracy_budget.data(results)
    both = table[table["budget"].eq(8)].set_index("label")["estimate"]
    assert both["Similarity (max)"] > both["Similarity (mean)"]  # losses of 0.38 and 0.6


@pytest.mark.parametrize("name", SWEEPS)
def test_sweeps_are_means_within_each_form(results, name):
    module, column = SWEEPS[name]
    table = module.data(results)
    if "quantity" in table:
        table = table[table["quantity"] == "accuracy"]
    if "panel" in table:
        table = table[table["panel"] == table["form"]]
    rows = results.family(column)
    swept = table[table[column].astype(str) != "full"]
    assert len(swept) == 2 * rows[column].nunique() * len(BUDGETS)
    for _, row in swept.iterrows():
        cell = rows[
            (rows[column] == row[column])
            & (rows["budget"] == row["budget"])
            & (rows["form"] == row["form"])
        ]
        assert row["estimate"] == pytest.approx(cell["correct"].mean(), abs=1e-12)


def test_differences_of_aggregations_are_paired_with_max(results):
    table = aggregation.data(results)
    gaps = table[table["quantity"] == "difference"]
    means = table[table["quantity"] == "accuracy"].set_index(["aggregation", "form", "budget"])
    assert set(gaps["aggregation"]) == {"kl+global", "kl", "mean", "lse"}
    for _, row in gaps.iterrows():
        of = means.loc[(row["aggregation"], row["form"], row["budget"]), "estimate"]
        base = means.loc[("max", row["form"], row["budget"]), "estimate"]
        assert row["estimate"] == pytest.approx(of - base, abs=1e-12)
    mean = gaps[(gaps["aggregation"] == "mean") & (gaps["budget"] == 8)]
    assert (mean["high"] < 0).all()  # a loss of 0.75 against 0.35


def test_relevance_weight_has_a_panel_for_each_type_and_each_form(results):
    table = relevance_weight.data(results)
    assert set(table["panel"]) == {*TYPES, *labels.FORMS}
    assert table.groupby("panel")["form"].nunique().eq(1).all()
    best = table[table["panel"].eq("open") & table["budget"].eq(8)]
    assert best.set_index("relevance_weight")["estimate"].idxmax() == 0.5


def test_the_main_table_adds_up(results):
    table = table_main.data(results)
    whole = table[table["question_type"] == "all"].set_index(["series", "budget"])
    parts = table[table["question_type"] != "all"]
    # every scene asks one question of each type, so types weigh the same
    means = parts.groupby(["series", "budget"])["estimate"].mean()
    np.testing.assert_allclose(whole["estimate"].loc[means.index], means, atol=1e-12)
    assert table_main.shown_budgets(table) == [16, 8]


# --- yes/no -----------------------------------------------------------------------------------


def _yes_no(answers: list[tuple[str, str, str | None]]) -> Results:
    """Rows of one method from (truth, prediction, negative), each about a scene of its own."""
    base = make_table(1, budgets=(16,), families=("method",))
    row = base[base["method"] == "mi_pruner"].iloc[[0]]
    rows = []
    for i, (truth, said, negative) in enumerate(answers):
        rows.append(
            row.assign(
                sample_id=f"s{i}", image_id=f"s{i}", question_type="existence",
                negative=pd.Series([negative], dtype=object, index=row.index),
                answer=truth, prediction=said, correct=truth == said,
            )
        )  # fmt: skip
    return Results(table=pd.concat(rows, ignore_index=True))


def test_yes_no_metrics_by_hand():
    # Four present things, three said yes; two absent (adversarial), one said yes. Balanced one to
    # one: TPR 3/4, FPR 1/2, so accuracy (3/4 + 1/2)/2 = 0.625, yes-rate (3/4 + 1/2)/2 = 0.625,
    # F1 = 2·TPR / (1 + TPR + FPR) = 1.5 / 2.25 = 2/3. Unbalanced it would be 4/6, 4/6 and 6/8.
    answers = [("yes", "yes", None)] * 3 + [("yes", "no", None)]
    answers += [("no", "yes", "adversarial"), ("no", "no", "adversarial")]
    answers += [("no", "no", "random")] * 3
    answers *= 4  # the same rates; in fewer questions some resample holds no F1
    table = pope.data(_yes_no(answers)).set_index(["negative", "metric"])["estimate"]
    assert table["adversarial"].to_dict() == pytest.approx(
        {"acc": 0.625, "f1": 2 / 3, "yes": 0.625}
    )
    # random: TPR 3/4, FPR 0: accuracy 7/8, yes-rate 3/8, F1 = 1.5 / 1.75
    assert table["random"].to_dict() == pytest.approx({"acc": 0.875, "f1": 6 / 7, "yes": 0.375})
    assert "popular" not in table.index.get_level_values("negative")


def test_yes_no_questions_have_no_third_answer():
    with pytest.raises(ParameterError, match="maybe"):
        pope.data(_yes_no([("maybe", "yes", None), ("no", "no", "random")]))


def test_yes_no_shows_the_budget_nearest_the_printed_share(results):
    table = pope.data(results)
    assert pope.shown_budget(table) == 16  # 16/144 = 64/576
    assert pope.shown_budget(table[table["budget"].isin([36, 8])]) == 8  # ratios 2.25 and 2
    assert pope.shown_budget(table[table["budget"].isin([36, 144])]) == 36


def test_claims_count_present_things_that_are_found(results):
    rows = results.family("method")
    rows = rows[(rows["question_type"] == "existence") & (rows["budget"] == 8)]
    found = {c.second: c for c in pope.claims(results) if c.budget == 8}
    said_yes = (rows["prediction"] == "yes").where(rows["answer"] == "yes")
    share = said_yes.astype(float).groupby(rows["series"]).mean()  # absent things are NaN: left out
    gap = share["mi_pruner"] - share["random"]
    assert found["Random"].estimate == pytest.approx(gap, abs=1e-12)
    assert found["Random"].low > 0  # losses of 0.35 against 0.8


# --- kept patches -----------------------------------------------------------------------------


def test_kept_patches_carries_both_answers_and_the_set(results):
    table = kept_patches.data(results)
    assert table["sample_id"].nunique() == kept_patches.MOST
    assert set(table["series"]) == {
        s for s in results.family("method")["series"].unique() if s != "full"
    }
    full = results.full().set_index("sample_id")["prediction"]
    there = results.kept[results.kept["budget"].eq(16)]  # the second smallest
    kept = there.set_index(["setting", "sample_id"])["kept"]
    rows = results.family("method")
    rows = rows[rows["budget"].eq(16) & rows["draw"].eq(0)].set_index(["series", "sample_id"])
    for _, row in table.iterrows():
        cell = rows.loc[(row["series"], row["sample_id"])]
        assert row["all_tokens"] == full[row["sample_id"]]
        assert (row["prediction"], row["answer"]) == (cell["prediction"], cell["answer"])
        expected = kept[cell["setting"], row["sample_id"]]
        assert [int(i) for i in row["kept"].split()] == list(expected)


def test_faded_leaves_kept_patches_alone_and_no_other():
    image = np.random.default_rng(0).integers(0, 200, size=(6, 8, 3), dtype=np.uint8)
    drawn = faded(image, [0, 6], (3, 4))
    same = (drawn == image).all(axis=2)
    expected = np.zeros((6, 8), dtype=bool)
    expected[0:2, 0:2] = True  # patch 0
    expected[2:4, 4:6] = True  # patch 6: second row, third column
    np.testing.assert_array_equal(same, expected)
    assert (drawn[~expected] > 200).all()


# --- missing input ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIGURES)
def test_a_missing_family_is_said(name):
    table = make_table(2, budgets=(8,), families=())
    with pytest.raises(MissingInputError):
        FIGURES[name].data(Results(table=table))


@pytest.mark.parametrize(("name", "column"), [(n, c) for n, (_, c) in SWEEPS.items()])
def test_a_sweep_of_one_value_is_no_sweep(results, name, column):
    rows = results.table
    one = rows[column].dropna().iloc[0]
    rows = rows[(rows["family"] != column) | (rows[column] == one)]
    with pytest.raises(MissingInputError, match="two"):
        FIGURES[name].data(Results(table=rows.drop(columns=["series", "form"])))


def test_kept_patches_without_images_is_said(results):
    table = results.table.drop(columns=["series", "form"])
    with pytest.raises(MissingInputError, match="no image"):
        kept_patches.data(Results(table=table, kept=results.kept))
    with pytest.raises(MissingInputError, match=r"kept\.parquet"):
        kept_patches.data(Results(table=table))


def test_every_method_has_its_accuracy_cost_and_difference(results):
    """Estimates are means; differences equal those made one by one; costs are the rows' own."""
    table = all_methods.data(results)
    rows = results.family("all_methods")
    ours = rows[(rows["method"] == "mi_pruner") & (rows["layers"] == "")]
    for _, row in table[table["key"].isin(["fastv@2", "similarity:mean"])].iterrows():
        method, _, layers = row["key"].partition("@")
        own = rows[(rows["series"] == method) & (rows["layers"] == layers)]
        own = own[own["budget"] == row["budget"]]
        assert row["estimate"] == pytest.approx(own["correct"].mean(), abs=1e-12)
        gap = difference(own, ours[ours["budget"] == row["budget"]])
        found = tuple(row[["difference", "difference_low", "difference_high"]])
        assert found == pytest.approx((gap.estimate, gap.low, gap.high), abs=1e-12)
        average = row["budget"] if not layers else (2 * N_V + 2 * row["budget"]) / 4
        assert row["layer_average"] == average
        assert row["tokens_after"] == row["budget"]
    assert table[table["key"] == "mi_pruner"]["difference"].isna().all()
    assert len(table) == (11 + 3) * len(BUDGETS) + 1


def test_the_groups_of_the_table_hold_together(results):
    """Groups in their order, ours first in its own; looks within a group differ."""
    table = all_methods.data(results)
    groups = [g for g in all_methods.ORDER if g in set(table["group"])]
    assert list(dict.fromkeys(table["group"])) == groups
    assert next(iter(table[table["group"] == groups[1]]["key"])) == "mi_pruner"
    known = {**style.METHODS, **style.PEERS}
    inside = ("fastv", "sparsevlm", "dart", "autoprune", "mi_pruner", "random")
    for members in (*all_methods.CLASSES.values(), inside):
        looks = [known[m] for m in members if m in known]
        assert len({(k.color, k.marker) for k in looks}) == len(looks)
    assert accuracy_cost.FIGURE.data is all_methods.data


def test_the_table_needs_costs(results):
    table = results.table.drop(columns=["series", "form", "layer_average"])
    with pytest.raises(MissingInputError, match="layer_average"):
        all_methods.data(Results(table=table))
