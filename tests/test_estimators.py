"""Estimators of information: slow twins, numbers by hand, and what every entry must satisfy."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch
from estimator_twins import (
    gaussian_information,
    slow_frenzel_pompe,
    slow_information,
    slow_ksg,
    wrong_ksg_2,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from mitheory.errors import (
    DTypeError,
    EmptyInputError,
    NonFiniteError,
    ParameterError,
    ShapeError,
    UnknownNameError,
)
from mitheory.estimators import CMI, MI, cmi, mi, nearest
from mitheory.estimators.gaussian import SHRINKAGES
from mitheory.estimators.plug_in import CORRECTIONS

LABELS = ("plug_in",)  # the entries for labels; all others take numbers
SETTINGS = {"histogram": {"bins": 3}}  # where the default depends on the dimension


def generator(seed=0):
    return np.random.default_rng(seed)


def options_of(table, name, seed=0):
    """`rng` for the entries that are random."""
    random = "rng" in inspect.signature(table[name]).parameters
    return {**SETTINGS.get(name, {}), **({"rng": generator(seed)} if random else {})}


def suited(name, *sides):
    """The sides as the entry takes them: cut into three labels if it counts."""
    if name not in LABELS:
        return sides
    return tuple(np.digitize(side, np.quantile(side, [1 / 3, 2 / 3])) for side in sides)


def estimate(name, *sides, seed=0, **options):
    """By whichever table fits the number of sides."""
    table, call = (MI, mi) if len(sides) == 2 else (CMI, cmi)
    return call(name, *suited(name, *sides), **options_of(table, name, seed), **options)


def pair(n, rho, d=1, seed=0):
    rng = generator(seed)
    x, noise = rng.standard_normal((2, n, d))
    return x, rho * x + math.sqrt(1 - rho**2) * noise


# --- nearest neighbors ----------------------------------------------------------------------


@pytest.fixture(params=["tree", "blocks"])
def search(request, monkeypatch):
    """Both searches, the second in many blocks."""
    if request.param == "blocks":
        monkeypatch.setattr(nearest, "TREE_DIMENSIONS", 0)
        monkeypatch.setattr(nearest, "BLOCK_ENTRIES", 700)


@pytest.mark.usefixtures("search")
@pytest.mark.parametrize("algorithm", [1, 2])
@pytest.mark.parametrize("k", [1, 4])
def test_ksg_is_its_slow_twin(algorithm, k):
    rng = generator()
    x, y = rng.standard_normal((60, 2)), rng.standard_normal((60, 1))
    got = mi("ksg", x, y, k=k, algorithm=algorithm)
    np.testing.assert_allclose(got.pointwise, slow_ksg(x, y, k, algorithm), atol=1e-12)
    assert got.diagnostics["rows_with_k_duplicates"] == 0


@pytest.mark.usefixtures("search")
@pytest.mark.parametrize("k", [1, 4])
def test_frenzel_pompe_is_its_slow_twin(k):
    rng = generator()
    x, y, z = (rng.standard_normal((50, d)) for d in (2, 1, 3))
    got = cmi("frenzel_pompe", x, y, z, k=k)
    np.testing.assert_allclose(got.pointwise, slow_frenzel_pompe(x, y, z, k), atol=1e-12)


@pytest.mark.usefixtures("search")
def test_ties_are_counted_as_the_formulas_say():
    """On a grid most distances are equal: "<" and "<=" part, and radii of 0 occur."""
    rng = generator()
    x, y, z = rng.integers(0, 3, (3, 50, 1)).astype(float)
    assert (mi("ksg", x, y, k=3).diagnostics["rows_with_k_duplicates"]) > 10
    got = mi("ksg", x, y, k=3, algorithm=1).pointwise
    np.testing.assert_allclose(got, slow_ksg(x, y, 3, 1), atol=1e-12)
    got = cmi("frenzel_pompe", x, y, z, k=3).pointwise
    np.testing.assert_allclose(got, slow_frenzel_pompe(x, y, z, 3), atol=1e-12)


@pytest.mark.usefixtures("search")
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_rows_given_several_times(k):
    """Each row four times: a row may not be its own neighbor, whatever order ties come in."""
    x, y = (np.repeat(side, 4, axis=0) for side in pair(12, 0.5))
    for algorithm in (1, 2):
        got = mi("ksg", x, y, k=k, algorithm=algorithm).pointwise
        np.testing.assert_allclose(got, slow_ksg(x, y, k, algorithm), atol=1e-12)


@pytest.mark.parametrize("algorithm", [1, 2])
@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_ksg_finds_the_information_of_gaussian_pairs(algorithm, rho):
    """-½ log(1 - ρ²): 0, 0.223, 0.830 nats."""
    value = mi("ksg", *pair(2000, rho), algorithm=algorithm, k=2).value
    assert value == pytest.approx(-math.log(1 - rho**2) / 2, abs=0.06)


def test_the_released_wrong_algorithm_2_fails_that_test():
    """Without a radius of its own for each side, taking 1/k away is an error of about 1/k."""
    x, y = pair(300, 0.9)
    wrong = wrong_ksg_2(x, y, 2).mean()
    assert wrong < -math.log(1 - 0.9**2) / 2 - 0.25
    assert wrong < mi("ksg", x, y, algorithm=2, k=2).value - 0.25


def test_standardizing_makes_units_irrelevant():
    x, y = pair(200, 0.6, d=2)
    scales = np.array([100.0, 0.01])
    plain, scaled = (mi("ksg", a, y, k=3).value for a in (x, x * scales))
    assert abs(plain - scaled) > 0.05  # the maximum norm sees one column only
    first, second = (mi("ksg", a, y, k=3, standardize=True).value for a in (x, x * scales))
    assert first == pytest.approx(second, abs=1e-12)


# --- Gaussian -------------------------------------------------------------------------------


def test_gaussian_pair_by_hand():
    """Of two columns with sample correlation r: -½ log(1 - r²)."""
    x = np.array([1.0, 2, 3, 4, 5])
    y = np.array([2.0, 1, 4, 3, 5])  # centered products 4 + 1 + 0 + 0 + ... = 8 of 10: r = 0.8
    assert mi("gaussian", x, y, correction="none").value == pytest.approx(-0.5 * math.log(0.36))


def test_contributions_are_log_ratios_of_the_fitted_densities():
    """At the fitted covariance their mean is the closed form; nothing is shifted to make it so."""
    x, y = pair(50, 0.6, d=2)
    z = x + generator(1).standard_normal((50, 2))

    def log_density(*sides):
        data = np.hstack(sides)
        fitted = multivariate_normal(data.mean(0), np.cov(data.T, bias=True))
        return fitted.logpdf(data)

    want = log_density(x, y) - log_density(x) - log_density(y)
    got = mi("gaussian", x, y, correction="none")
    np.testing.assert_allclose(got.pointwise, want, atol=1e-12)
    covariance = np.cov(np.hstack([x, y]).T)
    assert want.mean() == pytest.approx(gaussian_information(covariance, [0, 1], [2, 3]))
    want = log_density(x, y, z) + log_density(z) - log_density(x, z) - log_density(y, z)
    got = cmi("gaussian", x, y, z, correction="none")
    np.testing.assert_allclose(got.pointwise, want, atol=1e-12)


def test_wishart_correction_by_hand():
    """Of 1 + 1 dimensions the digammas leave ½ [ψ((n−1)/2) − ψ((n−2)/2)] to take away."""
    x, y = pair(12, 0.5)
    raw, fair = (mi("gaussian", x, y, correction=c).value for c in ("none", "wishart"))
    # ψ(11/2) - ψ(5): ψ(1/2) + 2(1 + 1/3 + 1/5 + 1/7 + 1/9) - (ψ(1) + 1 + 1/2 + 1/3 + 1/4)
    halves = -2 * math.log(2) + 2 * (1 + 1 / 3 + 1 / 5 + 1 / 7 + 1 / 9) - (25 / 12)
    assert raw - fair == pytest.approx(halves / 2)


LINKED = np.eye(7) + np.diag([0.5] * 5, 2) + np.diag([0.5] * 5, -2)  # chains 0-2-4-6 and 1-3-5


@pytest.mark.parametrize("covariance", [np.eye(7), LINKED], ids=["null", "linked"])
@pytest.mark.parametrize("conditional", [False, True])
def test_wishart_correction_leaves_no_bias(covariance, conditional):
    """The mean over repeats is the truth within 4 standard errors; uncorrected it is not."""
    rng = generator(1)
    sides = ([0, 1, 2], [3, 4], [5, 6]) if conditional else ([0, 1, 2], [3, 4, 5, 6])
    truth = gaussian_information(covariance, *sides)
    estimates = {"wishart": [], "none": []}
    for _ in range(300):
        data = rng.multivariate_normal(np.zeros(7), covariance, 30, method="cholesky")
        for correction, found in estimates.items():
            call = cmi if conditional else mi
            found.append(call("gaussian", *(data[:, s] for s in sides), correction=correction))
    values = {c: np.array([e.value for e in found]) for c, found in estimates.items()}
    error = values["wishart"].std() / math.sqrt(300)
    assert abs(values["wishart"].mean() - truth) < 4 * error
    assert values["none"].mean() > truth + 10 * error
    assert values["wishart"].min() < truth  # not clipped at 0 where the truth is 0


@given(st.integers(0, 2**32 - 1))
def test_gaussian_information_does_not_change_under_invertible_maps(seed):
    """I(AX;BY|CZ) = I(X;Y|Z) for invertible A, B and C."""
    rng = generator(seed)
    x, y, z = rng.standard_normal((3, 40, 2))
    y += x + z
    a, b, c = np.eye(2) + 0.3 * rng.uniform(-1, 1, (3, 2, 2))  # diagonally dominant: invertible
    for first, second in (
        (mi("gaussian", x, y), mi("gaussian", x @ a - 3, y @ b)),
        (cmi("gaussian", x, y, z), cmi("gaussian", x @ a, y @ b, z @ c + 1)),
    ):
        assert second.value == pytest.approx(first.value, abs=1e-9)
        np.testing.assert_allclose(second.pointwise, first.pointwise, atol=1e-8)


def test_shrinkage_pulls_toward_zero_and_carries_more_columns_than_rows():
    x, y = pair(40, 0.6, d=30)
    with pytest.raises(ParameterError, match="40 rows cannot carry a covariance of 60"):
        mi("gaussian", x, y)
    half, most = (mi("gaussian", x, y, shrinkage=s).value for s in (0.5, 0.9))
    assert 0 < most < half
    assert mi("gaussian", x, y, shrinkage=1.0).value == pytest.approx(0, abs=1e-12)
    for name in SHRINKAGES[1:]:
        found = mi("gaussian", x, y, shrinkage=name)
        assert 0 < found.diagnostics["shrinkage_intensity"] < 1
        assert found.diagnostics["correction"] == "none"


# --- labels ---------------------------------------------------------------------------------

X4, Y4 = [0, 0, 0, 1], [0, 0, 1, 1]  # joint counts 2, 1, 0, 1


@pytest.mark.parametrize(
    ("correction", "value"),
    [
        # H(3/4) + H(1/2) - H(1/2, 1/4, 1/4)
        ("none", 0.75 * math.log(4 / 3) + 0.25 * math.log(4) + math.log(2) - 1.5 * math.log(2)),
        # each entropy gains (K - 1) / 2n: (1 + 1 - 2) / 8 = 0
        ("miller_madow", 0.75 * math.log(4 / 3) + 0.25 * math.log(4) - 0.5 * math.log(2)),
        # G(1) = -γ - log 2, G(2) = G(3) = 2 + G(1); H = log 4 - Σ (c/4) G(c)
        # Σ over x: 2 · 3/4; y: 2; joint: 2 · 1/2 (each plus G(1)); so log 4 - 2.5 + γ + log 2
        ("grassberger", 3 * math.log(2) - 2.5 + np.euler_gamma),
    ],
)
def test_plug_in_by_hand(correction, value):
    found = mi("plug_in", X4, Y4, correction=correction)
    assert found.value == pytest.approx(value)
    assert found.diagnostics["cells"] == [2, 2, 3]
    assert found.diagnostics["singletons"] == 2


def test_plug_in_is_its_slow_twin_on_words_and_rows_of_labels():
    rng = generator()
    x, y = rng.integers(0, 4, 200), rng.integers(0, 3, (200, 2))
    y[:, 0] = np.where(rng.random(200) < 0.5, x % 3, y[:, 0])
    table = np.histogram2d(x, y @ [3, 1], bins=[np.arange(5), np.arange(10)])[0]
    want = slow_information(table)
    assert want > 0.1
    assert mi("plug_in", x, y, correction="none").value == pytest.approx(want)
    words = np.array(["ant", "bee", "cat", "dog"])[x]
    assert mi("plug_in", words, y, correction="none").value == pytest.approx(want)


@pytest.mark.parametrize("correction", ["miller_madow", "grassberger"])
def test_corrections_of_counts_take_most_of_the_bias_away(correction):
    """25 cells, 100 rows, independent: the plain mean is near 4 · 4 / 200 = 0.08."""
    rng = generator()
    means = dict.fromkeys(("none", correction), 0.0)
    for _ in range(100):
        x, y = rng.integers(0, 5, (2, 100))
        for c in means:
            means[c] += mi("plug_in", x, y, correction=c).value / 100
    assert means["none"] == pytest.approx(0.08, abs=0.015)
    assert abs(means[correction]) < 0.025


def test_parity_tells_nothing_alone_and_one_bit_given_the_other():
    """Z = X xor Y of fair coins: I(X;Y) = 0, I(X;Y|Z) = log 2."""
    x, y = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert mi("plug_in", x, y, correction="none").value == pytest.approx(0, abs=1e-15)
    assert cmi("plug_in", x, y, x ^ y, correction="none").value == pytest.approx(math.log(2))


def chain_rule(name, x, y, z, **options):
    whole = mi(name, x, np.column_stack([y, z]), **options)
    first, rest = mi(name, x, z, **options), cmi(name, x, y, z, **options)
    assert whole.value == pytest.approx(first.value + rest.value, abs=1e-9)
    np.testing.assert_allclose(whole.pointwise, first.pointwise + rest.pointwise, atol=1e-8)


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(CORRECTIONS)))
def test_chain_rule_of_labels(seed, correction):
    """I(X;YZ) = I(X;Z) + I(X;Y|Z), exactly so in the sample, under each correction."""
    chain_rule("plug_in", *generator(seed).integers(0, 3, (3, 20)), correction=correction)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["none", "wishart"]))
def test_chain_rule_of_gaussians(seed, correction):
    """I(X;YZ) = I(X;Z) + I(X;Y|Z), exactly so in the sample, corrected or not."""
    chain_rule("gaussian", *generator(seed).standard_normal((3, 20, 2)), correction=correction)


# --- every entry ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", MI)
def test_record_of_every_estimator_of_mi(name):
    """The mean of what rows contribute is the value; name, n and dims are those given."""
    found = estimate(name, *pair(300, 0.7, d=2))
    assert (found.estimator, found.dims) == (name, (2, 2))
    assert found.n <= 300
    if found.pointwise is not None:
        assert len(found.pointwise) == found.n
        assert found.pointwise.mean() == pytest.approx(found.value, abs=1e-10)
        assert (found.rows is None) == (found.n == 300)
    if found.rows is not None:
        assert len(set(found.rows)) == found.n


@pytest.mark.parametrize("name", CMI)
def test_record_of_every_estimator_of_cmi(name):
    x, y = pair(300, 0.7, d=2)
    found = estimate(name, x, y, generator(1).standard_normal((300, 1)))
    assert (found.estimator, found.dims) == (name, (2, 2, 1))
    assert found.pointwise.mean() == pytest.approx(found.value, abs=1e-10)
    assert len(found.pointwise) == found.n == 300


@pytest.mark.parametrize("name", MI)
def test_mi_is_symmetric(name):
    """I(X;Y) = I(Y;X); exact unless something was trained."""
    x, y = pair(300, 0.7)
    slack = 0.1 if "rng" in options_of(MI, name) else 1e-10
    assert estimate(name, x, y).value == pytest.approx(estimate(name, y, x).value, abs=slack)


@pytest.mark.parametrize("name", CMI)
def test_cmi_is_symmetric(name):
    x, y = pair(200, 0.7)
    z = x + generator(1).standard_normal((200, 1))
    assert estimate(name, x, y, z).value == pytest.approx(estimate(name, y, x, z).value, abs=1e-10)


@pytest.mark.parametrize("name", MI)
def test_order_of_rows_does_not_matter(name):
    """Each row takes its contribution along; splits of random ones depend on the order."""
    x, y = pair(200, 0.7)
    order = generator(1).permutation(200)
    first, second = estimate(name, x, y), estimate(name, x[order], y[order])
    if "rng" in options_of(MI, name):
        assert second.value == pytest.approx(first.value, abs=0.25)
    else:
        assert second.value == pytest.approx(first.value, abs=1e-10)
        np.testing.assert_allclose(second.pointwise, first.pointwise[order], atol=1e-10)


@pytest.mark.parametrize("name", MI)
def test_zero_under_shuffling_and_not_clipped(name):
    """Self-consistency, 1: linked pairs give more than shuffled ones, whose mean is near 0."""
    x, y = pair(400, 0.8)  # 0.51 nats; 0.28 of three labels each
    shuffled = [estimate(name, x, y[generator(s).permutation(400)], seed=s).value for s in range(4)]
    assert abs(np.mean(shuffled)) < 0.06
    assert min(shuffled) < 0.01
    assert estimate(name, x, y).value > 0.2


@pytest.mark.parametrize("name", MI)
def test_noise_loses_information(name):
    """Self-consistency, 2 (data processing): I(X;Y) > I(X;Y + noise), at a loss of 0.4 nats."""
    x, y = pair(400, 0.9)  # 0.83 nats; with noise ρ = 0.9/√2, 0.26
    noisy = y + generator(1).standard_normal(y.shape)
    assert estimate(name, x, y).value > estimate(name, x, noisy).value + 0.15


@pytest.mark.parametrize("name", MI)
def test_information_of_independent_parts_adds(name):
    """Self-consistency, 3: two independent pairs hold twice as much as one."""
    x, y = pair(900, 0.8, d=2)
    one = np.mean([estimate(name, x[:, i], y[:, i]).value for i in (0, 1)])
    assert estimate(name, x, y).value == pytest.approx(2 * one, rel=0.25)


@pytest.mark.parametrize("name", CMI)
def test_a_common_cause_explains_and_a_link_of_their_own_does_not(name):
    """X = Z + E, Y = Z + F: I(X;Y|Z) = 0 though I(X;Y) > 0; with F correlated 0.8 to E it is not.

    Z has three values where labels are counted: cut into three, a real one would explain less.
    """
    rng = generator()
    z = rng.integers(-1, 2, (900, 1)).astype(float)
    z += 0 if name in LABELS else 0.5 * rng.standard_normal((900, 1))
    e, f = pair(900, 0.8, seed=1)
    g = rng.standard_normal((900, 1))
    given = np.round(z) if name in LABELS else z
    null, linked = (
        cmi(name, *suited(name, z + e, z + other), given, **options_of(CMI, name)).value
        for other in (g, f)
    )
    assert abs(null) < 0.05
    assert linked > 0.2


# --- the front door -------------------------------------------------------------------------

GOOD = {"x": np.arange(40.0), "y": np.arange(40.0) ** 2 % 7}


@pytest.mark.parametrize("name", [name for name in MI if name not in LABELS])
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"x": np.zeros((40, 2, 2))}, ShapeError, r"x must be \(n,\)"),
        ({"y": np.arange(39.0)}, ShapeError, "y must have n = 40 rows as x; got 39"),
        ({"y": np.full(40, np.nan)}, NonFiniteError, "y must be finite"),
        ({"x": np.array(["a"] * 40)}, DTypeError, "x must hold numbers"),
        ({"x": np.ones(40)}, ParameterError, "x: column 0 is constant"),
        ({"x": np.empty((0, 1)), "y": np.empty((0, 1))}, EmptyInputError, "x"),
        ({"x": np.ones(1), "y": np.ones(1)}, EmptyInputError, "at least 2 rows; got 1"),
        ({"bandwith": 1}, ParameterError, r"no option \['bandwith'\]; it has \["),
    ],
)
def test_bad_input_is_refused_in_words(name, change, error, words):
    arguments = {**GOOD, **options_of(MI, name), **change}
    with pytest.raises(error, match=words):
        mi(name, **arguments)


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("ksg", {"k": 40}, ParameterError),
        ("ksg", {"k": 0}, ParameterError),
        ("ksg", {"k": 2.0}, DTypeError),
        ("ksg", {"algorithm": 3}, ParameterError),
        ("gaussian", {"shrinkage": 1.5}, ParameterError),
        ("gaussian", {"shrinkage": "lasso"}, ParameterError),
        ("gaussian", {"correction": "miller_madow"}, ParameterError),
    ],
)
def test_options_are_checked(name, options, error):
    with pytest.raises(error):
        mi(name, **GOOD, **options)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("d", [1, 2, 20])
def test_columns_that_depend_on_one_another_are_refused(d, dtype):
    """Always: left to rounding, about half of these would factor and give numbers of noise."""
    for seed in range(25):
        x, y = pair(200, 0.5, d=d, seed=seed)
        rng = generator(seed)
        wide = (x @ rng.standard_normal((d, d + 1))).astype(dtype)
        same = (x @ (np.eye(d) + 0.3 * rng.uniform(-1, 1, (d, d)))).astype(dtype)
        for sides in ((wide, y), (x.astype(dtype), same)):
            with pytest.raises(ParameterError, match="singular"):
                mi("gaussian", *sides)
            assert mi("gaussian", *sides, shrinkage=0.1).n == 200


def test_strong_links_are_not_taken_for_dependence():
    """ρ² = 1 - 1e-8: -½ log 1e-8 = 9.2 nats, and within a side such columns harm nobody."""
    x, y = pair(2000, math.sqrt(1 - 1e-8))
    assert mi("gaussian", x, y).value == pytest.approx(4 * math.log(10), abs=0.1)
    far = pair(2000, 0.0)[1]
    assert abs(mi("gaussian", np.hstack([x, y]), generator(9).permutation(far)).value) < 0.01


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int64])
def test_tensors_are_taken_as_their_numbers(dtype):
    x, y = (torch.as_tensor(10 * side).to(dtype) for side in pair(100, 0.6, d=2))
    want = mi("ksg", x.double().numpy(), y.double().numpy()).value
    if dtype.is_floating_point:
        x.requires_grad_()
    assert mi("ksg", x, y).value == want


def test_tensors_of_labels():
    x = torch.tensor([0, 0, 1, 1])
    assert mi("plug_in", x, x, correction="none").value == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("x", "error"),
    [
        (np.arange(40) / 7, DTypeError),
        (np.full(40, np.nan), NonFiniteError),
        (np.zeros((40, 2, 2)), ShapeError),
        (np.empty(0, int), EmptyInputError),
        (np.zeros(40, complex), DTypeError),
    ],
)
def test_what_are_no_labels_is_refused(x, error):
    with pytest.raises(error, match="x must"):
        mi("plug_in", x, np.arange(40) % 3)


def test_unknown_names_list_the_known():
    with pytest.raises(UnknownNameError, match="did you mean 'gaussian'"):
        mi("gausian", **GOOD)
    with pytest.raises(UnknownNameError, match="Known: frenzel_pompe, gaussian"):
        cmi("ksg", **GOOD, z=GOOD["x"])
    with pytest.raises(UnknownNameError, match="grassberger, miller_madow, none"):
        mi("plug_in", [0, 1], [0, 1], correction="jackknife")
