"""The studies of what should replace the score: tuning alike, paired differences, the search."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from analysis.ablation import Configuration
from analysis.settings import INTERNALS
from analysis.studies import Context
from analysis.studies import tuning as tuning_module
from analysis.studies.oracle_gap import QUICK_SEARCHED, SEARCHED, gaps, search, spread
from analysis.studies.replacement import (
    ALL,
    QUESTIONS,
    QUICK_QUESTIONS,
    answered,
    compared_with,
    corrected,
    each_draw,
)
from analysis.studies.tuning import GRIDS, LARGEST_GRID, chosen, tuned
from mitheory.models.base import Answer
from mitheory.selection import SELECTORS

PRUNES_INSIDE = {m for m, own in SELECTORS.items() if set(own.requires) & set(INTERNALS)}


def test_every_method_before_the_decoder_is_tuned_and_none_more_than_others():
    assert set(GRIDS) == set(SELECTORS) - PRUNES_INSIDE - {"oracle"}
    assert {len(grid) for grid in GRIDS.values()} <= set(range(1, LARGEST_GRID + 1))


@pytest.mark.parametrize("method", GRIDS)
def test_configurations_of_a_grid_are_valid_and_all_different(method):
    cells = [Configuration(method, 8, options) for options in GRIDS[method]]
    assert len({cell.identity for cell in cells}) == len(cells)


def test_the_best_of_the_validation_split_is_chosen_for_each_budget(tmp_path, monkeypatch):
    """Ties go to the first; the test split is never asked."""
    grids = {"similarity": [{"word_aggregation": "max"}, {"word_aggregation": "mean"}]}
    monkeypatch.setattr(tuning_module, "GRIDS", grids)
    asked = []

    def answered(self, cells, split, limit, *, model=""):
        asked.append(split)
        right = {8: {"max": 1, "mean": 3}, 36: {"max": 2, "mean": 2}}
        counts = [right[c.budget][c.options["word_aggregation"]] for c in cells]
        return pd.DataFrame(
            [
                {"cell": c.identity, "correct": i < n, "log_prob": -1.0}
                for c, n in zip(cells, counts, strict=True)
                for i in range(4)
            ]
        ).astype({"correct": "boolean"})

    monkeypatch.setattr(Context, "answered", answered)
    tried = tuned(Context(tmp_path, quick=True))
    taken = {(c.budget, c.options["word_aggregation"]) for c in chosen(tried, "fruitfly")}
    assert taken == {(8, "mean"), (36, "max")}
    assert set(asked) == {"validation"}
    assert tried[tried.chosen & (tried.budget == 8)].accuracy.tolist() == [0.75, 0.75]


def answers(accuracy, *, scenes=60, per=4, seed=0):
    """Rows of methods of known accuracy, on the same questions."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(scenes * per):
        for method, share in accuracy.items():
            rows.append(
                {
                    "sample_id": f"q{i}",
                    "image_id": f"s{i // per}",
                    "method": method,
                    "question_type": ("color", "digit")[i % 2],
                    "budget": 8,
                    "options": "{}",
                    "correct": rng.random() < share,
                }
            )
    return pd.DataFrame(rows)


def test_differences_are_the_reference_less_the_method():
    rows = answers({"log_mass": 0.9, "mi_pruner": 0.6, "random": 0.6})
    table = corrected(compared_with(rows, ("log_mass", "mi_pruner")))
    own = table[table.question_type == ALL].set_index("method")
    means = rows.groupby("method").correct.mean()
    assert own.accuracy["random"] == pytest.approx(means["random"])
    assert own.log_mass_minus["random"] == pytest.approx(means["log_mass"] - means["random"])
    assert own.log_mass_low["random"] > 0.15
    assert own.log_mass_p_holm["random"] < 0.05 < own.mi_pruner_p_holm["random"]
    assert np.isnan(own.log_mass_p_value["log_mass"])
    assert (own.log_mass_p_holm.dropna() >= own.log_mass_p_value.dropna()).all()
    assert set(table.question_type) == {ALL, "color", "digit"}
    assert table[table.question_type != ALL].log_mass_p_value.isna().all()


