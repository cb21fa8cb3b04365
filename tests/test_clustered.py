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


def test_one_row_per_cluster_is_the_textbook_error():
    x = np.array([1.0, 2.0, 4.0, 9.0])
    mean, se, df, _ = clustered_mean(x, [3, 1, 2, 0])
    assert (mean, df) == (4.0, 3)
    assert se == pytest.approx(x.std(ddof=1) / 2)


@pytest.mark.parametrize("sizes", [[3] * 7, [1, 9, 2, 2, 4]])
def test_agrees_with_leaving_one_cluster_out(sizes):
    """Of unequal clusters too, about the whole mean instead of that of the left-out means."""
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=len(clusters)) + rng.normal(size=len(sizes))[clusters]
    left = np.array([x[clusters != c].mean() for c in range(len(sizes))])
    g = len(sizes)
    slow = np.sqrt((g - 1) / g * ((left - x.mean()) ** 2).sum())
    assert clustered_mean(x, clusters).se == pytest.approx(slow)


def test_clusters_that_count():
    """Shares 1/2 and eight of 1/16: (Σh²)²/Σh⁴ − 1 = (9/32)² / (129/2048) − 1 = 0.256, at least 1.

    With equal shares it is G − 1.
    """
    sizes = [8, 1, 1, 1, 1, 1, 1, 1, 1]
    clusters = np.repeat(np.arange(9), sizes)
    x = np.arange(16.0)
    assert clustered_mean(x, clusters).df == 1
    assert clustered_mean(np.arange(9.0), np.arange(9)).df == pytest.approx(8)


def test_skewness_by_hand():
    # deviations −1, −1, 2 (over 3·(2/3) each): Σp³/(Σp²)^1.5 = 6 / 6^1.5
    assert clustered_mean([0, 0, 3], [1, 2, 3]).skew == pytest.approx(6 / 6**1.5)


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
    plain = clustered_mean(x, clusters)
    moved = clustered_mean(scale * x + shift, clusters)
    assert moved[:3] == pytest.approx(
        (scale * plain.value + shift, scale * plain.se, plain.df), abs=1e-9
    )
    if plain.se > 1e-3:
        assert moved.skew == pytest.approx(plain.skew, abs=1e-6)
        assert clustered_mean(-x, clusters).skew == pytest.approx(-plain.skew, abs=1e-6)
    assert clustered_mean(x[::-1], clusters[::-1]) == pytest.approx(plain, abs=1e-9)


@pytest.mark.parametrize("n", [10, 30, 200])
@pytest.mark.parametrize("level", [0.95, 0.998])
def test_never_seen_is_not_impossible(n, level):
    """The floor of a rate that was 0 in n images reaches the exact binomial upper bound."""
    from scipy.stats import beta
    from scipy.stats import t as student

    _, se, df, _ = clustered_mean(np.zeros(n), np.arange(n), span=1.0)
    exact = beta.ppf((1 + level) / 2, 1, n)
    assert student.ppf((1 + level) / 2, df) * se >= exact


def test_floor_is_for_what_never_varied():
    """Shares that vary a little have the error they show; the floor would swamp it."""
    for x in (np.linspace(0.95, 0.97, 20), np.tile([0.0, 1.0], 10)):
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
