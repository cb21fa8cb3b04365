"""Independence tests: parts against slow twins and numbers by hand; see also `_calibration`."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import digamma
from scipy.stats import binom

from mitheory import estimators, independence
from mitheory.errors import (
    DTypeError,
    MitheoryError,
    NonFiniteError,
    ParameterError,
    ShapeError,
    UnknownNameError,
)
from mitheory.ground_truth.gaussian import correlation_for
from mitheory.independence import TESTS, Rate
from mitheory.independence.inputs import check_rows
from mitheory.independence.neighbors import Distances, local_permutations
from mitheory.independence.residual import cluster_products, gaussian_cmi
from mitheory.independence.smoothing import PENALTIES, CrossFit, _predict_fold, cross_fit


def generator(seed=0):
    return np.random.default_rng(seed)


def three_sides(n=60, dims=(2, 1, 2), seed=0):
    rng = generator(seed)
    return [rng.standard_normal((n, d)) for d in dims]


# --- nearest neighbors ----------------------------------------------------------------------


def slow_contributions(x, y, z, k):
    """Frenzel and Pompe's formula point by point, in the maximum norm."""
    n, out = len(x), []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        in_x, in_y, in_z = ({j: np.abs(s[i] - s[j]).max() for j in others} for s in (x, y, z))
        radius = sorted(max(in_x[j], in_y[j], in_z[j]) for j in others)[k - 1]
        n_xz = sum(max(in_x[j], in_z[j]) < radius for j in others)
        n_yz = sum(max(in_y[j], in_z[j]) < radius for j in others)
        n_z = sum(in_z[j] < radius for j in others)
        out.append(digamma(k) - digamma(n_xz + 1) - digamma(n_yz + 1) + digamma(n_z + 1))
    return np.array(out)


@pytest.mark.parametrize("k", [1, 4])
def test_contributions_are_those_of_the_slow_twin_permuted_or_not(k):
    x, y, z = three_sides()
    space = Distances(x, y, z)
    np.testing.assert_allclose(space.contributions(k), slow_contributions(x, y, z, k), atol=1e-12)
    order = generator(1).permutation(60)
    order[:2] = order[2]  # as where all neighbors were taken: two rows with one x
    want = slow_contributions(x[order], y, z, k)
    np.testing.assert_allclose(space.contributions(k, order), want, atol=1e-12)


def test_contributions_are_those_of_the_estimator():
    """What is permuted here is what `estimators.cmi` estimates."""
    x, y, z = three_sides(200, (2, 2, 3))
    want = estimators.cmi("frenzel_pompe", x, y, z, k=5).pointwise
    np.testing.assert_allclose(Distances(x, y, z).contributions(5), want, atol=1e-12)


def test_local_permutations_stay_among_the_neighbors_in_z():
    z = generator().standard_normal((80, 2))
    distances = Distances(z, z, z).z
    orders = local_permutations(distances, 5, 40, generator(1))
    full = distances.copy()
    np.fill_diagonal(full, 0.0)
    rank = full.argsort(1).argsort(1)  # 0 for the row itself
    assert rank[np.arange(80), orders].max() == 4
    distinct = np.mean([len(set(order)) for order in orders]) / 80
    assert distinct > 0.85  # free neighbors first: dealing with replacement leaves 63%
    assert len({tuple(order) for order in orders}) == 40
    assert (orders != np.arange(80)).mean() > 0.6  # of five, four are not the row itself


def test_stopping_early_gives_the_sequential_p_value():
    """Besag and Clifford: h reached after l permutations gives h/l; not reached, the usual one."""
    x, y, z = three_sides(100)
    options = {"n_permutations": 99, "rng": generator(3)}
    stopped = independence.test("knn_permutation", x, y, z, stop_after=5, **options)
    made = stopped.diagnostics["n_permutations"]
    assert made < 99
    assert stopped.p_value == 5 / made
    linked = independence.test(
        "knn_permutation", x, x[:, :1] + 0.1 * y, z, stop_after=5, n_permutations=99,
        rng=generator(),
    )  # fmt: skip
    assert linked.p_value == 1 / 100


# --- regression and residuals ---------------------------------------------------------------


def test_regression_holds_out_whole_images_and_solves_the_ridge_equations():
    rng = generator()
    image = rng.integers(0, 30, 150)
    z, targets = rng.standard_normal((150, 2)), rng.standard_normal((150, 3))
    codes = np.unique(image, return_inverse=True)[1]
    fit = cross_fit(z, codes, rng=rng)
    for folds in fit.folds:
        assert sorted(np.concatenate([f.test for f in folds])) == list(range(150))
        for fold in folds:
            assert set(codes[fold.train]).isdisjoint(codes[fold.test])
            out = np.empty((len(PENALTIES), *targets.shape))
            _predict_fold(fold, targets, out)
            gram = fold.right @ fold.right.T
            for row, penalty in zip(out, PENALTIES, strict=True):
                mean = targets[fold.train].mean(0)
                system = gram + penalty * len(fold.train) * np.eye(len(gram))
                slopes = np.linalg.solve(system, fold.right @ (targets[fold.train] - mean))
                np.testing.assert_allclose(row[fold.test], mean + fold.left @ slopes, atol=1e-8)


