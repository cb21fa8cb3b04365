"""The checks find counter-examples where there are some, and none where there are none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selection_cases import uniform

from mitheory import properties as P
from mitheory.errors import ParameterError
from mitheory.setfunctions import Coverage

SEEDS = st.integers(0, 2**20)


def square(s):
    """|S|²: supermodular, monotone, normalized."""
    return float(len(s) ** 2)


def root(s):
    """√|S|: submodular, monotone, normalized."""
    return float(len(s) ** 0.5)


def exclusive_or(s):
    """I(V_S; V_1 xor V_2) in bits: 0, 0, 0, 1."""
    return float(len(s) == 2)


def cut(s):
    """Edges of the triangle between S and the rest: submodular, not monotone."""
    return float(len(s) * (3 - len(s)))


@pytest.mark.parametrize(
    ("f", "n", "declared"),
    [
        (square, 4, {P.NORMALIZED, P.MONOTONE}),
        (root, 4, {P.NORMALIZED, P.MONOTONE, P.SUBMODULAR}),
        (exclusive_or, 2, {P.NORMALIZED, P.MONOTONE}),
        (cut, 3, {P.NORMALIZED, P.SUBMODULAR}),
        (lambda s: 1.0 + 2 * sum(s), 3, {P.MONOTONE, P.SUBMODULAR, P.MODULAR}),
        (lambda s: -float(len(s)), 3, {P.NORMALIZED, P.SUBMODULAR, P.MODULAR}),
    ],
)
def test_each_check_separates_the_functions_that_have_the_property(f, n, declared):
    assert {name for name, check in P.CHECKS.items() if check(f, n) is None} == declared


def test_a_counterexample_can_be_verified_by_hand():
    found = P.check_submodular(exclusive_or, 2)
    assert (found.smaller, found.larger, found.element) == ((), (1,), 0)
    assert (found.left, found.right, found.violation) == (0.0, 1.0, 1.0)
    falling = P.check_monotone(cut, 3)
    assert falling.left == cut(falling.larger) < falling.right == cut(falling.smaller)
    assert falling == P.Counterexample(P.MONOTONE, (0, 1), (0, 1, 2), 2, 0.0, 2.0)
    assert found.name is P.SUBMODULAR
    shifted = P.check_normalized(lambda s: 0.5 + len(s), 3)
    assert shifted == P.Counterexample(P.NORMALIZED, (), (), None, 0.5, 0.0)
    assert P.check_modular(square, 2) == P.Counterexample(P.MODULAR, (), (1,), 0, 1.0, 3.0)
    rising = P.check_antitone(scores_of(square, 3), 3)
    assert rising == P.Counterexample(P.ANTITONE, (), (0,), 1, 1.0, 3.0)


def test_the_checks_forgive_exactly_their_tolerance():
    """A fault of the size of the tolerance is rounding; twice it is a counterexample."""
    t = 2.0**-20

    def dented(depth):
        values = {(): 0.0, (0,): 1.0, (1,): 1.0, (0, 1): 1.0 - depth}
        return lambda s: values[tuple(sorted(s))]

    assert P.check_monotone(dented(t), 2, tolerance=t) is None
    assert P.check_monotone(dented(2 * t), 2, tolerance=t) is not None

    def lifted(height):
        values = {(): 0.0, (0,): 1.0, (1,): 1.0, (0, 1): 2.0 + height}
        return lambda s: values[tuple(sorted(s))]

    for check in (P.check_submodular, P.check_modular):
        assert check(lifted(t), 2, tolerance=t) is None
        assert check(lifted(2 * t), 2, tolerance=t) is not None
    assert P.check_normalized(lambda s: t, 2, tolerance=t) is None
    assert P.check_normalized(lambda s: 2 * t, 2, tolerance=t) is not None
    rng = np.random.default_rng(0)
    assert P.sample_submodular(lifted(t), 2, trials=9, rng=rng, tolerance=t).violations == 0
    assert P.sample_submodular(lifted(2 * t), 2, trials=9, rng=rng, tolerance=t).rate == 1.0


def test_sets_come_in_order_of_size_up_to_the_largest():
    assert list(P.subsets(2)) == [(), (0,), (1,), (0, 1)]
    assert list(P.subsets(3, largest=1)) == [(), (0,), (1,), (2,)]


def scores_of(f, n):
    """Marginal gains of a set function as a rule."""
    return lambda path: torch.tensor([f([*path, i]) - f(path) for i in range(n)])


def test_a_marginal_gain_is_path_independent():
    assert P.check_path_independent(scores_of(square, 4), 4) is None


def test_a_score_that_looks_at_the_last_choice_is_path_dependent():
    found = P.check_path_independent(
        lambda path: torch.tensor([0.0, 1.0, 2.0]) * (path[-1] if path else 1), 3
    )
    assert found == P.Counterexample(P.PATH_INDEPENDENT, (0, 1), (1, 0), None, 0.0, 1.0)


@given(SEEDS)
def test_gains_of_a_submodular_function_are_antitone_and_of_a_supermodular_one_not(seed):
    """Diminishing returns of f say that its gains are antitone."""
    covers = Coverage(uniform(seed, 4, 4), uniform(seed + 1, 4))
    assert P.check_antitone(scores_of(covers.value, 4), 4) is None
    assert P.check_antitone(scores_of(square, 4), 4).name is P.ANTITONE


def test_antitone_after_first_forgives_only_the_first_rise():
    def rises_once(path):
        return torch.full((4,), 0.0 if not path else 5.0 - len(path))

    def rises_twice(path):
        return torch.full((4,), float(len(path)))

    assert P.check_antitone(rises_once, 4) is not None
    assert P.check_antitone(rises_once, 4, after_first=True) is None
    assert P.check_antitone(rises_twice, 4, after_first=True).name is P.ANTITONE_AFTER_FIRST


def test_sampling_counts_what_the_exhaustive_check_finds():
    rng = np.random.default_rng(0)
    bad = P.sample_submodular(square, 6, trials=200, rng=rng)
    good = P.sample_submodular(root, 6, trials=200, rng=rng)
    assert bad.rate == 1.0
    assert bad.worst.violation == pytest.approx(2.0)  # (k+2)² − 2 (k+1)² + k²
    assert (good.violations, good.worst) == (0, None)
    one = P.sample_submodular(exclusive_or, 2, trials=1, rng=np.random.default_rng(0))
    assert (one.violations, one.trials, one.worst.name) == (1, 1, P.SUBMODULAR)
    assert (one.worst.smaller, one.worst.left, one.worst.right) == ((), 0.0, 1.0)
    assert {one.worst.element, *one.worst.larger} == {0, 1}


def test_sampling_reaches_every_size_and_keeps_the_worst():
    """|S| is uniform on 0..n-2, and of all violations the first of the largest is kept."""
    sizes = []

    def cube(s):
        sizes.append(len(s))
        return float(len(s) ** 3)

    found = P.sample_submodular(cube, 5, trials=400, rng=np.random.default_rng(0))
    small = np.array(sizes[1::4])  # |S| of every trial: f(S + i), f(S), f(S + j + i), f(S + j)
    assert set(small) == {0, 1, 2, 3}
    assert abs(small.mean() - 1.5) < 0.2
    assert len(found.worst.smaller) == 3
    assert found.worst.violation == pytest.approx(125 - 2 * 64 + 27)
    assert found.worst.larger != found.worst.smaller
    assert found.worst.element not in found.worst.larger


def test_sampling_depends_on_the_generator_and_on_nothing_else():
    def f(s):
        return float(sum(np.sin(7 * i) for i in s) ** 2)

    def draw(seed):
        return P.sample_submodular(f, 8, trials=50, rng=np.random.default_rng(seed))

    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_sampling_needs_something_to_sample():
    with pytest.raises(ParameterError, match="n >= 2"):
        P.sample_submodular(root, 1, trials=3, rng=np.random.default_rng(0))
    with pytest.raises(ParameterError, match="trials >= 1, got n=2, trials=0"):
        P.sample_submodular(root, 2, trials=0, rng=np.random.default_rng(0))


def test_curvature_by_hand():
    """min(|S|, 2) on three elements: the last one adds 0, so c = 1; a modular function has 0."""
    assert P.curvature(lambda s: float(min(len(list(s)), 2)), 3) == 1.0
    assert P.curvature(lambda s: float(len(s)), 3) == 0.0
    # weights 2, 4 and a cap of 5: the others leave 1 of 2, and 3 of 4
    capped = {(): 0, (0,): 2, (1,): 4, (0, 1): 5}
    assert P.curvature(lambda s: capped[tuple(s)], 2) == pytest.approx(1 - 1 / 2)
    with pytest.raises(ParameterError, match="positive value"):
        P.curvature(lambda s: 0.0, 3)


def test_submodularity_ratio_by_hand():
    """|S|² on two elements: singles 1 + 1 against 4 jointly; submodular functions have ≥ 1."""
    assert P.submodularity_ratio(square, 2) == pytest.approx(0.5)
    # given 0, the singles add 4 - 1 and 5 - 1, the pair 14 - 1; from nothing 1 + 2 + 3 of 14
    grows = {(): 0, (0,): 1, (1,): 2, (2,): 3, (0, 1): 4, (0, 2): 5, (1, 2): 6, (0, 1, 2): 14}
    assert P.submodularity_ratio(lambda s: grows[tuple(s)], 3) == pytest.approx(6 / 14)
    later = {**grows, (0, 1, 2): 7, (0, 1): 1.5, (0, 2): 1.5}
    assert P.submodularity_ratio(lambda s: later[tuple(s)], 3) == pytest.approx(1 / 6)
    assert P.submodularity_ratio(root, 4) >= 1
    assert P.submodularity_ratio(exclusive_or, 2) == 0.0
    assert P.submodularity_ratio(lambda s: 0.0, 3) == float("inf")


@given(SEEDS)
def test_the_ratio_of_a_submodular_function_is_at_least_one(seed):
    """f monotone submodular implies Σ f(i | L) ≥ f(S | L), that is, a ratio of at least 1."""
    covers = Coverage(uniform(seed, 3, 4), uniform(seed + 1, 3))
    assert P.submodularity_ratio(covers.value, 4) >= 1 - 1e-9
    assert 0 <= P.curvature(covers.value, 4) <= 1
