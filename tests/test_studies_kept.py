"""Studies of kept sets and scores: counts by hand, chance against enumeration, slow twins."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis.ablation.searching import SEARCHERS
from analysis.studies.agreement import cells, pairs, reads_decoder
from analysis.studies.measuring import beyond_chance, chance_overlap, masks, overlap
from analysis.studies.search_cost import COMPARED, Metered
from analysis.studies.sinks import common, compared, differ, paired
from mitheory.bundle import Sample
from mitheory.errors import ParameterError
from mitheory.scores import mi_score

SEEDS = st.integers(0, 2**20)


def score(seed, n=12):
    rng = torch.Generator().manual_seed(seed)
    relevance = torch.randn(n, generator=rng, dtype=torch.float64)
    return mi_score(relevance, torch.randn(n, n, generator=rng, dtype=torch.float64))


def question(name, relevant, *, image="i", seed=0):
    rng = torch.Generator().manual_seed(seed)
    attention = torch.rand(2, 9, 9, generator=rng)
    return Sample(
        sample_id=name, image_id=image, visual=torch.randn(9, 4, generator=rng),
        text=torch.randn(3, 4, generator=torch.Generator().manual_seed(len(name))), grid=(3, 3),
        tokens=("a", "b", "c"), question=name, answer="yes", question_type="color",
        relevant=torch.tensor([i in relevant for i in range(9)]),
        patch_attention=attention / attention.sum(-1, keepdim=True),
        cls_attention=attention[:, 0] / attention[:, 0].sum(-1, keepdim=True),
    )  # fmt: skip


# --- what a search asks for -------------------------------------------------------------------


@given(SEEDS, st.sampled_from(COMPARED), st.integers(1, 12))
def test_counting_changes_no_choice_and_counts_what_the_search_says(seed, name, budget):
    rule = score(seed)
    plain = SEARCHERS[name](rule, budget, 0)
    metered = Metered(rule)
    assert SEARCHERS[name](metered, budget, 0).indices.tolist() == plain.indices.tolist()
    assert metered.scores == plain.evaluations


@given(SEEDS, st.integers(2, 12))
def test_no_search_needs_more_entries_than_eager_search(seed, budget):
    """Eager search brings every open token up to date at each step: Σ_{t≥1} (n − t) entries.

    From two tokens on: to fill its heap after the first choice is of no use with a budget of one.
    """
    rule, entries = score(seed), {}
    for name in COMPARED:
        metered = Metered(rule)
        SEARCHERS[name](metered, budget, 0)
        entries[name] = metered.entries
    assert entries["eager"] == sum(12 - t for t in range(1, budget))
    assert entries["static_heap"] == 0
    assert max(entries.values()) == entries["eager"]


def test_a_token_asked_for_late_needs_all_entries_in_between():
    metered = Metered(score(0, n=4))
    state = metered.start()
    for i in (0, 1):
        state = metered.extend(state, i)
    metered.gain_of(state, 3)
    metered.gain_of(state, 3)
    assert (metered.scores, metered.entries) == (2, 2)


# --- agreement --------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "k"), [(5, 2), (6, 4), (7, 1), (4, 4)])
def test_chance_is_the_mean_over_all_pairs_of_sets(n, k):
    sets = [set(c) for c in combinations(range(n), k)]
    shares = [len(a & b) / len(a | b) for a in sets for b in sets]
    assert chance_overlap(n, k) == pytest.approx(np.mean(shares))


def test_random_sets_agree_at_chance_and_equal_ones_wholly():
    rng = np.random.default_rng(0)
    kept = [masks([rng.choice(20, 5, replace=False) for _ in range(4000)], 20) for _ in range(2)]
    assert beyond_chance(overlap(*kept), 20, 5).mean() == pytest.approx(0, abs=0.01)
    assert (beyond_chance(overlap(kept[0], kept[0]), 20, 5) == 1).all()
    with pytest.raises(ParameterError, match="fewer than all 5"):
        beyond_chance(np.ones(1), 5, 5)


def test_pairs_are_those_of_a_slow_twin():
    rng = np.random.default_rng(1)
    sets = {n: [rng.choice(9, 3, replace=False) for _ in range(8)] for n in "abc"}
    table = pairs({n: masks(s, 9) for n, s in sets.items()}, 9, np.array(list("ppqqrrss")))
    assert [(r.first, r.second) for r in table.itertuples()] == [("a", "b"), ("a", "c"), ("b", "c")]
    for row in table.itertuples():
        both = zip(sets[row.first], sets[row.second], strict=True)
        shares = [len({*x} & {*y}) / len({*x} | {*y}) for x, y in both]
        assert row.overlap == pytest.approx(np.mean(shares))
        expected = (np.mean(shares) - chance_overlap(9, 3)) / (1 - chance_overlap(9, 3))
        assert row.estimate == pytest.approx(expected)
        assert row.low <= row.estimate <= row.high
        assert (row.questions, row.scenes, row.budget) == (8, 4, 3)


def test_random_is_drawn_apart_from_what_the_oracle_fills_up_with():
    found = cells()
    assert found["random"].draw != found["oracle"].draw
    assert {"similarity:max", "similarity:mean", "fastv@2", "mi_pruner"} <= set(found)
    assert not reads_decoder("cls_attention")


# --- sinks ------------------------------------------------------------------------------------


def test_questions_are_paired_with_the_first_about_other_patches():
    first, same = question("first", {0, 1}), question("same", {0, 1})
    part, other = question("part", {0}), question("other", {1, 5})
    nothing = question("nothing", set(), image="j")
    assert paired([nothing, first, same, part, other]) == [(first, other)]
    assert not differ(first, part)
    assert (common(first, same), common(first, part), common(first, nothing)) == (1.0, 0.5, 1.0)


def test_attention_follows_no_question_and_all_shares_sum_to_one():
    rows = compared(question("one", {0, 1}), question("other", {4, 5}))
    of = {row["score"]: row for row in rows}
    for name in ("cls_attention", "attention"):
        assert of[name]["overlap"] == 1
        assert of[name]["own"] == pytest.approx(of[name]["foreign"])
    assert of["information"]["own"] != pytest.approx(of["information"]["foreign"])
    assert all(0 < row["top_share"] <= 1 for row in rows)


def test_density_is_the_share_over_the_mean_share():
    """Patches 0 and 1 hold one half of the attention: 4.5/2 times the mean each."""
    even = torch.full((1, 9), 0.5 / 7)
    even[0, :2] = 0.25
    one, other = question("one", {0, 1}), question("other", {4, 5})
    for sample in (one, other):
        object.__setattr__(sample, "cls_attention", even)
    (row,) = [r for r in compared(one, other) if r["score"] == "cls_attention"]
    mine, theirs = 0.25 * 9, 0.5 / 7 * 9
    assert row["own"] == row["foreign"] == pytest.approx((mine + theirs) / 2)
    assert row["top_share"] == pytest.approx(0.25)  # one of nine patches is the top 5%