def test_a_prediction_does_not_see_the_image_it_is_for():
    """Other values in one image leave its own predictions as they were (at given penalty)."""
    rng = generator()
    codes = np.repeat(np.arange(30), 4)
    z, target = rng.standard_normal((120, 2)), rng.standard_normal((120, 1))
    other = target + 50 * (codes == 7)[:, None]
    for folds in cross_fit(z, codes, rng=rng).folds:
        fold = next(f for f in folds if 7 in codes[f.test])
        first, second = np.empty((2, len(PENALTIES), 120, 1))
        _predict_fold(fold, target, first)
        _predict_fold(fold, other, second)
        np.testing.assert_array_equal(first[:, fold.test], second[:, fold.test])


@pytest.mark.parametrize("curve", [lambda s: 3 * s, lambda s: s**2, np.tanh])
def test_regression_finds_linear_and_curved_effects(curve):
    rng = generator()
    z = rng.standard_normal((400, 1))
    truth = curve(z) / curve(z).std()
    target = truth + rng.standard_normal((400, 1))
    predicted = cross_fit(z, np.arange(400), rng=rng).predict(target)
    assert ((predicted - truth) ** 2).mean() < 0.1  # of a signal of variance 1


def test_each_column_gets_the_bandwidth_that_predicts_it_best():
    rng = generator()
    z = rng.standard_normal((300, 1))
    targets = np.hstack([np.sin(6 * z), np.sin(z)]) + 0.3 * rng.standard_normal((300, 2))
    fit = cross_fit(z, np.arange(300), rng=rng)
    alone = [CrossFit(fit.n, (folds,)).predict(targets) for folds in fit.folds]
    errors = np.stack([((a - targets) ** 2).sum(0) for a in alone])  # (bandwidths, columns)
    assert errors[0, 0] < 0.9 * errors[1, 0]  # the wiggle needs the narrow one
    both = fit.predict(targets)
    np.testing.assert_allclose(((both - targets) ** 2).sum(0), errors.min(0))


def test_cluster_products_by_hand():
    # image 0: rows (1, 2)·3 and (0, 1)·1; image 1: row (2, 0)·5
    r_x, r_y = np.array([[1.0, 2], [0, 1], [2, 0]]), np.array([[3.0], [1], [5]])
    sums = cluster_products(r_x, r_y, np.array([0, 0, 1]), 2)
    assert sums.tolist() == [[3, 7], [10, 0]]


def test_gaussian_cmi_is_the_jackknife_done_by_hand():
    rng = generator()
    x = rng.standard_normal((90, 2))
    y = 0.5 * x[:, :1] + rng.standard_normal((90, 1))
    codes = np.repeat(np.arange(30), 3)

    def information(keep):
        moments = (lambda a: a.T @ a / keep.sum())(np.hstack([x, y])[keep] - center)
        det = np.linalg.det
        return 0.5 * math.log(det(moments[:2, :2]) * moments[2, 2] / det(moments))

    center = np.hstack([x, y]).mean(0)
    left_out = np.array([information(codes != c) for c in range(30)])
    value, error = gaussian_cmi(x, y, codes, 30)
    assert value == pytest.approx(30 * information(codes >= 0) - 29 * left_out.mean())
    assert error == pytest.approx(math.sqrt(29 / 30 * ((left_out - left_out.mean()) ** 2).sum()))


@given(st.integers(0, 2**32 - 1))
def test_gaussian_cmi_does_not_change_under_invertible_maps_of_either_side(seed):
    """I(AX;BY) = I(X;Y) for invertible A and B, exactly so for the plug-in and its jackknife."""
    rng = generator(seed)
    x, y = rng.standard_normal((2, 60, 2))
    y += 0.7 * x
    codes = np.repeat(np.arange(20), 3)
    a, b = np.eye(2) + 0.3 * rng.uniform(-1, 1, (2, 2, 2))  # diagonally dominant: invertible
    want, got = gaussian_cmi(x, y, codes, 20), gaussian_cmi(x @ a, y @ b, codes, 20)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", TESTS)
