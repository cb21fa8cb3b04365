"""What the front door promises of every method: determinism, scale, bad input by name."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selection_cases import generator, inputs

from mitheory import SELECTORS, select, select_batch
from mitheory.errors import (
    BudgetError,
    DTypeError,
    EmptyInputError,
    MitheoryError,
    NonFiniteError,
    ParameterError,
    ShapeError,
)
from mitheory.selection.inputs import NORMALIZED, SHAPES

SEEDS = st.integers(0, 2**20)
METHODS = pytest.mark.parametrize("method", SELECTORS)
MODES = pytest.mark.parametrize("mode", ["exact", "faithful"])
NUMERIC = [(m, n) for m, own in SELECTORS.items() for n in own.requires if n != "relevant"]
PLACES = pytest.mark.parametrize(("method", "name"), NUMERIC)
COSINES = [(m, n) for m, own in SELECTORS.items() for n in own.scale_free]
OPTIONS = [(m, o) for m, own in SELECTORS.items() for o in own.defaults]


def single(case, row=0):
    return {name: x[row] for name, x in case.items()}


def good(**sizes):
    return single(inputs(0, b=1, **sizes))


def same(a, b):
    """Two selections are one: tokens, gains, what is merged, what is told of them."""
    assert a.indices.tolist() == b.indices.tolist()
    torch.testing.assert_close(a.gains, b.gains, rtol=0, atol=0, equal_nan=True)
    assert (a.merge is None) == (b.merge is None)
    assert a.merge is None or a.merge.into.tolist() == b.merge.into.tolist()
    assert (a.params, a.departures, a.info) == (b.params, b.departures, b.info)


# --- determinism ------------------------------------------------------------------------------


@METHODS
@MODES
def test_the_same_call_gives_the_same_answer(method, mode):
    """Whatever was drawn in between: no method reads or moves the global generator."""
    case = inputs(3, n_v=20, n_t=6)

    def chosen():
        try:
            return select_batch(method, **case, budget=10, seed=5, mode=mode)
        except MitheoryError as error:  # where the public code crashes
            assert mode == "faithful"
            return str(error)

    state = torch.random.get_rng_state()
    first = chosen()
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(3)
    second = chosen()
    if isinstance(first, str):
        assert first == second
    else:
        for a, b in zip(first, second, strict=True):
            same(a, b)


@METHODS
@given(SEEDS)
def test_a_seed_matters_to_those_that_draw_alone(method, seed):
    case = single(inputs(seed, b=1, n_v=40))
    drawn = [select(method, **case, budget=8, seed=s).indices.tolist() for s in range(4)]
    assert (len({tuple(d) for d in drawn}) > 1) <= ("seeds" in SELECTORS[method].context)


@METHODS
def test_the_number_of_threads_changes_nothing(method):
    """Sums may then be taken in another order: the choice is that of one thread all the same."""
    case = inputs(4, b=2, n_v=200, n_t=9, d=64)
    before = torch.get_num_threads()
    kept = {}
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found = select_batch(method, **case, budget=40)
            kept[threads] = [s.indices.tolist() for s in found]
    finally:
        torch.set_num_threads(before)
    assert kept[1] == kept[2] == kept[3]


# --- scale ------------------------------------------------------------------------------------


def test_methods_of_cosines_are_declared():
    """Those that ask what to do with a row that has no direction, and of their inputs those that
    are checked for it."""
    assert ("divprune", "visual") in COSINES
    assert ("random", "visual") not in COSINES
    assert {name for _, name in COSINES} <= set(NORMALIZED)


@pytest.mark.parametrize(("method", "name"), COSINES)
@given(SEEDS)
def test_the_length_of_a_vector_does_not_count_where_cosines_are_used(method, name, seed):
    """Every row times a positive number of its own."""
    case = single(inputs(seed, b=1))
    factors = 2 ** (6 * torch.rand(len(case[name]), 1, generator=generator(seed + 1)) - 3)
    scaled = {**case, name: case[name] * factors.double()}
    found = select(method, **scaled, budget=6).indices.tolist()
    assert found == select(method, **case, budget=6).indices.tolist()


# --- bad input, method by method --------------------------------------------------------------


def refused(method, error, match, **change):
    with pytest.raises(error, match=match):
        select(method, **{"budget": 3, **good(), **change})


@PLACES
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused(method, name, value):
    bad = good()[name].clone()
    bad.view(-1)[bad.numel() // 2] = value
    refused(method, NonFiniteError, name, **{name: bad})


@PLACES
def test_another_rank_is_refused(method, name):
    x = good()[name]
    refused(method, ShapeError, name, **{name: x[0]})
    refused(method, ShapeError, name, **{name: x[None]})


@PLACES
def test_another_size_is_refused(method, name):
    """Of every axis that another input of the method shares with this one."""
    others = {a for n in SELECTORS[method].requires if n != name for a in SHAPES[n]}
    shared = [i for i, a in enumerate(SHAPES[name]) if a in others]
    for axis in shared:
        x = good()[name]
        refused(method, ShapeError, "expected", **{name: x.narrow(axis, 0, x.shape[axis] - 1)})


@PLACES
def test_an_empty_axis_is_refused(method, name):
    x = good()[name]
    for axis in range(x.ndim):
        refused(method, EmptyInputError, name, **{name: x.narrow(axis, 0, 0)})


@PLACES
def test_what_is_no_floating_tensor_is_refused(method, name):
    x = good()[name]
    for bad in (x.tolist(), x.numpy(), x.long(), x.bool(), x.to(torch.complex64), 3.0):
        refused(method, DTypeError, name, **{name: bad})


@METHODS
@MODES
@pytest.mark.parametrize("budget", [0, -1, 15, 0.0, -0.5, 1.5, math.nan, math.inf, True, "3", None])
def test_an_impossible_budget_is_refused(method, mode, budget):
    refused(method, (BudgetError, DTypeError), "budget", budget=budget, mode=mode)


@METHODS
def test_an_option_that_it_has_not_is_refused(method):
    refused(method, ParameterError, f"{method} has no option 'wheels'", wheels=4)


@pytest.mark.parametrize(("method", "option"), OPTIONS)
@pytest.mark.parametrize(
    "value", ["no such thing", math.nan, -7.5, [], object()], ids=lambda x: type(x).__name__
)
def test_a_senseless_option_is_refused_or_makes_sense(method, option, value):
    """Never an error of Python's or torch's: either one of ours, or a full answer."""
    try:
        found = select(method, **good(), budget=3, **{option: value})
    except MitheoryError:
        return
    assert len(set(found.indices.tolist())) == 3


@METHODS
def test_unknown_modes_and_wrong_seeds_are_refused(method):
    for change in ({"mode": "fast"}, {"seed": 0.5}, {"seed": True}, {"zero_norm": "skip"}):
        refused(method, MitheoryError, next(iter(change)), **change)


@METHODS
def test_masks_that_fit_nothing_are_refused(method):
    case = inputs(0, b=2)
    for mask, error in (
        (torch.ones(2, 13, dtype=torch.bool), ShapeError),
        (torch.ones(2, 14), DTypeError),
        (torch.zeros(2, 14, dtype=torch.bool), EmptyInputError),
    ):
        with pytest.raises(error, match="visual_mask"):
            select_batch(method, **case, visual_mask=mask, budget=3)


# --- faithful ---------------------------------------------------------------------------------


@METHODS
@given(SEEDS, st.integers(1, 14))
def test_faithful_runs_answer_in_range_or_say_why_not(method, seed, budget):
    """What the public code would keep, or an error of ours where it would crash."""
    case = inputs(seed, b=2, n_t=5)
    try:
        found = select_batch(method, **case, budget=budget, mode="faithful")
    except MitheoryError:
        return
    for selection in found:
        assert selection.mode == "faithful"
        assert selection.n_kept == int(selection.mask.sum()) >= 1
        assert all(isinstance(note, str) and note for note in selection.departures)


@METHODS
def test_the_modes_tell_where_they_part(method):
    """Where the two keep other tokens, a departure says so."""
    for seed, budget in itertools.product(range(12), (5, 8)):
        case = single(inputs(seed, b=1, n_v=24, n_t=6))
        exact = select(method, **case, budget=budget)
        try:
            faithful = select(method, **case, budget=budget, mode="faithful")
        except MitheoryError:
            continue
        if exact.indices.tolist() != faithful.indices.tolist():
            assert exact.departures or faithful.departures
