"""The greedy score: order-dependent, antitone or not, and never with a guarantee (theory B)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selection_cases import normal, uniform

from mitheory import properties as P
from mitheory.errors import ParameterError, PropertyError, ShapeError, UnknownNameError
from mitheory.pmi import self_pmi
from mitheory.scores import lowest_redundancy, mi_score, resolve_empty_redundancy, weighted_score
from mitheory.selection import greedy
from mitheory.selection.search import exhaustive, greedy_guarantee

SEEDS = st.integers(0, 2**20)
WEIGHTS = st.floats(0, 0.99)


def symmetric(seed, n):
    """A symmetric self-PMI with entries of both signs."""
    x = normal(seed, n, n)
    return (x + x.T) / 2


def rule(seed, n=4, **options):
    pmi = symmetric(seed + 1, n)
    return mi_score(normal(seed, n), pmi, log_cond=pmi - math.log(n), **options)


def test_the_score_by_hand():
    """λ = ½, S = {0}: ½ · (1, .5, 0) − ½ · column 0; S = {0, 1}: the larger of both columns."""
    pmi = torch.tensor([[9.0, 1.0, 2.0], [-1.0, 9.0, 3.0], [4.0, -2.0, 9.0]])
    f = mi_score(torch.tensor([1.0, 0.5, 0.0]), pmi, relevance_weight=0.5)
    assert f.scores([]).tolist() == [0.5, 0.25, 0.0]
    assert f.scores([0])[1:].tolist() == [0.25 + 0.5, 0.0 - 2.0]
    assert float(f.scores([0, 1])[2]) == -2.0
    assert float(f.scores([1])[2]) == 1.0


def test_global_redundancy_by_hand():
    """Eq. (21) over V_S = {0, 1}: Σ_j p(v_j | v_2) PMI(2; j) with p = ½, ¼."""
    pmi = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [2.0, -4.0, 0.0]])
    log_cond = torch.tensor([0.5, 0.25, 0.25]).log().expand(3, 3)
    f = mi_score(torch.zeros(3), pmi, relevance_weight=0.0, aggregation="global", log_cond=log_cond)
    assert float(f.scores([0])[2]) == pytest.approx(-1.0)
    assert float(f.scores([0, 1])[2]) == pytest.approx(0.0)


@given(SEEDS)
def test_the_running_total_depends_on_the_order(seed):
    """B1: for λ < 1 the totals of two orders differ, though self-PMI is symmetric."""
    f = rule(seed, relevance_weight=0.5)
    found = P.check_path_independent(f.scores, f.n)
    assert found is not None
    assert sorted(found.smaller) == sorted(found.larger)
    assert P.PATH_INDEPENDENT not in f.properties


@given(SEEDS)
def test_at_full_relevance_weight_it_is_a_modular_function(seed):
    """B5: λ = 1 is modular: path-independent, antitone, and greedy is exact."""
    f = rule(seed, relevance_weight=1.0)
    assert P.check_path_independent(f.scores, f.n) is None
    assert P.check_antitone(f.scores, f.n) is None
    assert {P.MODULAR, P.PATH_INDEPENDENT, P.ANTITONE} <= f.properties
    assert greedy_guarantee(f) == "exact"


@given(SEEDS, WEIGHTS, st.sampled_from(["max", "global"]), st.floats(-4, 4) | st.just("lowest"))
def test_declared_antitonicity_is_true(seed, weight, aggregation, empty):
    """B3: what the rule declares holds over all orders of selection."""
    f = rule(seed, relevance_weight=weight, aggregation=aggregation, empty_redundancy=empty)
    if P.ANTITONE in f.properties:
        assert P.check_antitone(f.scores, f.n) is None
    if P.ANTITONE_AFTER_FIRST in f.properties:
        assert P.check_antitone(f.scores, f.n, after_first=True) is None


@given(SEEDS, st.floats(0, 0.9))
def test_the_maximum_is_antitone_exactly_when_the_empty_set_is_worth_least(seed, weight):
    """B3: with an empty redundancy above some PMI the score rises after the first choice."""
    f = rule(seed, relevance_weight=weight)
    low = lowest_redundancy(f.pmi)
    below = rule(seed, relevance_weight=weight, empty_redundancy=low)
    above = rule(seed, relevance_weight=weight, empty_redundancy=low + 0.1)
    assert P.ANTITONE in below.properties
    assert P.check_antitone(below.scores, f.n) is None
    assert P.ANTITONE not in above.properties
    assert P.check_antitone(above.scores, f.n) is not None
    assert P.ANTITONE_AFTER_FIRST in above.properties


def test_lowest_means_the_smallest_of_two_different_tokens():
    pmi = torch.tensor([[-9.0, 1.0], [-2.0, -9.0]])
    assert lowest_redundancy(pmi) == -2.0
    assert mi_score(torch.zeros(2), pmi, empty_redundancy="lowest").empty_redundancy == -2.0
    assert resolve_empty_redundancy("lowest", torch.zeros(1, 1)) == 0.0  # no other token


def test_real_self_pmi_is_negative_somewhere_so_zero_is_not_antitone():
    """A row of p(v_j | v_i) averages to 1/N, hence PMI against 1/N has both signs."""
    pmi = self_pmi(normal(0, 1, 6, 4), temperature=0.1).matrix()[0]
    assert lowest_redundancy(pmi) < 0
    assert P.ANTITONE not in mi_score(normal(1, 6), pmi).properties
    assert P.ANTITONE in mi_score(normal(1, 6), pmi, empty_redundancy="lowest").properties


def test_global_aggregation_is_not_antitone_whatever_the_empty_set_is_worth():
    """B4: a second selected token of negative PMI lowers the redundancy."""
    pmi = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, -1.0, 0.0]])
    f = mi_score(
        torch.zeros(3),
        pmi,
        aggregation="global",
        log_cond=torch.full((3, 3), 1 / 3).log(),
        empty_redundancy=-100.0,
    )
    found = P.check_antitone(f.scores, 3, after_first=True)
    assert (found.smaller, found.larger, found.element) == ((0,), (0, 1), 2)
    assert not {P.ANTITONE, P.ANTITONE_AFTER_FIRST} & f.properties


@given(SEEDS, WEIGHTS)
def test_no_guarantee_and_no_exhaustive_optimum_for_a_rule(seed, weight):
    """B1: a rule has no value, so neither 1 − 1/e nor a best set is defined."""
    f = rule(seed, relevance_weight=weight)
    assert greedy(f, 2).guarantee is None
    with pytest.raises(PropertyError, match="order of selection"):
        exhaustive(f, 2)


@given(SEEDS, st.floats(-3, 3), st.floats(-3, 3), st.floats(0.01, 0.99))  # less drowns in rounding
def test_the_empty_redundancy_moves_no_choice(seed, one, other, weight):
    """Every constant for the empty set gives the same greedy choices; only the first gain moves."""
    first = greedy(rule(seed, 6, relevance_weight=weight, empty_redundancy=one), 4)
    second = greedy(rule(seed, 6, relevance_weight=weight, empty_redundancy=other), 4)
    assert first.indices.tolist() == second.indices.tolist()
    assert first.gains[1:].tolist() == second.gains[1:].tolist()
    shift = (1 - weight) * (other - one)
    assert float(first.gains[0] - second.gains[0]) == pytest.approx(shift, abs=1e-9)


def test_without_relevance_weight_the_first_choice_is_the_lowest_index():
    """B5: λ = 0 leaves the first choice undetermined."""
    assert greedy(rule(5, 6, relevance_weight=0.0), 1).indices.tolist() == [0]


@given(SEEDS, st.floats(0, 1))
def test_extremes_of_the_pmi_never_give_nan(seed, weight):
    """−∞ in relevance or self-PMI (MinMax puts one in every row) orders, and is never NaN."""
    relevance, pmi = normal(seed, 5), symmetric(seed, 5)
    relevance[uniform(seed, 5) < 0.4] = -math.inf
    pmi[uniform(seed + 1, 5, 5) < 0.4] = -math.inf
    f = mi_score(relevance, pmi, relevance_weight=weight)
    for path in ([], [0], [0, 3]):
        assert not torch.isnan(f.scores(path)).any()


def test_a_term_of_weight_zero_is_left_out():
    r, red = torch.tensor([-torch.inf, 1.0]), torch.tensor([2.0, -torch.inf])
    assert weighted_score(r, red, 1.0).tolist() == [-math.inf, 1.0]
    assert weighted_score(r, red, 0.0).tolist() == [-2.0, math.inf]
    assert weighted_score(r, red, 0.5).tolist() == [-math.inf, math.inf]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"relevance_weight": 1.5}, ParameterError, "relevance_weight"),
        ({"aggregation": "maximum"}, UnknownNameError, "max"),
        ({"aggregation": "global"}, ParameterError, "log_cond"),
        ({"empty_redundancy": "low"}, ParameterError, "lowest"),
        ({"log_cond": torch.zeros(2, 2)}, ShapeError, "log_cond"),
    ],
)
def test_bad_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        mi_score(torch.zeros(3), torch.zeros(3, 3), **options)


def test_lowest_of_minus_infinity_is_refused():
    pmi = torch.tensor([[0.0, -torch.inf], [1.0, 0.0]])
    with pytest.raises(ParameterError, match="give a number"):
        mi_score(torch.zeros(2), pmi, empty_redundancy="lowest")
