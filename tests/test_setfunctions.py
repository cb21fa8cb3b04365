"""Set functions: declared properties are true, gains are differences, theorems A of the theory."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selection_cases import (
    conditionally_independent_covariance,
    conditionally_independent_table,
    correlation,
    example,
    normal,
    spanning_tree_weight,
    uniform,
)

from mitheory import properties as P
from mitheory.errors import (
    DistributionError,
    DTypeError,
    NonFiniteError,
    ParameterError,
    ShapeError,
)
from mitheory.setfunctions import (
    SETFUNCTIONS,
    ChowLiuMI,
    Coverage,
    DiscreteMI,
    FacilityLocation,
    GaussianMI,
    LogDet,
    Modular,
    entropy,
    is_conditionally_independent,
)

SEEDS = st.integers(0, 2**20)
NAMES = pytest.mark.parametrize("name", SETFUNCTIONS)


def xor_table():
    table = torch.zeros(2, 2, 2, dtype=torch.float64)
    for a, b in itertools.product((0, 1), repeat=2):
        table[a, b, a ^ b] = 0.25
    return table


@NAMES
@given(SEEDS)
def test_what_is_declared_is_true_of_all_sets(name, seed):
    f = example(name, seed)
    false = [p for p, check in P.CHECKS.items() if p in f.properties and check(f.value, f.n)]
    assert false == []


@NAMES
@given(SEEDS)
def test_incremental_gains_are_differences_of_values(name, seed):
    """gains(state) and gain_of(state, i) equal f(S + i) − f(S) along any path."""
    f = example(name, seed)
    state, path = f.start(), []
    for i in np.random.default_rng(seed).permutation(f.n).tolist():
        rest = [j for j in range(f.n) if j not in path]
        twin = [f.gain(j, path) for j in rest]
        assert f.gains(state)[rest].tolist() == pytest.approx(twin, abs=1e-9)
        assert [f.gain_of(state, j) for j in rest] == pytest.approx(twin, abs=1e-9)
        state, path = f.extend(state, i), [*path, i]


@NAMES
@given(SEEDS)
def test_the_value_does_not_depend_on_the_order(name, seed):
    """A set function's gains add up to the same total along every order."""
    f = example(name, seed, 3)

    def rule(path):
        gains = [0.0 if i in path else f.gain(i, path) for i in range(f.n)]
        return torch.tensor(gains, dtype=torch.float64)

    assert P.check_path_independent(rule, f.n) is None
    assert f.value([2, 0, 1]) == pytest.approx(f.value([0, 1, 2]), abs=1e-12)


@NAMES
def test_extending_leaves_the_old_state_alone(name):
    f = example(name, 3)
    state = f.extend(f.start(), 0)
    before = f.gains(state).clone()
    f.extend(state, 1)
    assert torch.equal(f.gains(state), before)


# --- A1, A2: mutual information --------------------------------------------------------------


def test_mutual_information_by_hand():
    """Two fair bits, T the first: I(V_1;T) = log 2, I(V_2;T) = 0."""
    table = torch.zeros(2, 2, 2, dtype=torch.float64)
    for a, b in itertools.product((0, 1), repeat=2):
        table[a, b, a] = 0.25
    f = DiscreteMI(table)
    assert f.value([0]) == pytest.approx(math.log(2))
    assert f.value([1]) == pytest.approx(0.0, abs=1e-12)
    assert f.value([0, 1]) == pytest.approx(math.log(2))
    assert entropy(torch.tensor([0.25] * 4)) == pytest.approx(math.log(4))


@given(SEEDS, st.integers(1, 4))
def test_mutual_information_is_submodular_under_conditional_independence(seed, n):
    """A1: if the V_i are independent given T, I(V_S; T) is normalized, monotone and submodular."""
    f = DiscreteMI(conditionally_independent_table(seed, n))
    assert P.SUBMODULAR in f.properties
    assert all(P.CHECKS[p](f.value, n) is None for p in (P.NORMALIZED, P.MONOTONE, P.SUBMODULAR))


@given(SEEDS)
def test_under_conditional_independence_it_is_relevance_less_total_correlation(seed):
    """A1: f(S) = Σ I(V_i; T) − TC(V_S)."""
    table = conditionally_independent_table(seed, 3)
    f = DiscreteMI(table)
    p_v = table.sum(-1)
    singles = [p_v.sum(dim=tuple(j for j in range(3) if j != i)) for i in range(3)]
    total_correlation = sum(entropy(p) for p in singles) - entropy(p_v)
    expected = sum(f.value([i]) for i in range(3)) - total_correlation
    assert f.value([0, 1, 2]) == pytest.approx(expected, abs=1e-9)


