"""Intervals and tests over clusters: by hand, against slow twins, and calibrated."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mitheory.errors import (
    DTypeError,
    EmptyInputError,
    MitheoryError,
    NonFiniteError,
    ParameterError,
    ShapeError,
    UnknownNameError,
)
from mitheory.statistics import (
    Interval,
    cluster_bootstrap,
    cluster_bootstrap_ratio,
    cluster_bootstrap_table,
    holm,
    mcnemar,
    paired_difference,
    paired_permutation,
)
from mitheory.statistics.resampling import STATISTICS


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def rows_of(counts, codes):
    """The rows of a resample, written out: each cluster's rows as often as it was drawn."""
    return [i for c, k in enumerate(counts) for _ in range(k) for i in np.flatnonzero(codes == c)]


TWINS = {"mean": np.mean, "median": np.median}


@pytest.mark.parametrize("name", STATISTICS)
@given(data=st.data())
def test_weighted_statistic_is_that_of_the_rows_written_out(name, data):
    """A statistic under cluster counts equals the plain one on the repeated rows."""
    n = data.draw(st.integers(2, 9))
    codes = np.array(data.draw(st.permutations([i % 2 for i in range(n)])))
    values = data.draw(hnp.arrays(np.float64, (n, 2), elements=st.integers(-3, 3)))
    counts = np.array(data.draw(st.sampled_from([(1, 1), (2, 0), (0, 2), (3, 1)])))
    got = STATISTICS[name](values, codes, counts[None])
    expected = TWINS[name](values[rows_of(counts, codes)], axis=0)
    np.testing.assert_allclose(got[0], expected, atol=1e-12)


def test_every_statistic_has_a_twin():
    assert set(TWINS) == set(STATISTICS)


def test_interval_equals_a_loop_over_resamples_with_the_same_draws():
    values = np.array([1.0, 4.0, 2.0, 8.0, 5.0, 7.0, 1.0])
    labels = np.array(["b", "a", "b", "c", "c", "a", "c"])
    got = cluster_bootstrap(values, labels, n_resamples=300, level=0.8, rng=rng(3))
    groups = [np.flatnonzero(labels == name) for name in ("a", "b", "c")]
    draws = rng(3).integers(3, size=(300, 3))
    means = [values[np.concatenate([groups[c] for c in draw])].mean() for draw in draws]
    np.testing.assert_allclose([got.low, got.high], np.quantile(means, [0.1, 0.9]))
    assert got.estimate == pytest.approx(values.mean())
    assert (got.n, got.n_clusters, got.level, got.estimand) == (7, 3, 0.8, "mean")


def test_interval_by_hand():
    # Clusters of means 0 and 1 and equal size: a resample's mean is 0, 1/2 or 1 with
    # probabilities 1/4, 1/2, 1/4, so that 40% lies in the middle and 60% reaches both ends.
    labels, values = [0, 0, 1, 1], [0, 0, 1, 1]
    inner = cluster_bootstrap(values, labels, level=0.4, rng=rng())
    outer = cluster_bootstrap(values, labels, level=0.6, rng=rng())
    assert (inner.low, inner.high) == (0.5, 0.5)
    assert (outer.low, outer.high) == (0.0, 1.0)


def test_blocks_do_not_change_the_resamples(monkeypatch):
    values, labels = rng(1).normal(size=60), np.arange(60) % 20
    whole = cluster_bootstrap(values, labels, n_resamples=101, rng=rng())
    monkeypatch.setattr("mitheory.statistics.resampling.BLOCK", 700)
    assert cluster_bootstrap(values, labels, n_resamples=101, rng=rng()) == whole


def test_same_rng_same_interval_other_rng_other_and_global_state_untouched():
    values, labels = rng(1).normal(size=60), np.arange(60) % 20
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one, same, other = (cluster_bootstrap(values, labels, rng=rng(s)) for s in (0, 0, 1))
    assert one == same
    assert (one.low, one.high) != (other.low, other.high)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@given(data=st.data())
