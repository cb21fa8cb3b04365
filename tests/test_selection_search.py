"""Search algorithms: each against a slower one, and refusals where a property is missing."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selection_cases import conditionally_independent_table, example, normal, uniform

from mitheory import properties as P
from mitheory.errors import BudgetError, ParameterError, PropertyError, ShapeError
from mitheory.scores import MIScore, mi_score
from mitheory.selection import (
    Selection,
    exhaustive,
    greedy,
    lazy_greedy,
    stochastic_greedy,
    top_k,
)
from mitheory.setfunctions import SETFUNCTIONS, Coverage, DiscreteMI, FacilityLocation, Modular

SEEDS = st.integers(0, 2**20)


def slow_greedy(value, n, k):
    """Greedy by values alone."""
    kept = []
    for _ in range(k):
        rest = [i for i in range(n) if i not in kept]
        kept.append(max(rest, key=lambda i: value([*kept, i]) - value(kept)))
    return kept


def rule(seed, n=8, *, integers=False, **options):
    """A greedy score whose self-PMI has both signs; small integers make many exact ties."""
    relevance, pmi = normal(seed, n), normal(seed + 1, n, n)
    if integers:
        relevance, pmi = relevance.round(), pmi.round()
    return mi_score(relevance, pmi, log_cond=pmi - math.log(n), **options)


class FalselyAntitone(MIScore):
    """The same scores under a declaration that nobody proved."""

    properties = frozenset({P.ANTITONE, P.ANTITONE_AFTER_FIRST})


def lie(f):
    return FalselyAntitone(**{x.name: getattr(f, x.name) for x in dataclasses.fields(f)})


@pytest.mark.parametrize("name", SETFUNCTIONS)
@given(SEEDS, st.integers(1, 4))
def test_greedy_equals_its_slow_twin(name, seed, k):
    f = example(name, seed)
    found = greedy(f, k)
    twin = slow_greedy(f.value, f.n, k)
    assert f.value(found.indices.tolist()) == pytest.approx(f.value(twin), abs=1e-9)
    assert float(found.gains.sum()) == pytest.approx(f.value(twin) - f.value([]), abs=1e-9)
    assert found.evaluations == sum(f.n - t for t in range(k))


@pytest.mark.parametrize("name", SETFUNCTIONS)
@given(SEEDS, st.integers(1, 4))
def test_greedy_keeps_what_it_promises(name, seed, k):
    """Greedy is exact for modular and within 1 − 1/e for normalized monotone submodular functions;
    it promises nothing else."""
    f = example(name, seed)
    found = greedy(f, k)
    reached, best = f.value(found.indices.tolist()), exhaustive(f, k)
    optimum = f.value(best.indices.tolist())
    assert reached <= optimum + 1e-9
    proved = {P.NORMALIZED, P.MONOTONE, P.SUBMODULAR} <= f.properties
    expected = "exact" if P.MODULAR in f.properties else "1-1/e" if proved else None
    assert found.guarantee == expected
    factor = {"exact": 1.0, "1-1/e": 1 - 1 / math.e}.get(expected)
    if factor is not None:
        assert reached >= factor * optimum - 1e-9


def test_without_submodularity_greedy_can_be_far_below_its_factor():
    """A2: T = V_1 xor V_2, and V_3 that tells a little: greedy takes V_3, then a useless bit."""
    table = torch.zeros(2, 2, 2, 2, dtype=torch.float64)
    for a, b, noise in itertools.product((0, 1), repeat=3):
        t = a ^ b
        table[a, b, t ^ noise, t] += 0.25 * (0.4 if noise else 0.6)
    f = DiscreteMI(table)
    found = greedy(f, 2)
    assert int(found.indices[0]) == 2
    assert found.guarantee is None
    assert exhaustive(f, 2).indices.tolist() == [0, 1]
    assert f.value(found.indices.tolist()) < (1 - 1 / math.e) * f.value([0, 1])


# --- lazy --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETFUNCTIONS)
@given(SEEDS, st.integers(1, 4))
def test_lazy_equals_greedy_for_submodular_functions_and_refuses_others(name, seed, k):
    """Stale gains are upper bounds where returns diminish."""
    f = example(name, seed)
    if P.SUBMODULAR in f.properties:
        assert lazy_greedy(f, k).indices.tolist() == greedy(f, k).indices.tolist()
    else:
        with pytest.raises(PropertyError, match="SUBMODULAR"):
            lazy_greedy(f, k)


@given(SEEDS, st.floats(0, 1), st.integers(1, 8), st.booleans())
def test_lazy_equals_greedy_where_antitone_is_declared(seed, weight, k, integers):
    """B3: with the empty set worth least, negative self-PMI included: same choices, same gains,
    ties and all, with no more evaluations."""
    f = rule(seed, integers=integers, relevance_weight=weight, empty_redundancy="lowest")
    assert bool((f.pmi < 0).any())
    lazy, eager = lazy_greedy(f, k), greedy(f, k)
    assert lazy.indices.tolist() == eager.indices.tolist()
    assert lazy.gains.tolist() == eager.gains.tolist()
    assert lazy.evaluations <= eager.evaluations


def test_lazy_refuses_the_paper_score_with_an_empty_redundancy_of_zero():
    """B3: 0 is above some PMI, so ANTITONE is not declared; the message says what to do."""
    with pytest.raises(PropertyError, match=r"ANTITONE.*seed_after_first=True"):
        lazy_greedy(rule(0), 3)


def test_lazy_without_the_property_differs_from_greedy():
    """B3: stale keys that are no upper bounds. After choosing 0, the score of 2 has risen above
    the key of 1, but 2's stale key hides it."""
    pmi = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [-4.0, 0.0, 0.0]])
    f = mi_score(torch.tensor([3.0, 2.0, 1.0]), pmi, relevance_weight=0.5, empty_redundancy=0.0)
    assert greedy(f, 2).indices.tolist() == [0, 2]  # 2: ½ − ½ · (−4) = 2.5 against 1: 1
    assert lazy_greedy(lie(f), 2).indices.tolist() == [0, 1]