@given(SEEDS)
def test_mutual_information_is_monotone_always(seed):
    """The chain rule: I(V_S; T) never falls, conditional independence or not."""
    table = uniform(seed, 2, 2, 2, 3)
    f = DiscreteMI(table / table.sum())
    assert P.check_monotone(f.value, 3) is None


def test_exclusive_or_is_the_counterexample_to_submodularity():
    """A2: T = V_1 xor V_2 has gains 0, then log 2; SUBMODULAR is not declared."""
    f = DiscreteMI(xor_table())
    assert not is_conditionally_independent(f.table)
    assert P.SUBMODULAR not in f.properties
    found = P.check_submodular(f.value, 2)
    assert found.left == pytest.approx(0.0, abs=1e-12)
    assert found.right == pytest.approx(math.log(2))


def test_conditional_independence_is_not_necessary():
    """A2: a copy is submodular but, unless T determines it, not conditionally independent."""
    table = torch.zeros(2, 2, 2, dtype=torch.float64)
    table[0, 0], table[1, 1] = torch.tensor([0.4, 0.1]), torch.tensor([0.1, 0.4])
    assert not is_conditionally_independent(table)
    assert P.check_submodular(DiscreteMI(table).value, 2) is None


@given(SEEDS)
def test_under_conditional_independence_patches_tell_each_other_less_than_the_prompt(seed):
    """A3: I(V_i; V_j) ≤ I(V_i; T) by data processing."""
    table = conditionally_independent_table(seed, 2)
    pair = DiscreteMI(table.sum(-1).movedim(0, -1))  # V_2 as the variable, V_1 as the target
    f = DiscreteMI(table)
    assert pair.value([0]) <= min(f.value([0]), f.value([1])) + 1e-9


# --- A4, A5: Gaussian -------------------------------------------------------------------------


@given(SEEDS)
def test_gaussian_information_under_conditional_independence_is_a_log_determinant(seed):
    """A4: f(S) = Σ I_i + ½ log det C_SS, for every S."""
    f = GaussianMI(conditionally_independent_covariance(seed, 4), 4)
    same = LogDet(f.relevance, f.correlation)
    assert P.SUBMODULAR in f.properties
    for s in P.subsets(4):
        assert f.value(s) == pytest.approx(same.value(s), abs=1e-8)


def test_gaussian_information_by_hand():
    """Correlation ρ with T: −½ log(1 − ρ²)."""
    f = GaussianMI(torch.tensor([[1.0, 0.6], [0.6, 1.0]], dtype=torch.float64), 1)
    assert f.value([0]) == pytest.approx(-0.5 * math.log(0.64))
    assert f.value([]) == 0.0


def test_gaussian_information_without_conditional_independence_need_not_be_submodular():
    """T = V_1 + V_2 + noise, V_1 and V_2 independent: each helps to read the other."""
    covariance = torch.tensor(
        [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 2.1]], dtype=torch.float64
    )
    f = GaussianMI(covariance, 2)
    assert P.SUBMODULAR not in f.properties
    assert P.check_submodular(f.value, 2) is not None


def test_quality_and_diversity_of_cdpruner_is_the_same_log_determinant():
    """log det of r_i C_ij r_j is twice LogDet with relevance log r."""
    c, r = correlation(1, 4), uniform(2, 4) + 0.1
    f = LogDet(r.log(), c)
    kernel = r[:, None] * c * r
    for s in P.subsets(4):
        expected = float(torch.logdet(kernel[list(s)][:, list(s)])) if s else 0.0
        assert 2 * f.value(s) == pytest.approx(expected, abs=1e-9)


def test_the_log_determinant_is_not_monotone():
    """B2: relevance 0 and correlation ρ: the second element lowers the value by −½ log(1 − ρ²)."""
    f = LogDet(torch.zeros(2), torch.tensor([[1.0, 0.6], [0.6, 1.0]]))
    found = P.check_monotone(f.value, 2)
    assert found.left - found.right == pytest.approx(0.5 * math.log(0.64), rel=1e-5)
    assert P.MONOTONE not in f.properties


