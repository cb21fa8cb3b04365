"""Ground truths: values by hand, exact twins, and the mean log density ratio of drawn samples."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitheory.errors import DistributionError, DTypeError, ParameterError, UnknownNameError
from mitheory.ground_truth import (
    GROUND_TRUTHS,
    PLANTED,
    correlated_labels,
    exact_cmi,
    exact_mi,
    ground_truth,
    label_pairs,
)
from mitheory.ground_truth.gaussian import grouped, rotation, standard_deviations
from mitheory.ground_truth.labels import _deal
from mitheory.ground_truth.nonlinear import TRANSFORMS


def entropy_of_bit(p):
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


# name: I(X;Y), I(X;Y|Z), by hand
BY_HAND = {
    "xor": (0.0, math.log(2)),
    # given z = 1 (¼) both are 1; given z = 0 (¾) uniform over 00, 01, 10: h(⅓) + h(⅓) − log 3
    "and": (0.0, 0.75 * (2 * entropy_of_bit(1 / 3) - math.log(3))),
    "copy": (math.log(4), 0.0),
    "naive_bayes": (math.log(2) - entropy_of_bit(0.68), 0.0),  # .8·.8 + .2·.2 = .68
    "discrete_markov_chain": (math.log(2) - entropy_of_bit(0.26), 0.0),  # .1·.8 + .9·.2 = .26
    # H(Y) − H(Y|X) = log 4 − (h(.8) + .2 log 3)
    "noisy_copy": (math.log(4) - entropy_of_bit(0.8) - 0.2 * math.log(3), None),
    "independent_letters": (0.0, None),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_discrete_values_are_those_worked_out_by_hand(name):
    truth = ground_truth(name, 1)
    mi, cmi = BY_HAND[name]
    assert truth.mi == pytest.approx(mi, abs=1e-12)
    assert truth.cmi == (None if cmi is None else pytest.approx(cmi, abs=1e-12))
    assert truth.quantity == ("mi" if cmi is None else "cmi")


def test_xor_hides_every_pair():
    """Any two of the three bits are independent, and each pair determines the third."""
    samples = ground_truth("xor", 1).sample(4000, np.random.default_rng(0))
    x, y, z = (side[:, 0] for side in samples)
    assert ((x ^ y) == z).all()
    counts = np.bincount(4 * x + 2 * y + z, minlength=8)
    assert set(np.flatnonzero(counts)) == {0b000, 0b011, 0b101, 0b110}
    assert (abs(counts[counts > 0] / 4000 - 0.25) < 0.03).all()  # 4 standard errors


def slow_cmi(joint):
    """Σ p log p(xyz) p(z) / p(xz) p(yz), term by term."""
    total = 0.0
    for x, y, z in itertools.product(*map(range, joint.shape)):
        if (p := joint[x, y, z]) > 0:
            total += p * math.log(
                p * joint[:, :, z].sum() / (joint[x, :, z].sum() * joint[:, y, z].sum())
            )
    return total


def joints(shape):
    cells = st.lists(st.integers(0, 5), min_size=math.prod(shape), max_size=math.prod(shape))
    # not all zero, else there is no distribution
    return cells.filter(any).map(lambda c: np.reshape(np.array(c, float) / sum(c), shape))


@given(joints((2, 3, 2)))
def test_enumeration_equals_the_sum_written_out(joint):
    """exact_cmi is Σ p log of the density ratio, zeros included."""
    assert exact_cmi(joint) == pytest.approx(slow_cmi(joint), abs=1e-12)


@given(joints((2, 3, 2)))
def test_chain_rule(joint):
    """I(X;YZ) = I(X;Z) + I(X;Y|Z)."""
    together = exact_mi(joint.reshape(2, 6))
    assert together == pytest.approx(exact_mi(joint.sum(1)) + exact_cmi(joint), abs=1e-12)


def test_no_distribution_is_refused():
    with pytest.raises(DistributionError):
        exact_mi(np.full((2, 2), 0.3))
    with pytest.raises(DistributionError):
        exact_mi(np.array([[0.6, -0.1], [0.25, 0.25]]))


@pytest.mark.parametrize("d", [1, 2, 6])
@pytest.mark.parametrize("name", GROUND_TRUTHS)
def test_mean_log_density_ratio_is_the_information(name, d):
    """Drawn from the law, the log density ratio averages to the closed form.

    Catches a law that is not the one whose value is stated: a transform on one side of the formula
    only, correlation on the wrong direction, a scale forgotten.
    """
    if name == "spiral" and d == 1:
        pytest.skip("a spiral needs a plane")
    truth = ground_truth(name, d)
    samples = truth.sample(20_000, np.random.default_rng([d, 7]))
    ratio = truth.log_ratio(*samples)
    error = ratio.std() / math.sqrt(len(ratio))
    assert abs(ratio.mean() - truth.value) < 4 * error + 1e-9
    assert [s.shape for s in samples] == [(20_000, dim) for dim in truth.dims]


@pytest.mark.parametrize("structure", ["leading", "trailing", "spread"])
@pytest.mark.parametrize(
    "correlation",
    [[[1, 0.6], [0.6, 1]], [[1, 0.5, 0.7], [0.5, 1, 0.3], [0.7, 0.3, 1]]],
    ids=["pair", "triple"],
)
def test_gaussian_information_equals_that_of_the_dense_covariance(structure, correlation):
    """Twin: the full covariance of (x, y[, z]) in the rotated space, ½ log of its determinants."""
    d, correlation = 6, np.array(correlation)
    sides = len(correlation)
    truth = grouped("twin", d, correlation, structure)
    active = {"leading": range(4), "trailing": range(2, 6), "spread": range(6)}[structure]
    groups = np.eye(sides * d)
    for a, b in itertools.product(range(sides), repeat=2):
        for k in active:
            groups[a * d + k, b * d + k] = correlation[a, b]
    mixing = np.zeros_like(groups)
    for side in range(sides):
        at = slice(side * d, (side + 1) * d)
        mixing[at, at] = rotation(d, side) * standard_deviations(d, structure)
    cov = mixing @ groups @ mixing.T

    def half_log_det(*chosen):
        rows = [i for side in chosen for i in range(side * d, (side + 1) * d)]
        return 0.5 * np.linalg.slogdet(cov[np.ix_(rows, rows)])[1] if rows else 0.0

    assert truth.mi == pytest.approx(half_log_det(0) + half_log_det(1) - half_log_det(0, 1))
    if sides == 3:
        parts = half_log_det(0, 2) + half_log_det(1, 2) - half_log_det(2) - half_log_det(0, 1, 2)
        assert truth.cmi == pytest.approx(parts)
    # and the sample has that covariance: entries within 5 standard errors of 40,000 rows
    drawn = np.column_stack(truth.sample(40_000, np.random.default_rng(1)))
    spread = np.sqrt(np.outer(cov.diagonal(), cov.diagonal()) * 2 / 40_000)
    assert (abs(np.cov(drawn.T) - cov) < 5 * spread).all()


@pytest.mark.parametrize("d", [1, 3, 16, 64])
@pytest.mark.parametrize("name", [n for n in PLANTED if n != "student_t"])
def test_what_is_planted_is_there(name, d):
    if name == "spiral" and d == 1:
        pytest.skip("a spiral needs a plane")
    truth = ground_truth(name, d, total=0.37)
    assert truth.value == pytest.approx(0.37, abs=1e-9)


@pytest.mark.parametrize("name", ["common_cause_lowdim", "common_cause_spread"])
def test_common_cause_without_a_direct_link_is_a_markov_chain(name):
    """I(X;Y|Z) = 0 while I(X;Y) > 0: per direction r_xy = 0.7² = 0.49, −½ log(1 − 0.49²)."""
    truth = ground_truth(name, 4, total=0.0)
    assert truth.cmi == pytest.approx(0, abs=1e-12)
    assert truth.mi == pytest.approx(-0.5 * 4 * math.log(1 - 0.49**2))


@pytest.mark.parametrize("name", ["collider_lowdim", "collider_spread"])
def test_collider_links_what_was_independent(name):
    truth = ground_truth(name, 8, total=0.6)
    assert truth.mi == pytest.approx(0, abs=1e-12)
    assert truth.cmi == pytest.approx(0.6)


def test_student_shares_its_scale():
    """ν = 1, d = 1 each, uncorrelated.

    Γ(½)Γ(3⁄2) = π/2, Γ(1) = 1; ψ(1) = −γ, ψ(½) = −γ − 2 log 2, ψ(3⁄2) = 2 − γ − 2 log 2.
    log(π/2) + 2·ψ(1) − 3⁄2 ψ(3⁄2) − ½ ψ(½) = log(π/2) − 3 + 4 log 2.
    """
    from mitheory.ground_truth.nonlinear import student_excess

    assert student_excess(1, 1, 1.0) == pytest.approx(math.log(math.pi / 2) - 3 + 4 * math.log(2))
    assert ground_truth("student_t", 2, total=0.0).mi > 0.01


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("d", [2, 5])
def test_transforms_can_be_undone_and_do_something(name, d):
    forward, backward, _ = TRANSFORMS[name]
    x = np.random.default_rng(0).standard_normal((50, d))
    np.testing.assert_allclose(backward(forward(x)), x, rtol=1e-9, atol=1e-12)
    assert abs(forward(x) - x).max() > 0.1


@given(st.integers(1, 40), st.integers(0, 2))
def test_rotations_are_orthogonal(d, side):
    """Q Qᵀ = 1, one per side, the same every time, read-only."""
    q = rotation(d, side)
    np.testing.assert_allclose(q @ q.T, np.eye(d), atol=1e-12)
    assert not q.flags.writeable


@pytest.mark.parametrize("name", ["gaussian_lowdim", "student_t", "noisy_copy", "collider_spread"])
def test_the_seed_decides(name):
    truth = ground_truth(name, 3)
    first, again, other = (truth.sample(20, np.random.default_rng(s)) for s in (0, 0, 1))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


@pytest.mark.parametrize(
    ("name", "d", "options", "error"),
    [
        ("gausian_lowdim", 1, {}, UnknownNameError),
        ("gaussian_lowdim", 0, {}, ParameterError),
        ("gaussian_lowdim", 2, {"total": -0.1}, ParameterError),
        ("gaussian_lowdim", 2, {"total": math.nan}, ParameterError),
        ("xor", 2, {"total": 0.3}, ParameterError),
        ("spiral", 1, {}, ParameterError),
    ],
)
def test_impossible_truths_are_refused(name, d, options, error):
    with pytest.raises(error):
        ground_truth(name, d, **options)


def test_sampling_wants_a_generator_and_a_number():
    truth = ground_truth("xor", 1)
    with pytest.raises(DTypeError):
        truth.sample(3, 0)
    with pytest.raises(ParameterError):
        truth.sample(0, np.random.default_rng(0))


# --- real rows paired by labels ----------------------------------------------------------------


def bank(n=300, labels=3):
    rng = np.random.default_rng(5)
    names = np.arange(n) % labels
    return rng.standard_normal((n, 4)), names


def test_paired_labels_follow_the_joint():
    rows, names = bank()
    joint = np.array([[0.3, 0.1, 0.0], [0.05, 0.15, 0.1], [0.0, 0.1, 0.2]])
    truth = label_pairs("t", rows, names, rows, names, joint)
    assert truth.mi == pytest.approx(exact_mi(joint))
    x, y = truth.sample(20_000, np.random.default_rng(0))
    label_of = {row.tobytes(): label for row, label in zip(rows, names, strict=True)}
    drawn = np.zeros((3, 3))
    for a, b in zip(x, y, strict=True):
        drawn[label_of[a.tobytes()], label_of[b.tobytes()]] += 1
    # standard error of a share is at most .0035
    np.testing.assert_allclose(drawn / 20_000, joint, atol=0.015)


def test_given_labels_the_rows_are_independent():
    """Cut to one label, which x meets which y is chance: the correlation of bank columns is 0."""
    rows, names = bank(labels=1)
    truth = label_pairs("t", rows, names, rows, names, [[1.0]])
    x, y = truth.sample(5000, np.random.default_rng(0))
    assert truth.mi == 0
    assert abs(np.corrcoef(x[:, 0], y[:, 0])[0, 1]) < 4 / math.sqrt(5000)


def test_no_row_twice_before_all_have_come_once():
    labels = np.array([0] * 5 + [1] * 3)
    chosen = _deal(np.array([0, 1] * 5), labels, np.random.default_rng(0))
    assert sorted(chosen[::2]) == [0, 1, 2, 3, 4]
    assert set(chosen[1::2]) == {5, 6, 7}
    assert np.bincount(chosen[1::2] - 5).max() == 2


def test_label_pairs_refuses_what_breaks_its_condition():
    rows, names = bank()
    with pytest.raises(ParameterError, match="two labels"):
        label_pairs("t", np.ones((2, 1)), [0, 1], rows, names, np.full((2, 3), 1 / 6))
    with pytest.raises(ParameterError, match="no row"):
        label_pairs("t", rows, names, rows, names, np.full((4, 4), 1 / 16))


@given(st.integers(2, 10), st.floats(0.0, 1.0))
def test_correlated_labels_have_the_information_asked_for(k, share):
    """I(L;M) = total, both labels uniform."""
    joint = correlated_labels(k, share * math.log(k))
    assert exact_mi(joint) == pytest.approx(share * math.log(k), abs=1e-6)
    np.testing.assert_allclose(joint.sum(0), 1 / k)
    np.testing.assert_allclose(joint.sum(1), 1 / k)