@given(SEEDS, st.floats(0, 1), st.floats(-3, 3), st.integers(1, 8), st.booleans())
def test_a_heap_filled_after_the_first_choice_is_exact_whatever_the_empty_set(
    seed, weight, empty, k, integers
):
    """B3: once something is selected the maximum only grows; ANTITONE_AFTER_FIRST is enough."""
    f = rule(seed, integers=integers, relevance_weight=weight, empty_redundancy=empty)
    lazy, eager = lazy_greedy(f, k, seed_after_first=True), greedy(f, k)
    assert lazy.indices.tolist() == eager.indices.tolist()
    assert lazy.gains.tolist() == eager.gains.tolist()


def test_global_redundancy_is_refused_by_both_and_rightly():
    """B4: signs are mixed, so that a score can rise at any time."""
    f = rule(0, relevance_weight=0.5, aggregation="global")
    for seeded in (False, True):
        with pytest.raises(PropertyError):
            lazy_greedy(f, 3, seed_after_first=seeded)
    wrong = 0
    for seed in range(40):
        f = rule(seed, relevance_weight=0.3, aggregation="global")
        lazy = lazy_greedy(lie(f), 6, seed_after_first=True)
        wrong += lazy.indices.tolist() != greedy(f, 6).indices.tolist()
    assert wrong > 0


def test_lazy_saves_evaluations():
    """Facility location on 60 columns: less than half of the eager 60 + 59 + ..."""
    f = FacilityLocation(uniform(0, 40, 60))
    lazy, eager = lazy_greedy(f, 15), greedy(f, 15)
    assert lazy.indices.tolist() == eager.indices.tolist()
    assert lazy.evaluations < 0.5 * eager.evaluations


# --- top-k, stochastic, exhaustive --------------------------------------------------------------


@given(SEEDS, st.integers(1, 6))
def test_top_k_is_exact_for_modular_objectives(seed, k):
    """B5: one sort equals greedy equals the best of all sets."""
    f = Modular(normal(seed, 6).round(decimals=1))
    found = top_k(f, k)
    assert found.indices.tolist() == greedy(f, k).indices.tolist()
    best = exhaustive(f, k).indices.tolist()
    assert f.value(found.indices.tolist()) == pytest.approx(f.value(best))
    assert found.guarantee == "exact"


