"""Bins and kernels: by hand, against slow twins, and how their options are checked."""

from __future__ import annotations

import math

import numpy as np
import pytest
from estimator_twins import slow_information, slow_kernel_density
from hypothesis import given
from hypothesis import strategies as st

from mitheory.errors import (
    DTypeError,
    EmptyInputError,
    MitheoryError,
    ParameterError,
    UnknownNameError,
)
from mitheory.estimators import cmi, kernel_density, mi, sensitivity


def generator(seed=0):
    return np.random.default_rng(seed)


def pair(n, rho, d=1, seed=0):
    x, noise = generator(seed).standard_normal((2, n, d))
    return x, rho * x + math.sqrt(1 - rho**2) * noise


# --- histogram ------------------------------------------------------------------------------


def test_bins_by_hand():
    """0 1 2 | 3 4 9 by rank, 0 1 2 3 4 | 9 by width: with 0 0 0 1 1 1 the first tell all.

    By width: counts (3, 2), (0, 1): H(5/6) + log 2 - H(3/6, 2/6, 1/6).
    """
    x, y = np.array([0.0, 1, 2, 3, 4, 9]), np.array([0.0, 0, 0, 1, 1, 1])
    options = {"bins": 2, "correction": "none"}
    wide = {**options, "edges": "equal_width"}
    other = np.array([0.0, 0.1, 0.2, 0.8, 0.9, 1.0])
    assert mi("histogram", x, other, **options).value == pytest.approx(math.log(2))
    h_x = 5 / 6 * math.log(6 / 5) + math.log(6) / 6
    joint = math.log(2) / 2 + math.log(3) / 3 + math.log(6) / 6
    assert mi("histogram", x, y, **wide).value == pytest.approx(h_x + math.log(2) - joint)


@pytest.mark.parametrize("edges", ["equal_frequency", "equal_width"])
def test_histogram_is_its_slow_twin(edges):
    x, y = pair(300, 0.7)
    if edges == "equal_frequency":  # halfway between the ranks 60 and 61, 120 and 121, ...
        ranked = [np.sort(s, axis=0)[:, 0] for s in (x, y)]
        at = [[s[0], *(s[59:299:60] + s[60:299:60]) / 2, s[-1]] for s in ranked]
    else:
        at = [np.linspace(s.min(), s.max(), 6) for s in (x, y)]
    table = np.histogram2d(x[:, 0], y[:, 0], bins=at)[0]
    if edges == "equal_frequency":
        assert table.sum(0).tolist() == table.sum(1).tolist() == [60] * 5
    found = mi("histogram", x, y, bins=5, edges=edges, correction="none")
    assert found.value == pytest.approx(slow_information(table))
    cells = (table > 0).sum()
    fair = mi("histogram", x, y, bins=5, edges=edges).value  # less (K_xy - K_x - K_y + 1) / 2n
    assert found.value - fair == pytest.approx((cells - 9) / 600)


@given(st.integers(0, 2**32 - 1))
def test_equal_frequency_bins_do_not_change_under_increasing_maps(seed):
    """Rank is all that counts: I(f(X);g(Y)) = I(X;Y) for increasing f and g."""
    x, y = pair(60, 0.5, seed=seed)
    want = mi("histogram", x, y, bins=4).pointwise
    np.testing.assert_array_equal(mi("histogram", np.exp(x), y**3, bins=4).pointwise, want)


def test_bins_that_nobody_gave_leave_five_rows_to_a_cell():
    """625 rows: 125 cells, 11 × 11 of two columns or 5 × 5 × 5 of three."""
    x, y = pair(625, 0.5, d=2)
    assert mi("histogram", x[:, 0], y[:, 0]).diagnostics["bins"] == 11
    assert mi("histogram", x, y[:, 0]).diagnostics["bins"] == 5
    assert mi("histogram", x, y).diagnostics["bins"] == 3


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"bins": 4}, ParameterError, r"4 bins in 4 columns are 4\^4 cells for 100 rows"),
        ({"bins": 1}, ParameterError, "2 or more"),
        ({"bins": 2.0}, DTypeError, "bins must be an int"),
        ({"edges": "equal"}, UnknownNameError, "equal_frequency"),
        ({"correction": "jackknife"}, UnknownNameError, "miller_madow"),
    ],
)
def test_options_of_the_histogram_are_checked(options, error, words):
    with pytest.raises(error, match=words):
        mi("histogram", *pair(100, 0.5, d=2), **options)


def test_too_many_columns_are_refused_whatever_the_bins():
    with pytest.raises(ParameterError, match=r"2 bins in 20 columns are 2\^20 cells for 100 rows"):
        mi("histogram", *pair(100, 0.5, d=10))


