"""The ledger of predictions: numbers by hand, the rule of the verdict, and how often it errs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_tables import predictions as make_predictions

from analysis.ablation.configuration import FULL
from analysis.studies.base import Context
from analysis.studies.findings import PREDICTIONS, Prediction
from analysis.studies.predictions import SMALLEST, compared, judged, run
from mitheory.errors import ParameterError
from mitheory.statistics import clustered_mean
from paper_figures import predictions
from paper_figures.style import theme

BUDGET = 1 / 9
FAVORED, REFERENCE = {"method": "divprune"}, {"method": "similarity"}


def prediction(questions: str = "all", outcome: str = "accuracy", **sides: dict) -> Prediction:
    return Prediction(
        "f", "a beats b", "Tab. 1", "a", "b", sides.get("favored", FAVORED),
        sides.get("reference", REFERENCE), questions, (BUDGET,), outcome,  # type: ignore[arg-type]
    )  # fmt: skip


def answers(cells: dict[str, list[str]], asked: list[tuple[str, str, str | None]]) -> pd.DataFrame:
    """Rows of identities' answers to (type, truth, negative), two questions a scene."""
    rows = []
    for cell, said in cells.items():
        for i, ((kind, truth, negative), word) in enumerate(zip(asked, said, strict=True)):
            rows.append(
                {
                    "cell": cell, "sample_id": f"q{i}", "image_id": f"s{i % 6}",
                    "question_type": kind, "negative": negative, "n_v": 144, "answer": truth,
                    "prediction": word, "correct": word == truth, "error": None,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def identities(one: Prediction) -> tuple[str, str]:
    (first,), (second,) = one.cells(BUDGET)
    return first.identity, second.identity


YES_NO = [("existence", "yes", None)] * 6 + [
    ("existence", "no", "adversarial"), ("existence", "no", "adversarial"),
    ("existence", "no", "random"), ("existence", "no", "random"),
    ("color", "red", None), ("color", "red", None),
]  # fmt: skip


def test_accuracies_and_their_difference_by_hand() -> None:
    """The first is right in 9 of 12, the second in 6 of 12."""
    first = ["yes"] * 4 + ["no"] * 2 + ["no"] * 3 + ["yes"] + ["red"] * 2
    second = ["yes"] * 2 + ["no"] * 4 + ["no"] * 3 + ["yes"] + ["red", "blue"]
    one = prediction()
    table = answers(dict(zip(identities(one), (first, second), strict=True)), YES_NO)
    row = compared(one, BUDGET, table)
    assert (row["first_value"], row["second_value"]) == pytest.approx((9 / 12, 6 / 12))
    assert row["estimate"] == pytest.approx(3 / 12)
    assert (row["n"], row["n_clusters"], row["budget"]) == (12, 6, 16)
    assert row["p_mcnemar"] == pytest.approx(2 * 0.5**3)  # three pairs differ, all one way
    kinds = {"closed": (10, 2 / 10), "open": (2, 1 / 2)}
    for kind, (n, gap) in kinds.items():
        row = compared(prediction(kind), BUDGET, table)
        assert (row["n"], row["estimate"]) == (n, pytest.approx(gap))


def test_present_and_absent_things_weigh_the_same() -> None:
    """Adversarial: 6 present, 2 absent. First right in 4/6 and 2/2, second in 2/6 and 1/2:
    (2/3 + 1)/2 − (1/3 + 1/2)/2 = 5/12, where unweighted it would be 3/8."""
    first = ["yes"] * 4 + ["no"] * 2 + ["no"] * 4 + ["red"] * 2
    second = ["yes"] * 2 + ["no"] * 4 + ["no", "yes", "no", "no"] + ["red"] * 2
    one = prediction("adversarial")
    table = answers(dict(zip(identities(one), (first, second), strict=True)), YES_NO)
    row = compared(one, BUDGET, table)
    assert row["n"] == 8
    assert row["estimate"] == pytest.approx(5 / 12)


def test_balance_is_how_much_nearer_to_one_half() -> None:
    """Yes to 4 of 6 present and 0 of 4 absent: 1/3, off by 1/6; to all 6 and 4 of 4: 1, off by
    1/2. Gained: 1/3. Exchanged, the sign turns."""
    first = ["yes"] * 4 + ["no"] * 2 + ["no"] * 4 + ["red"] * 2
    second = ["yes"] * 10 + ["red"] * 2
    one = prediction("existence", "balance")
    names = identities(one)
    row = compared(one, BUDGET, answers(dict(zip(names, (first, second), strict=True)), YES_NO))
    assert (row["first_value"], row["second_value"]) == pytest.approx((1 / 3, 1.0))
    assert row["estimate"] == pytest.approx(1 / 3)
    row = compared(one, BUDGET, answers(dict(zip(names, (second, first), strict=True)), YES_NO))
    assert row["estimate"] == pytest.approx(-1 / 3)


def test_draws_are_averaged_and_failures_left_out() -> None:
    one = prediction(reference={"method": "random", "draw": [0, 1]})
    (first,), draws = one.cells(BUDGET)
    said = [["red", "red"], ["red", "blue"], ["blue", "blue"]]
    names = [first.identity, *(d.identity for d in draws)]
    asked = [("color", "red", None)] * 2
    asked += [("color", "red", None)] * 2
    table = answers(dict(zip(names, [s * 2 for s in said], strict=True)), asked)
    row = compared(one, BUDGET, table)
    assert row["second_value"] == pytest.approx(0.25)  # (1 + 0)/2 and (0 + 0)/2
    assert row["estimate"] == pytest.approx(0.75)
    assert np.isnan(row["p_mcnemar"])
    table.loc[(table.cell == names[1]) & (table.sample_id == "q1"), "error"] = "BudgetError: x"
    assert compared(one, BUDGET, table)["n"] == 3
    table["error"] = "BudgetError: x"
    with pytest.raises(ParameterError, match="no all question answered"):
        compared(one, BUDGET, table)


def rows(estimates: list[float], se: float, finding: str = "f") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "finding": finding, "outcome": "accuracy", "estimate": estimates, "se": se,
            "df": 400.0, "n_clusters": 400,
        }
    )  # fmt: skip