def test_renaming_clusters_and_mapping_values_affinely_carries_over(data):
    """Order-preserving renaming changes nothing; v -> 2v + 1 maps estimate and both ends alike."""
    n = data.draw(st.integers(4, 12))
    values = data.draw(hnp.arrays(np.float64, n, elements=st.floats(-5, 5)))
    labels = np.arange(n) % 3
    name = data.draw(st.sampled_from(sorted(STATISTICS)))
    one = cluster_bootstrap(values, labels, statistic=name, n_resamples=50, rng=rng())
    names = np.array(["a", "b", "c"])[labels]
    two = cluster_bootstrap(2 * values + 1, names, statistic=name, n_resamples=50, rng=rng())
    ends = np.array([one.estimate, one.low, one.high])
    np.testing.assert_allclose([two.estimate, two.low, two.high], 2 * ends + 1, atol=1e-9)
    assert one.low <= one.high


def test_columns_of_a_table_share_their_resamples():
    values = rng(1).normal(size=(40, 3))
    values[:, 2] = values[:, 0] + 1
    labels = np.arange(40) % 10
    table = cluster_bootstrap_table(values, labels, rng=rng())
    alone = [cluster_bootstrap(column, labels, rng=rng()) for column in values.T]
    assert [round(i.low, 9) for i in table] == [round(i.low, 9) for i in alone]
    assert table[2].low - table[0].low == pytest.approx(1)


def test_ratio_is_a_mean_where_the_denominator_is_one():
    values, labels = rng(1).normal(size=30), np.arange(30) % 7
    got = cluster_bootstrap_ratio(values, np.ones(30), labels, rng=rng())
    mean = cluster_bootstrap(values, labels, rng=rng())
    np.testing.assert_allclose(
        [got.estimate, got.low, got.high], [mean.estimate, mean.low, mean.high]
    )


def test_ratio_with_an_empty_denominator_is_refused():
    with pytest.raises(NonFiniteError, match="denominator is 0"):
        cluster_bootstrap_ratio([1, 0], [1, 0], ["a", "b"], rng=rng())


def test_paired_difference_uses_the_pairing():
    # The two settings share almost all of their noise: paired, the difference is seen.
    shared = rng(1).normal(size=200)
    labels = np.arange(200) % 50
    noise = 0.01 * rng(2).normal(size=200)
    paired = paired_difference(shared + 0.1 + noise, shared, labels, rng=rng())
    assert 0.09 < paired.low < paired.estimate < paired.high < 0.11
    shuffled = paired_difference(rng(3).permutation(shared) + 0.1, shared, labels, rng=rng())
    assert shuffled.high - shuffled.low > 10 * (paired.high - paired.low)


def clustered_bernoulli(generator, *, n_clusters=80, rows=8):
    """Rows right with a probability of their own cluster; the mean of all is 0.6."""
    chance = generator.beta(1.2, 0.8, size=n_clusters)
    right = generator.random((n_clusters, rows)) < chance[:, None]
    return right.ravel(), np.repeat(np.arange(n_clusters), rows)


def coverage(unit: str, *, simulations: int = 600) -> float:
    hits = 0
    for seed in range(simulations):
        right, labels = clustered_bernoulli(rng(seed))
        units = labels if unit == "cluster" else np.arange(len(right))
        interval = cluster_bootstrap(right, units, n_resamples=300, rng=rng(10_000 + seed))
        hits += interval.low <= 0.6 <= interval.high
    return hits / simulations


def test_cluster_interval_covers_at_its_level():
    # 600 simulations: the standard error of a coverage of 95% is 0.9%; percentile intervals of 80
    # clusters and 300 resamples fall about 1% short.
    assert 0.92 <= coverage("cluster") <= 0.98