def test_a_column_of_mostly_its_largest_value_is_refused():
    """All quantiles are 1: there is nothing to cut; by width there is."""
    y = generator().standard_normal(100)
    mostly = (np.arange(100) >= 10).astype(float)
    with pytest.raises(ParameterError, match="x: column 0 falls into one bin"):
        mi("histogram", mostly, y, bins=3)
    assert mi("histogram", mostly, y, bins=3, edges="equal_width").n == 100


# --- kernels --------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1_000_000, 130])
def test_kernel_density_is_its_slow_twin(block, monkeypatch):
    monkeypatch.setattr(kernel_density, "BLOCK_ENTRIES", block)
    rng = generator()
    x, y = 5 * rng.standard_normal((40, 2)), rng.standard_normal((40, 1))
    got = mi("kernel_density", x, y, bandwidth=0.4)
    np.testing.assert_allclose(got.pointwise, slow_kernel_density(x, y, 0.4), atol=1e-9)


def test_kernel_density_of_three_is_the_difference_of_two():
    """I(X;Y|Z) = I(X;YZ) - I(X;Z), with one bandwidth exactly so."""
    x, y, z = generator().standard_normal((3, 80, 2))
    whole = mi("kernel_density", x, np.hstack([y, z]), bandwidth=0.5)
    part = mi("kernel_density", x, z, bandwidth=0.5)
    got = cmi("kernel_density", x, y, z, bandwidth=0.5).pointwise
    np.testing.assert_allclose(got, whole.pointwise - part.pointwise, atol=1e-9)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.8])
def test_kernel_density_finds_the_information_of_gaussian_pairs(rho):
    """-½ log(1 - ρ²): 0, 0.223, 0.511 nats; smoothing takes some of it."""
    value = mi("kernel_density", *pair(2000, rho)).value
    assert -0.05 < value + math.log(1 - rho**2) / 2 < 0.02


def test_bandwidths_by_hand():
    """n^(-1/(d+4)), and (n (d+2)/4)^(-1/(d+4)): the same for d = 2."""
    for rule in ("scott", "silverman"):
        found = mi("kernel_density", *pair(64, 0.5), bandwidth=rule)
        assert found.diagnostics["bandwidth_in_deviations"] == pytest.approx(0.5)  # 64^(-1/6)
    found = mi("kernel_density", *pair(256, 0.5, d=2), bandwidth="scott")
    assert found.diagnostics["bandwidth_in_deviations"] == pytest.approx(0.5)  # 256^(-1/8)
    found = mi("kernel_density", *pair(256, 0.5, d=2), bandwidth="silverman")
    assert found.diagnostics["bandwidth_in_deviations"] == pytest.approx(0.5 * 1.5 ** (-1 / 8))


def test_a_row_far_from_all_others_keeps_a_finite_contribution():
    """At 0.01 deviations every kernel of the outlier is below the smallest number."""
    x, y = pair(50, 0.5)
    x[0], y[0] = 40, -40
    assert np.isfinite(mi("kernel_density", x, y, bandwidth=0.01).pointwise).all()


@pytest.mark.parametrize("bandwidth", [0.0, -1, True, None, float("nan"), "wide"])
def test_bandwidths_are_checked(bandwidth):
    with pytest.raises(MitheoryError, match="bandwidth"):
        mi("kernel_density", *pair(50, 0.5), bandwidth=bandwidth)


# --- sensitivity ----------------------------------------------------------------------------


def test_sensitivity_is_one_estimate_for_each_value():
    x, y = pair(400, 0.8)
    found = sensitivity("kernel_density", x, y, "bandwidth", iter([0.1, 0.5, 2.0]))
    assert found.values == (0.1, 0.5, 2.0)
    want = tuple(mi("kernel_density", x, y, bandwidth=b).value for b in (0.1, 0.5, 2.0))
    assert found.nats == want
    assert found.spread == max(want) - min(want)
    assert want[1] > 0.3 > max(want[0], want[2])  # of 0.51; too narrow and too wide lose it


def test_sensitivity_of_conditional_information_keeps_other_options():
    x, y, z = generator().standard_normal((3, 100))
    found = sensitivity("frenzel_pompe", x, y, "k", (2, 5), z=z, standardize=True, rng=generator())
    want = [cmi("frenzel_pompe", x, y, z, k=k, standardize=True).value for k in (2, 5)]
    assert list(found.nats) == want


def test_sensitivity_refuses_what_cannot_be_tried():
    x, y = pair(50, 0.5)
    with pytest.raises(EmptyInputError, match="values of bins"):
        sensitivity("histogram", x, y, "bins", ())
    with pytest.raises(ParameterError, match=r"no option \['binz'\]"):
        sensitivity("histogram", x, y, "binz", (2, 3))