def test_a_verdict_is_where_the_corrected_interval_lies() -> None:
    """At 1.96 standard errors from the smallest effect one test decides; two at that place do not,
    and neither does one beside an undecided other, unless it lies beyond 2.24."""
    delta, se = SMALLEST.value, 0.01
    assert judged(rows([delta + 0.0205], se)).verdict.tolist() == ["confirmed"]
    assert judged(rows([delta - 0.0205], se)).verdict.tolist() == ["contradicted"]
    assert judged(rows([delta + 0.019], se)).verdict.tolist() == ["undecided"]
    assert judged(rows([0.05, 0.001], se)).verdict.tolist() == ["confirmed", "undecided"]
    assert judged(rows([delta + 0.0205, delta], se)).verdict.tolist() == ["undecided"] * 2
    apart = pd.concat([rows([delta + 0.0205], se), rows([delta], se, "g")], ignore_index=True)
    assert judged(apart).verdict.tolist() == ["confirmed", "undecided"]  # families of their own
    real_but_small = judged(rows([0.01], 0.002))
    assert real_but_small.low[0] > 0
    assert real_but_small.verdict[0] == "contradicted"


def test_what_could_have_been_found_grows_with_the_family() -> None:
    table = judged(rows([0.0] * 8, 0.01))
    assert table.detectable.tolist() == pytest.approx([0.01 * (1.959964 + 0.841621)] * 8)
    assert table.detectable_holm.tolist() == pytest.approx([0.01 * (2.734369 + 0.841621)] * 8)


def test_of_a_difference_of_exactly_the_smallest_size_few_are_decided() -> None:
    """Calibration on clustered answers: where the truth is the border, in at most 5% of families is
    any of four rows decided; where it is zero, about half of the rows are contradicted."""
    rng = np.random.default_rng(0)

    def decided(truth: float) -> tuple[float, float]:
        any_, contradicted = 0, 0
        for _ in range(200):
            found = []
            for _ in range(4):
                scene = np.repeat(rng.random(300), 4)
                own = rng.random(1200)
                mixed = np.where(np.repeat(rng.random(300) < 0.5, 4), scene, own)
                gap = np.where(mixed < 0.02, -1.0, np.where(mixed > 0.98 - truth, 1.0, 0.0))
                mean = clustered_mean(gap, np.repeat(np.arange(300), 4))
                found.append((mean.value, mean.se, mean.df))
            table = pd.DataFrame(found, columns=["estimate", "se", "df"])
            table = judged(table.assign(finding="f", outcome="accuracy", n_clusters=300))
            any_ += (table.verdict != "undecided").any()
            contradicted += (table.verdict == "contradicted").mean()
        return any_ / 200, contradicted / 200

    assert decided(SMALLEST.value)[0] < 0.1
    assert decided(0.0)[1] > 0.4


