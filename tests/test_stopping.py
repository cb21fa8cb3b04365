"""Dynamic budgets: curves that certify, calibrated levels, prefixes that are selections."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from selection_cases import inputs

from mitheory import SELECTORS, select
from mitheory.errors import NonFiniteError, ParameterError, PropertyError
from mitheory.selection import (
    Selection,
    calibrated_level,
    certified_curve,
    certified_curve_of,
    gain_curve,
    greedy,
    prefix,
    stop,
    stopped,
)
from mitheory.selection.stopping import NESTED
from mitheory.setfunctions import FacilityLocation, Modular, certificate

SEEDS = st.integers(0, 2**20)


def facility(seed, rows=5, n=7):
    return FacilityLocation(
        torch.rand(rows, n, generator=torch.Generator().manual_seed(seed)).double()
    )


def best(function, size):
    """The largest value of any set of at most that size, by looking at all."""
    sets = itertools.combinations(range(function.n), size)
    return max(function.value(list(s)) for s in sets)


# --- certificates -------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 7))
def test_the_certified_curve_is_never_below_what_is_missing(seed, horizon):
    """1 − f(S_t) / max_{|O| ≤ K} f(O) ≤ c_t, of both forms; all gains are the sharper one."""
    function = facility(seed)
    kept = greedy(function, 7)
    coarse = certified_curve(kept.gains, horizon)
    sharp = certified_curve_of(function, kept.indices.tolist(), horizon)
    top = best(function, horizon)
    for t in range(7):
        missing = 1 - function.value(kept.indices[:t].tolist()) / top
        assert missing <= float(sharp[t]) + 1e-12
        assert sharp[t] <= coarse[t] + 1e-12
    assert coarse[0] == sharp[0] == 1
    assert bool((coarse.diff() <= 0).all())
    assert bool((sharp.diff() <= 0).all())


@given(SEEDS, st.integers(1, 7), st.permutations(range(7)))
def test_all_gains_certify_any_order(seed, horizon, order):
    """The bound needs no greedy choice, and is the best of `certificate` over all beginnings."""
    function = facility(seed)
    curve = certified_curve_of(function, order, horizon)
    bound = math.inf
    for t in range(7):
        own = certificate(function, order[:t], horizon) if t else None
        if own is not None:
            bound = min(bound, own.bound)
        else:
            bound = float(function.gains(function.start()).topk(horizon).values.sum())
        value = function.value(list(order[:t]))
        assert float(curve[t]) == pytest.approx(max(0.0, 1 - value / bound), abs=1e-9)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=8), st.integers(1, 8))
def test_of_a_modular_function_the_curve_is_what_is_missing(weights, horizon):
    """Nothing is bounded: the best K are the first K of the order."""
    function = Modular(torch.tensor(weights, dtype=torch.float64))
    kept = greedy(function, len(weights))
    curve = certified_curve(kept.gains, horizon, modular=True)
    top = sum(sorted(weights, reverse=True)[:horizon])
    for t in range(len(weights)):
        held = sum(sorted(weights, reverse=True)[:t])
        assert float(curve[t]) == pytest.approx(max(0.0, 1 - held / top) if top else 0.0, abs=1e-9)


def test_stopping_at_epsilon_keeps_a_set_that_is_certified():
    """What is kept at ε is worth more than 1 − ε of the best set of the horizon."""
    for seed in range(20):
        function = facility(seed)
        kept = stopped(greedy(function, 7), 0.25, rule="certified", horizon=3)
        if kept.budget < 7:
            assert function.value(kept.indices.tolist()) >= 0.75 * best(function, 3)


def test_certificates_are_refused_where_nothing_is_proved():
    with pytest.raises(ParameterError, match="never rise"):
        certified_curve(torch.tensor([1.0, 2.0]), 2)
    with pytest.raises(ParameterError, match="nonnegative"):
        certified_curve(torch.tensor([1.0, -1.0]), 2)
    with pytest.raises(PropertyError, match="MONOTONE"):
        certified_curve_of(Modular(torch.tensor([1.0, -1.0])), [0], 1)
    case = {n: x[0] for n, x in inputs(0, b=1, n_v=8).items()}
    mi = select("mi_pruner", visual=case["visual"], text=case["text"], budget=8)
    with pytest.raises(PropertyError, match="use 'gain'"):
        stopped(mi, 0.1, rule="certified")
    mixed = select("mi_attention", **case, budget=8)
    with pytest.raises(NonFiniteError, match="other means"):
        gain_curve(mixed.gains)
    with pytest.raises(PropertyError, match="mi_attention"):
        prefix(mixed, 3)


# --- prefixes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", sorted(NESTED & set(SELECTORS)))
@settings(max_examples=10)
@given(seed=SEEDS, budget=st.integers(1, 10))
def test_a_prefix_is_what_the_smaller_budget_keeps(method, seed, budget):
    """Of every method that says so: the same tokens in the same order."""
    case = {n: x[0] for n, x in inputs(seed, b=1, n_v=10).items()}
    whole = select(method, **case, budget=10)
    own = select(method, **case, budget=budget)
    cut = prefix(whole, budget)
    assert torch.equal(cut.indices, own.indices)
    assert cut.budget == budget
    assert cut.guarantee == own.guarantee


def test_methods_that_look_at_the_budget_are_not_nested():
    """Each of the others keeps other tokens first at some budget."""
    for method in ("mi_attention", "visionzip", "vispruner", "trimtokenator"):
        assert method not in NESTED
        cases = [{n: x[0] for n, x in inputs(s, b=1, n_v=12).items()} for s in range(4)]
        assert any(
            select(method, **c, budget=k).indices.tolist()
            != select(method, **c, budget=12).indices.tolist()[:k]
            for c in cases
            for k in (3, 6, 9)
        )


# --- levels -------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.floats(-3, 3), min_size=6, max_size=6), min_size=1, max_size=6),
       st.floats(1, 6))  # fmt: skip
def test_a_calibrated_level_keeps_the_average_or_the_least_above_it(rows, average):
    """No level keeps an average that is nearer from above; it is met exactly without ties."""
    curves = [gain_curve(torch.tensor(row, dtype=torch.float64)) for row in rows]
    level = calibrated_level(curves, average)

    def kept(at):
        return sum(stop(curve, at) for curve in curves) / len(curves)

    assert kept(level) >= average - 1e-9
    levels = sorted({float(x) for curve in curves for x in curve})
    above = [kept(x) for x in levels if x > level]
    assert all(count < average - 1e-9 for count in above)


def test_stop_by_hand():
    curve = torch.tensor([1.0, 0.5, 0.5, 0.1])
    assert [stop(curve, level) for level in (0.0, 0.5, 0.6, 2.0)] == [4, 3, 1, 1]
    assert stop(curve, 2.0, smallest=3) == 3
    with pytest.raises(ParameterError, match="never rises"):
        stop(curve.flip(0), 0.5)
    with pytest.raises(ParameterError, match="level"):
        stop(curve, math.nan)
    with pytest.raises(ParameterError, match="average"):
        calibrated_level([curve], 5)


def test_stopping_by_score_ends_before_the_first_score_under_the_level():
    kept = Selection(torch.tensor([3, 1, 0]), torch.tensor([2.0, 1.0, -1.0]), "greedy", 3, 4)
    assert stopped(kept, 0.0).indices.tolist() == [3, 1]
    assert stopped(kept, -1.0).indices.tolist() == [3, 1, 0]
    assert stopped(kept, 9.0).indices.tolist() == [3]