def test_row_interval_under_covers():
    # Within-cluster correlation 1/(1+2) = 1/3, design effect 1 + 7/3: an interval that takes rows
    # for the unit is too short by sqrt(3.33) and covers about 2Φ(1.96/1.83) - 1 = 72%.
    assert 0.65 <= coverage("row", simulations=200) <= 0.79


def test_permutation_test_equals_all_sign_flips():
    first, second = np.array([3.0, 1, 2, 0, 5, 4]), np.array([1.0, 0, 2, 1, 1, 2])
    labels = np.array([0, 0, 1, 2, 3, 3])
    sums = np.array([3.0, 0.0, -1.0, 6.0])
    flips = [abs(np.dot(signs, sums)) for signs in itertools.product((-1, 1), repeat=4)]
    exact = np.mean(np.array(flips) >= abs(sums.sum()))
    got = paired_permutation(first, second, labels, n_permutations=40_000, rng=rng())
    assert got.p_value == pytest.approx(exact, abs=0.01)
    assert (got.n, got.n_first, got.n_second) == (4, 2, 1)
    assert got.difference == pytest.approx((first - second).mean())


def null_pair(seed):
    """Two settings of one accuracy whose cluster chances differ at random."""
    generator = rng(seed)
    chances = generator.beta(1, 1, size=(2, 30))
    return [(generator.random((30, 6)) < c[:, None]).ravel() for c in chances]


def test_permutation_test_holds_its_level_where_mcnemar_does_not():
    labels = np.repeat(np.arange(30), 6)
    pairs = [null_pair(seed) for seed in range(300)]
    permutation = [
        paired_permutation(a, b, labels, n_permutations=400, rng=rng(i)).p_value
        for i, (a, b) in enumerate(pairs)
    ]
    naive = [mcnemar(a, b).p_value for a, b in pairs]
    assert 0.02 <= np.mean(np.array(permutation) <= 0.05) <= 0.085  # 0.05 ± 2.8 standard errors
    assert np.mean(np.array(naive) <= 0.05) > 0.12


def test_permutation_test_finds_a_difference():
    found = 0
    for seed in range(50):
        a, b = null_pair(seed)
        better = a | (rng(seed + 999).random(a.size) < 0.6)
        found += paired_permutation(
            better, b, np.repeat(np.arange(30), 6), n_permutations=400, rng=rng(seed)
        ).p_value <= 0.05  # fmt: skip
    assert found >= 40


def test_permutation_p_value_does_not_depend_on_blocks(monkeypatch):
    a, b = null_pair(0)
    labels = np.repeat(np.arange(30), 6)
    whole = paired_permutation(a, b, labels, n_permutations=500, rng=rng())
    monkeypatch.setattr("mitheory.statistics.paired.BLOCK", 30 * 500)
    assert paired_permutation(a, b, labels, n_permutations=500, rng=rng()) == whole
    assert whole.p_value > 0


def test_mcnemar_by_hand():
    # 5 against 1 discordant pairs: 2·(C(6,0) + C(6,1))/2^6 = 14/64.
    first = np.array([1, 1, 1, 1, 1, 0, 1, 0], dtype=bool)
    second = np.array([0, 0, 0, 0, 0, 1, 1, 0], dtype=bool)
    test = mcnemar(first, second)
    assert test.p_value == pytest.approx(14 / 64)
    assert (test.n, test.n_first, test.n_second, test.difference) == (8, 5, 1, 0.5)
    assert mcnemar(second, first).difference == -0.5
    assert mcnemar(first, first).p_value == 1.0


@given(p=hnp.arrays(np.float64, st.integers(1, 8), elements=st.floats(0, 1)))
def test_holm_is_its_stepwise_definition(p):
    """Adjusted p_i <= α iff Holm's step-down procedure at α rejects i; order is kept."""
    adjusted = holm(p)
    for alpha in (0.01, 0.05, 0.2, 0.7):
        rejected = np.zeros(len(p), dtype=bool)
        for step, i in enumerate(np.argsort(p, kind="stable")):
            if p[i] * (len(p) - step) > alpha:
                break
            rejected[i] = True
        np.testing.assert_array_equal(adjusted <= alpha, rejected)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, len(p) * p)).all()  # never worse than Bonferroni