def test_the_ledger_covers_the_findings_and_each_row_is_a_comparison_of_its_own() -> None:
    assert {p.finding for p in PREDICTIONS} == {
        "random", "similarity", "attention", "diversity", "balance", "adversarial", "aggregation",
        "weight_closed", "weight_open", "temperature", "normalization", "rising",
    }  # fmt: skip
    keys = [(p.finding, p.second, p.questions) for p in PREDICTIONS]
    assert len(set(keys)) == len(keys)
    for p in PREDICTIONS:
        for budget in p.budgets:
            first, second = p.cells(budget)
            assert not {c.identity for c in first} & {c.identity for c in second}
            assert all(c.budget == budget for c in first)
            assert all(c.budget == (1.0 if c.method == FULL else budget) for c in second)


@dataclass(frozen=True)
class Invented(Context):
    """Right answers come at a known rate, by cell."""

    out: Path = Path()
    quick: bool = True
    asked: list[tuple[str, str, bool]] = field(default_factory=list)

    def answered(self, cells, split, limit, *, model, dataset, attention):
        self.asked.append((model, dataset, attention))
        assert split == "test"
        assert len({c.identity for c in cells}) == len(cells)
        types = ("color", "existence") if dataset == "fruitfly" else ("existence",)
        asked = []
        for i in range(limit * 4):
            yes = i % 4 < 2
            answer = ("yes" if yes else "no") if (kind := types[i % len(types)]) != "color" else "a"
            asked.append((kind, answer, None if yes else "adversarial"))
        rng = np.random.default_rng(1)
        other = {"yes": "no", "no": "yes", "a": "b"}
        said = {}
        for c in cells:
            rate = 0.97 if c.method == "mi_pruner" else 0.4
            right = rng.random(len(asked)) < rate
            said[c.identity] = [
                a if r else other[a] for (_, a, _), r in zip(asked, right, strict=True)
            ]
        return answers(said, asked)


def test_the_study_judges_every_prediction_on_both_alignments() -> None:
    context = Invented()
    table = run(context)["predictions"]
    assert context.asked == [
        ("fruitfly", "fruitfly", True), ("fruitfly", "fruitfly-closed", False),
        ("fruitfly-contrastive", "fruitfly", True),
        ("fruitfly-contrastive", "fruitfly-closed", False),
    ]  # fmt: skip
    assert len(table) == 2 * len(PREDICTIONS)  # one budget each when quick
    over = table[table.finding.isin(["random", "similarity", "attention", "diversity", "rising"])]
    assert (over.verdict == "confirmed").all()
    same = table[table.finding.isin(["temperature", "weight_open", "normalization"])]
    assert not (same.verdict == "confirmed").any()
    alone = run(Invented(model="mine.safetensors"))["predictions"]
    assert set(alone.model) == {"mine.safetensors"}


def test_the_forest_shows_every_row_once_at_its_estimate() -> None:
    """Markers of both columns are the estimates in points, shaped by verdict."""
    table = make_predictions()
    with theme():
        figure = predictions.draw(table)
    found: list[tuple[float, str, bool]] = []
    for ax in figure.axes:
        for line in ax.lines:
            if len(line.get_xdata()) == 1:
                hollow = line.get_markerfacecolor() == "white"
                x = float(np.ravel(line.get_xdata())[0])
                found.append((round(x, 6), line.get_marker(), hollow))
    shapes = {
        "confirmed": ("o", False), "undecided": ("o", True), "contradicted": ("X", False),
    }  # fmt: skip
    wanted = [
        (round(100 * e, 6), *shapes[v]) for e, v in zip(table.estimate, table.verdict, strict=True)
    ]
    assert sorted(found) == sorted(wanted)
    heights = [sorted({np.ravel(x.get_ydata())[0] for x in ax.lines if len(x.get_xdata()) == 1})
               for ax in figure.axes]  # fmt: skip
    assert len(heights[0]) == len(table) / 2  # no two rows on one line
    assert min(np.diff(heights[0])) > 0.2


def test_the_caption_counts_verdicts_and_names_findings_without_exception() -> None:
    table = make_predictions().assign(verdict="undecided")
    table.loc[table.finding == "rising", "verdict"] = "contradicted"
    table.loc[table.finding == "random", "verdict"] = "confirmed"
    text = predictions.caption(table)
    assert f"Of {len(table)} rows 6 confirmed, {len(table) - 12} undecided, 6 contradicted" in text
    assert "Confirmed in every row: MI-Pruner beats Random." in text
    assert "Contradicted in every row: Pruning raises accuracy over all tokens." in text