def test_top_k_of_the_score_at_full_relevance_weight_and_refusal_below():
    f = rule(3, relevance_weight=1.0)
    assert top_k(f, 4).indices.tolist() == greedy(f, 4).indices.tolist()
    with pytest.raises(PropertyError, match="MODULAR"):
        top_k(rule(3, relevance_weight=0.99), 4)


def test_ties_go_to_the_lowest_index_everywhere():
    f = Modular(torch.tensor([1.0, 2.0, 2.0, 1.0, 2.0]))
    for search in (greedy, lazy_greedy, top_k):
        assert search(f, 4).indices.tolist() == [1, 2, 4, 0]
    assert exhaustive(f, 4).indices.tolist() == [0, 1, 2, 4]


@given(SEEDS)
def test_stochastic_greedy_with_a_full_sample_is_greedy(seed):
    """ε so small that every sample is everything."""
    f = Coverage(uniform(seed, 6, 8), uniform(seed + 1, 6))
    rng = torch.Generator().manual_seed(seed)
    found = stochastic_greedy(f, 4, rng=rng, epsilon=1e-6)
    assert found.indices.tolist() == greedy(f, 4).indices.tolist()


def test_stochastic_greedy_looks_at_a_sample_and_follows_its_generator():
    f = Coverage(uniform(0, 30, 60), uniform(1, 30))

    def run(seed):
        return stochastic_greedy(f, 10, rng=torch.Generator().manual_seed(seed))

    state = torch.get_rng_state()
    assert run(0).indices.tolist() == run(0).indices.tolist()
    assert len({tuple(run(seed).indices.tolist()) for seed in range(5)}) > 1
    assert torch.equal(torch.get_rng_state(), state)
    assert run(0).evaluations == 10 * math.ceil(60 / 10 * math.log(10))
    assert run(0).guarantee == "1-1/e-0.1 in expectation"
    value = f.value(run(0).indices.tolist())
    assert value >= (1 - 1 / math.e - 0.1) * f.value(greedy(f, 10).indices.tolist())
    with pytest.raises(ParameterError, match="epsilon"):
        stochastic_greedy(f, 3, rng=torch.Generator(), epsilon=1.0)


def test_exhaustive_is_bounded_and_first_among_equals():
    f = Modular(torch.ones(5))
    assert exhaustive(f, 2).indices.tolist() == [0, 1]
    assert exhaustive(f, 2).evaluations == 10
    with pytest.raises(ParameterError, match="sets"):
        exhaustive(Modular(torch.ones(60)), 30)


@given(SEEDS)
def test_exhaustive_finds_the_maximum(seed):
    f = DiscreteMI(conditionally_independent_table(seed, 4))
    best = exhaustive(f, 2)
    assert f.value(best.indices.tolist()) == max(
        f.value(s) for s in itertools.combinations(range(4), 2)
    )


@pytest.mark.parametrize("budget", [0, 5, -1, 1.5, True])
def test_impossible_budgets_are_refused(budget):
    for search in (greedy, lazy_greedy, top_k, exhaustive):
        with pytest.raises(BudgetError, match="budget"):
            search(Modular(torch.ones(4)), budget)


# --- the record --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("indices", "gains", "error"),
    [
        ([0, 0], [1.0, 1.0], BudgetError),
        ([0], [1.0], BudgetError),
        ([0, 1, 2], [1.0] * 3, BudgetError),
        ([0, 4], [1.0, 1.0], ShapeError),
        ([0, -1], [1.0, 1.0], ShapeError),
        ([0, 1], [1.0], ShapeError),
    ],
)
def test_a_selection_checks_itself(indices, gains, error):
    with pytest.raises(error):
        Selection(torch.tensor(indices), torch.tensor(gains), "test", 2, 4)


def test_sorted_and_mask_of_a_selection():
    kept = Selection(torch.tensor([3, 0]), torch.zeros(2), "test", 2, 4)
    assert kept.sorted.tolist() == [0, 3]
    assert kept.mask.tolist() == [True, False, False, True]
    with pytest.raises(dataclasses.FrozenInstanceError):
        kept.budget = 3