def test_draws_of_scenes_by_hand():
    """Two draws, two questions each: log mass has both right, random none and one."""
    rows = pd.DataFrame(
        [
            {"scene_seed": seed, "sample_id": f"{seed}-{i}", "budget": 8, "method": m, "correct": r}
            for seed in (0, 1)
            for i in (0, 1)
            for m, r in (("log_mass", True), ("random", i < seed))
        ]
    )
    table = each_draw(rows).set_index(["method", "scene_seed"])
    assert table.log_mass_minus.to_dict() == {
        ("log_mass", 0): 0.0, ("random", 0): 1.0, ("log_mass", 1): 0.0, ("random", 1): 0.5
    }  # fmt: skip
    assert table.n.tolist() == [2] * 4


def test_every_draw_is_of_other_scenes(tmp_path, monkeypatch):
    asked = []

    def one(self, cells, split, limit, *, model=""):
        asked.append((self.seed, split, limit, model))
        return pd.DataFrame({"sample_id": [f"test-{self.seed}-0"]})

    monkeypatch.setattr(Context, "answered", one)
    rows = answered(Context(tmp_path, seed=5), [], "fruitfly")
    assert asked == [(s, "test", QUESTIONS, "fruitfly") for s in (5, 6, 7)]
    assert rows.scene_seed.tolist() == [5, 6, 7]


def test_equal_methods_are_seldom_told_apart():
    """Ten families of two equal methods: at most two below 5% (binomial, 1.2% more often)."""
    pair = {"log_mass": 0.7, "mi_pruner": 0.7}
    found = [
        corrected(compared_with(answers(pair, seed=s), ("log_mass",)), ("log_mass",))
        for s in range(10)
    ]
    assert sum((t.log_mass_p_holm < 0.05).any() for t in found) <= 2


class Modular:
    """A stand-in whose truth is the more probable the more its kept tokens are worth."""

    worth = torch.tensor([0.0, 3.0, 1.0, 5.0, 2.0, 4.0])

    def answer(self, samples, keep):
        values = [float(self.worth[k].sum()) for k in keep]
        return [Answer("yes" if v >= 9 else "no", 0.0, v - 15) for v in values]


def sample(name):
    return SimpleNamespace(sample_id=name, n_v=6, answer="yes")


def test_the_search_over_all_tokens_is_greedy():
    found = search(Modular(), [sample("a"), sample("b")], 3, seed=0, share=1.0)
    assert found.kept.tolist() == [[3, 5, 1]] * 2
    assert found.log_prob.tolist() == [-3.0, -3.0]
    assert found.correct.all()


def test_the_search_over_a_share_keeps_distinct_tokens_and_repeats_itself():
    first, again = (search(Modular(), [sample("a")], 5, seed=1, share=0.3) for _ in range(2))
    assert first.kept.tolist() == again.kept.tolist()
    assert len(set(first.kept[0])) == 5


def test_gaps_by_hand():
    searched = pd.DataFrame(
        {"sample_id": ["a", "b"], "kept": [[0, 1], [2, 3]], "log_prob": [-0.5, -0.5],
         "correct": [True, True]}
    )  # fmt: skip
    rows = pd.DataFrame(
        {"method": "random", "sample_id": ["b", "a"], "image_id": ["y", "x"],
         "log_prob": [-2.5, -0.5], "correct": [False, True], "kept": [[3, 4], [1, 0]]}
    )  # fmt: skip
    table = gaps(rows, searched).set_index("method")
    assert table.log_prob_gap.tolist() == [0.0, 1.0]
    assert table.accuracy.tolist() == [1.0, 0.5]
    assert table.overlap["random"] == pytest.approx(0.75)
    assert np.isnan(table.p_holm["search"])
    assert table.n_clusters.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("limit", "count"), [(QUESTIONS, SEARCHED), (QUICK_QUESTIONS, QUICK_SEARCHED)]
)
def test_questions_of_the_search_are_about_several_scenes_and_kinds(limit, count):
    """Intervals over scenes need more than one, also of a quick run; eight questions a scene."""
    names = [f"{i // 8}-{i % 8}" for i in range(limit)]
    scenes, kinds = zip(*(name.split("-") for name in spread(names, count)), strict=True)
    assert len(scenes) == count
    assert len(set(scenes)) >= 5
    assert len(set(kinds)) == 8 if count == SEARCHED else len(set(kinds)) >= 4