def test_effects_are_in_nats_and_unclipped(name):
    """At 0.25 nats the estimate is near; at 0 it is as often below."""
    rng = generator()
    rho = correlation_for(0.25)
    null, linked = [], []
    for _ in range(10):
        z, e, f = rng.standard_normal((3, 300))
        null.append(independence.test(name, z + e, z + f, z, rng=rng).effect)
        y = z + rho * e + math.sqrt(1 - rho**2) * f
        linked.append(independence.test(name, z + e, y, z, rng=rng).effect)
    assert min(null) < 0 < max(null)
    assert abs(np.mean(null)) < 0.01
    lowest = 0.15 if name == "knn_permutation" else 0.22  # it is biased to 0, and says so
    assert lowest < np.mean(linked) < 0.29


def test_what_an_unseen_cause_would_have_to_explain():
    """-½ log(1 - 0.6²) = 0.2231 nats is a correlation of 0.6; nothing below 0."""
    e = independence.TestResult("gcm", 1.0, 0.5, -0.5 * math.log(0.64), 0.1, 9, 9, (1, 1, 1))
    assert e.share_to_explain_away == pytest.approx(0.6)
    none = independence.TestResult("gcm", 1.0, 0.5, -0.01, 0.1, 9, 9, (1, 1, 1))
    assert none.share_to_explain_away == 0


@pytest.mark.parametrize(("rejections", "n"), [(0, 60), (3, 60), (60, 60), (25, 500)])
def test_a_rate_has_the_exact_binomial_interval(rejections, n):
    """At either end the tail beyond what was seen has probability 2.5%."""
    rate = Rate(rejections, n)
    if rejections > 0:
        assert binom.sf(rejections - 1, n, rate.low) == pytest.approx(0.025)
    if rejections < n:
        assert binom.cdf(rejections, n, rate.high) == pytest.approx(0.025)
    assert rate.low <= rate.value <= rate.high


# --- the front door -------------------------------------------------------------------------


@pytest.mark.parametrize("name", TESTS)
def test_the_seed_decides_and_only_the_seed(name):
    x, y, z = three_sides(80)
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    results = [independence.test(name, x, y, z, rng=generator(s)) for s in (1, 1, 2)]
    first, same, other = ((r.p_value, r.effect) for r in results)
    assert first == same != other
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


@pytest.mark.parametrize("name", TESTS)
def test_units_of_the_columns_do_not_matter(name):
    x, y, z = three_sides(80)
    want = independence.test(name, x, y, z, rng=generator())
    got = independence.test(name, 7 * x - 3, y / 9, z * [2, 30] + 1, rng=generator())
    assert got.p_value == want.p_value
    assert got.effect == pytest.approx(want.effect)


GOOD = {"x": np.arange(40.0), "y": np.arange(40.0) ** 2 % 7, "z": np.arange(40.0) % 5}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"x": np.zeros((40, 2, 2)) + GOOD["x"][:, None, None]}, ShapeError, "x must be"),
        ({"y": np.arange(39.0)}, ShapeError, "y must have n = 40"),
        ({"z": np.full(40, np.nan)}, NonFiniteError, "z must be finite"),
        ({"z": np.ones(40)}, ParameterError, "z: column 0 is constant"),
        ({"x": np.array(["a"] * 40)}, DTypeError, "x must hold numbers"),
        ({"clusters": np.arange(40) // 4}, ParameterError, "20 independent clusters"),
        ({"clusters": np.arange(39)}, ShapeError, "clusters must have one label"),
        ({"rng": 0}, DTypeError, "rng must be"),
        ({"bandwidth": 1}, ParameterError, r"no option \['bandwidth'\]"),
        ({"n_resamples": 0}, ParameterError, "n_resamples must be"),
    ],
)
def test_bad_input_is_refused_in_words(change, error, words):
    arguments = {**GOOD, "rng": generator(), **change}
    with pytest.raises(error, match=words):
        independence.test("gcm", **arguments)


@pytest.mark.parametrize(
    "options", [{"k": 40}, {"k": 0}, {"k_permutation": 40}, {"n_draws": 0}, {"stop_after": 0}]
)
def test_options_of_the_neighbors_are_checked(options):
    labels = np.arange(40) // 1 if "n_draws" not in options else np.arange(40) % 20
    with pytest.raises(ParameterError):
        independence.test("knn_permutation", **GOOD, clusters=labels, rng=generator(), **options)


def test_an_unknown_test_lists_the_known():
    with pytest.raises(UnknownNameError, match="gcm, knn_permutation, residual"):
        independence.test("gmc", **GOOD, rng=generator())


def test_a_smoother_of_other_rows_is_refused():
    x, y, z = three_sides(80)
    rows = check_rows(x[:60], y[:60], z[:60], None, generator())
    smoother = cross_fit(rows.z, rows.codes, rng=generator())
    with pytest.raises(MitheoryError, match="expected one of 80 rows, got 60"):
        independence.test("gcm", x, y, z, rng=generator(), smoother=smoother)
