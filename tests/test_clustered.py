"""Means with the standard error over clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitheory.errors import ParameterError, ShapeError
from mitheory.statistics import clustered_mean

values = st.lists(st.tuples(st.floats(-10, 10), st.integers(0, 4)), min_size=4, max_size=30).filter(
    lambda rows: len({c for _, c in rows}) > 1
)


def jackknife(x, clusters, weights=None):
    """The slow twin for clusters of one size: leave one cluster out at a time."""
    weights = np.ones_like(x) if weights is None else weights
    names = np.unique(clusters)
    left = [np.average(x[clusters != c], weights=weights[clusters != c]) for c in names]
    g = len(names)
    return np.sqrt((g - 1) / g * ((left - np.mean(left)) ** 2).sum())


def test_one_row_per_cluster_is_the_textbook_error():
    x = np.array([1.0, 2.0, 4.0, 9.0])
    mean, se, df = clustered_mean(x, [3, 1, 2, 0])
    assert (mean, df) == (4.0, 3)
    assert se == pytest.approx(x.std(ddof=1) / 2)


def test_equal_clusters_agree_with_the_jackknife():
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(7), 3)
    x = rng.normal(size=21) + rng.normal(size=7)[clusters]
    assert clustered_mean(x, clusters)[1] == pytest.approx(jackknife(x, clusters))


def test_copies_of_a_row_add_no_certainty():
    """Each image's row repeated ten times: the error stays. Rows taken as units would shrink it."""
    x, clusters = np.array([0.0, 1.0, 5.0]), np.arange(3)
    once = clustered_mean(x, clusters)
    assert clustered_mean(np.repeat(x, 10), np.repeat(clusters, 10)) == pytest.approx(once)


def test_weights_make_a_ratio():
    x, w = np.array([1.0, 0.0, 1.0]), np.array([1.0, 2.0, 5.0])
    assert clustered_mean(x, [0, 1, 2], weights=w)[0] == pytest.approx(6 / 8)
    many = clustered_mean(np.repeat(x, [1, 2, 5]), np.repeat([0, 1, 2], [1, 2, 5]))
    assert clustered_mean(x, [0, 1, 2], weights=w) == pytest.approx(many)


@given(values, st.floats(0.1, 10), st.floats(-5, 5))
def test_scale_and_shift(rows, scale, shift):
    """Mean and error follow an affine map of the values, and the order of rows is immaterial."""
    x, clusters = np.array([v for v, _ in rows]), np.array([c for _, c in rows])
    mean, se, df = clustered_mean(x, clusters)
    assert clustered_mean(scale * x + shift, clusters) == pytest.approx(
        (scale * mean + shift, scale * se, df), abs=1e-9
    )
    assert clustered_mean(x[::-1], clusters[::-1]) == pytest.approx((mean, se, df), abs=1e-12)


@pytest.mark.parametrize("n", [10, 30, 200])
@pytest.mark.parametrize("level", [0.95, 0.998])
def test_never_seen_is_not_impossible(n, level):
    """The floor of a rate that was 0 in n images reaches the exact binomial upper bound."""
    from scipy.stats import beta
    from scipy.stats import t as student

    _, se, df = clustered_mean(np.zeros(n), np.arange(n), span=1.0)
    exact = beta.ppf((1 + level) / 2, 1, n)
    assert student.ppf((1 + level) / 2, df) * se >= exact


def test_floor_leaves_varied_values_alone():
    x = np.tile([0.0, 1.0], 50)
    assert clustered_mean(x, np.arange(100), span=1.0) == clustered_mean(x, np.arange(100))


def test_floor_is_for_rates():
    """Shares that vary a little have the error they show; the floor would swamp it."""
    x = np.linspace(0.95, 0.97, 20)
    assert clustered_mean(x, np.arange(20), span=1.0) == clustered_mean(x, np.arange(20))


def test_bad_input_is_refused():
    with pytest.raises(ParameterError, match="two or more"):
        clustered_mean([1.0, 2.0], ["a", "a"])
    with pytest.raises(ParameterError, match="nonnegative"):
        clustered_mean([1.0, 2.0], [0, 1], weights=[-1.0, 1.0])
    with pytest.raises(ParameterError, match="nonnegative"):
        clustered_mean([1.0, 2.0], [0, 1], weights=[0.0, 0.0])
    with pytest.raises(ShapeError):
        clustered_mean([1.0, 2.0], [0, 1], weights=[1.0])