def test_a_copy_has_no_gain_left_in_a_singular_log_determinant():
    f = LogDet(torch.zeros(3), torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    gains = f.gains(f.extend(f.start(), 0))
    assert gains.tolist() == [-math.inf, -math.inf, 0.0]
    twice = f.extend(f.extend(f.start(), 0), 1)
    assert not torch.isnan(f.gains(twice)).any()


@given(SEEDS)
def test_pairwise_maxima_underestimate_redundancy(seed):
    """A5: I(V_i; V_S) ≥ max_j I(V_i; V_j), Gaussian."""
    c = correlation(seed, 4)
    order = [1, 2, 3, 0]
    joint = GaussianMI(c[order][:, order], 3)  # V_2..V_4 about V_1
    assert joint.value([0, 1, 2]) >= max(joint.value([j]) for j in range(3)) - 1e-9


@given(SEEDS)
def test_the_tree_bounds_total_correlation_from_below(seed):
    """A5: TC(V_S) ≥ the heaviest spanning tree of pairwise information, so f ≤ Chow-Liu."""
    f = GaussianMI(conditionally_independent_covariance(seed, 4), 4)
    c = f.correlation
    pairs = -0.5 * torch.log1p(-c.square().fill_diagonal_(0.0))
    tree = ChowLiuMI(f.relevance, (pairs + pairs.T) / 2)
    for s in P.subsets(4):
        assert f.value(s) <= tree.value(s) + 1e-9


@given(SEEDS, st.integers(0, 5))
def test_the_tree_is_the_heaviest_of_all(seed, n):
    f = example("chow_liu_mi", seed, max(n, 1))
    expected = float(f.relevance[:n].sum()) - spanning_tree_weight(f.redundancy, list(range(n)))
    assert f.value(range(n)) == pytest.approx(expected)


def test_the_tree_bound_is_not_submodular():
    """A5: random Gaussians violate diminishing returns in some per cent of the quadruples."""
    rng, violations = np.random.default_rng(0), 0
    for seed in range(20):
        c = correlation(seed, 6)
        pairs = -0.5 * torch.log1p(-c.square().fill_diagonal_(0.0))
        f = ChowLiuMI(torch.zeros(6, dtype=torch.float64), (pairs + pairs.T) / 2)
        violations += P.sample_submodular(f.value, 6, trials=100, rng=rng).violations
        assert P.SUBMODULAR not in f.properties
    assert 0.01 < violations / 2000 < 0.3


# --- inputs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Modular(torch.ones(2, 2)), ShapeError, "weights"),
        (lambda: Modular(torch.tensor([1, 2])), DTypeError, "weights"),
        (lambda: Modular(torch.tensor([1.0, math.nan])), NonFiniteError, "weights"),
        (lambda: DiscreteMI(torch.full((2, 2), 0.3)), DistributionError, "sum 1.2"),
        (lambda: DiscreteMI(torch.tensor([0.5, 0.5])), ShapeError, "table"),
        (lambda: GaussianMI(torch.eye(3), 3), ParameterError, "n_v: expected 1..2"),
        (lambda: GaussianMI(-torch.eye(3), 2), ParameterError, "positive definite"),
        (lambda: LogDet(torch.ones(3), torch.eye(2)), ShapeError, "correlation"),
        (lambda: LogDet(torch.ones(2), -torch.eye(2)), ParameterError, "semidefinite"),
        (lambda: LogDet(torch.ones(2), torch.eye(2), ridge=-1.0), ParameterError, "ridge"),
        (lambda: LogDet(torch.ones(2), torch.ones(2, 2).triu()), ParameterError, "symmetric"),
        (lambda: ChowLiuMI(torch.ones(2), -torch.eye(2)), ParameterError, "redundancy"),
        (lambda: FacilityLocation(torch.tensor([[-1.0]])), ParameterError, "similarity"),
        (lambda: Coverage(torch.tensor([[1.5]]), torch.ones(1)), ParameterError, "probability"),
        (lambda: Coverage(torch.ones(2, 3), torch.ones(3)), ShapeError, "weights"),
    ],
)  # fmt: skip
def test_matrices_that_are_no_such_thing_are_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_float32_and_float64_agree():
    for name in SETFUNCTIONS:
        f = example(name, 2)
        single = type(f)(
            **{
                k: v.float() if isinstance(v, torch.Tensor) else v
                for k, v in f.__dict__.items()
                if k in f.__dataclass_fields__
            }
        )
        assert single.value([0, 2]) == pytest.approx(f.value([0, 2]), abs=1e-5)


def test_normal_is_seeded():
    """The examples above are the same in every run."""
    assert torch.equal(normal(1, 3), normal(1, 3))