def test_holm_on_a_pandas_column():
    np.testing.assert_allclose(holm(pd.Series([0.2, 0.01])), [0.2, 0.02])


@pytest.mark.parametrize("labels", [["x", "y", "y"], [1, 2, 2], [0.5, 1.5, 1.5]])
def test_labels_of_any_kind_name_clusters(labels):
    expected = cluster_bootstrap([1.0, 2, 3], [0, 1, 1], rng=rng())
    for given_as in (labels, np.array(labels), pd.Series(labels), np.array(labels, dtype=object)):
        assert cluster_bootstrap([1.0, 2, 3], given_as, rng=rng()) == expected


def test_booleans_of_every_kind_are_numbers():
    right = [True, False, True]
    expected = cluster_bootstrap([1, 0, 1], [0, 1, 2], rng=rng())
    for values in (right, pd.Series(right), pd.Series(right, dtype="boolean"), np.array(right)):
        assert cluster_bootstrap(values, [0, 1, 2], rng=rng()) == expected


BAD = {
    "strings": ({"values": ["a", "b"]}, DTypeError, "numbers or booleans"),
    "missing": ({"values": pd.Series([1, None], dtype="Int64")}, NonFiniteError, "1 of 2"),
    "nan": ({"values": [1.0, np.nan]}, NonFiniteError, "1 of 2"),
    "empty": ({"values": [], "clusters": []}, EmptyInputError, "empty"),
    "matrix": ({"values": [[1, 2]]}, ShapeError, r"\(n,\)"),
    "lengths": ({"clusters": [1, 2, 3]}, ShapeError, "n = 2"),
    "one cluster": ({"clusters": [7, 7]}, ParameterError, "two or more"),
    "mixed labels": ({"clusters": np.array([1, "a"], dtype=object)}, DTypeError, "one type"),
    "nan label": ({"clusters": [1.0, np.nan]}, NonFiniteError, "NaN"),
    "statistic": ({"statistic": "mode"}, UnknownNameError, "mean"),
    "level": ({"level": 95}, ParameterError, r"\(0, 1\)"),
    "resamples": ({"n_resamples": 0}, ParameterError, "positive"),
    "resamples type": ({"n_resamples": 10.0}, DTypeError, "int"),
    "seed for rng": ({"rng": 0}, DTypeError, "Generator"),
}


@pytest.mark.parametrize(("change", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_named(change, error, message):
    arguments = {"values": [1, 0], "clusters": [0, 1], "rng": rng(), **change}
    values, clusters = arguments.pop("values"), arguments.pop("clusters")
    with pytest.raises(error, match=message) as caught:
        cluster_bootstrap(values, clusters, **arguments)
    assert isinstance(caught.value, MitheoryError)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: paired_difference([1, 2], [1], [0, 1], rng=rng()), ShapeError),
        (lambda: paired_permutation([1, 2], [1], [0, 1], rng=rng()), ShapeError),
        (lambda: cluster_bootstrap_ratio([1, 2], [1], [0, 1], rng=rng()), ShapeError),
        (lambda: cluster_bootstrap_table([1, 2], [0, 1], rng=rng()), ShapeError),
        (lambda: mcnemar([0, 2], [0, 1]), ParameterError),
        (lambda: holm([0.1, 1.2]), ParameterError),
        (lambda: holm([]), EmptyInputError),
    ],
)
def test_bad_input_elsewhere(call, error):
    with pytest.raises(error):
        call()


def test_an_interval_says_what_it_is_of():
    interval = paired_difference([1, 1], [0, 1], [0, 1], rng=rng())
    assert isinstance(interval, Interval)
    assert interval.estimand == "mean(first) - mean(second)"
    assert "cluster bootstrap" in interval.method
