"""Size and power on the user's own data; projection on other images; data processing."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from mitheory import estimators, independence
from mitheory.errors import ParameterError, ShapeError
from mitheory.estimators import Estimate
from mitheory.independence.inputs import check_rows
from mitheory.independence.processing import info_nce
from mitheory.independence.residual import gaussian_cmi
from mitheory.independence.semisynthetic import null_model
from mitheory.verdict import Effect


def generator(seed=0):
    return np.random.default_rng(seed)


def by_image(columns, image, rng):
    """Standard normal, half of the variance shared by the rows of an image."""
    own, shared = (rng.standard_normal((k, columns)) for k in (len(image), image.max() + 1))
    return (own + shared[image]) / math.sqrt(2)


def chain(images, rows, d, d_z, *, curve=np.tanh, link=0.0, seed=0):
    """x – z – y with one function of z in common; `link` correlates the residuals besides."""
    rng = generator(seed)
    image = np.repeat(np.arange(images), rows)
    z, e, f = (by_image(k, image, rng) for k in (d_z, d, d))
    common = curve(z @ rng.standard_normal((d_z, d)) / math.sqrt(d_z))
    return common + e, common + link * e + math.sqrt(1 - link**2) * f, z, image


# --- semi-synthetic data --------------------------------------------------------------------


def test_residuals_move_with_their_image_and_only_to_one():
    rng = generator()
    image = np.repeat(np.arange(25), rng.integers(1, 6, 25))
    x, y, z = (rng.standard_normal((len(image), 2)) for _ in range(3))
    model = null_model(check_rows(x, y, z, image, rng), rng)
    dealt = model.deal(rng)
    donors = [set(image[dealt[image == k]]) for k in range(25)]
    assert all(len(d) == 1 for d in donors)
    assert len(set().union(*donors)) == 25  # every image gives once
    sizes = np.bincount(image)
    for k, (donor,) in enumerate(donors):
        assert len(set(dealt[image == k])) == min(sizes[k], sizes[donor])  # none twice in need


def test_simulated_data_keep_marginals_and_what_rows_of_an_image_share():
    x, y, z, image = chain(150, 4, 2, 1, link=0.8)
    rng = generator(1)
    model = null_model(check_rows(x, y, z, image, rng), rng)
    made = [model.draw(0.0, rng) for _ in range(20)]
    left = [r.x - model.fitted[0] for r in made]
    together = [np.mean([r[image == k].mean(0) ** 2 for k in range(150)]) for r in left]
    scattered = [np.mean([r[rng.permutation(600)[:4]].mean(0) ** 2 for _ in range(150)])
                 for r in left]  # fmt: skip
    # variance of a mean of four that share half: .5 + .5/4 = .625; of four strangers: .25
    assert np.mean(together) / np.mean(scattered) == pytest.approx(2.5, abs=0.5)
    for drawn in made:
        assert drawn.z is model.rows.z
    assert np.mean([r.x.var() for r in made]) == pytest.approx(1.0, abs=0.1)


def test_simulated_data_are_as_hard_to_fit_as_the_data():
    """The fit to them explains what the fit to the data explained; it takes a stronger effect."""
    x, y, z, image = chain(150, 1, 1, 4, curve=lambda s: 1.5 * np.sin(2 * s), seed=5)
    rng = generator(1)
    model = null_model(check_rows(x, y, z, image, rng), rng)
    again = []
    for _ in range(20):
        made = model.draw(0.0, rng).x
        again.append(1 - ((made - model.smoother.predict(made)) ** 2).mean() / made.var())
    assert 0.1 < model.shares["explained_x"] < 0.5
    assert np.mean(again) == pytest.approx(model.shares["explained_x"], abs=0.06)
    assert model.shares["made_x"] > model.shares["explained_x"] + 0.05


def test_what_is_planted_is_what_is_there():
    """0 nats whatever the data's own dependence; 0.1 and 0.4 of them where asked for."""
    x, y, z, image = chain(400, 2, 2, 1, link=0.9)
    rng = generator(1)
    model = null_model(check_rows(x, y, z, image, rng), rng)
    for nats in (0.0, 0.1, 0.4):
        found = []
        for _ in range(20):
            made = model.draw(nats, rng)
            left = (made.x - model.fitted[0], made.y - model.fitted[1])
            found.append(gaussian_cmi(*left, image, 400)[0])
        assert np.mean(found) == pytest.approx(nats, abs=0.012 + 0.05 * nats)


def test_size_is_in_hand_on_data_that_are_themselves_dependent():
    x, y, z, image = chain(100, 3, 1, 1, link=0.8)
    rng = generator(1)
    assert independence.test("gcm", x, y, z, clusters=image, rng=rng).p_value <= 0.01
    size = independence.empirical_size("gcm", x, y, z, clusters=image, n_simulations=100, rng=rng)
    assert size.rate.value <= 0.12
    assert size.is_usable
    assert size.n_clusters == 100
    assert 0 < size.generator["explained_x"] <= size.generator["made_x"] + 0.05


def test_size_finds_out_a_test_that_disregards_z():
    """With 99 of 100 neighbors to change places with, x is permuted over all of z."""
    x, y, z, image = chain(100, 1, 1, 1, curve=lambda s: 4 * s)
    options = {"n_permutations": 39, "stop_after": 3, "k": 30}
    sizes = [
        independence.empirical_size(
            "knn_permutation", x, y, z, clusters=image, n_simulations=40, rng=generator(1),
            options=options | more,
        )
        for more in ({}, {"k_permutation": 99})
    ]  # fmt: skip
    assert [s.is_usable for s in sizes] == [True, False]
    assert sizes[1].rate.low > 0.5


def test_size_finds_out_a_regression_that_is_too_hard():
    """sin 2s of four-dimensional z, not learned by 300 rows: the true size is above 0.4 there."""
    x, y, z, _ = chain(300, 1, 2, 4, curve=lambda s: math.sqrt(2) * np.sin(2 * s), seed=3)
    size = independence.empirical_size("gcm", x, y, z, n_simulations=100, rng=generator(1))
    assert not size.is_usable


@pytest.mark.parametrize(
    ("rejections", "of", "columns", "usable"),
    [
        (2, 100, 4, True),
        (2, 100, 5, False),  # beyond four columns of z the check itself was found blind
        (11, 100, 4, False),  # 0.11 is more than twice the level
        (5, 40, 4, False),  # 0.125 is too, although 0.042 is its lower end
        (9, 100, 4, True),  # 0.042 .. 0.164: 5% is not excluded
        (40, 500, 4, False),  # 0.058 .. 0.107: it is
    ],
)
def test_when_a_size_is_usable(rejections, of, columns, usable):
    rate, dims = independence.Rate(rejections, of), (1, 1, columns)
    size = independence.SizeResult("gcm", rate, 0.05, 100, 100, dims, {})
    assert size.is_usable is usable


def test_power_grows_with_what_is_planted_and_with_images():
    powers = []
    for images in (60, 240):
        x, y, z, image = chain(images, 2, 1, 1, link=0.5)
        powers.append(
            independence.planted_power(
                "gcm", x, y, z, clusters=image, nats=(0.3, 0.005, 0.05), n_simulations=60,
                rng=generator(),
            )
        )  # fmt: skip
    few, many = powers
    assert few.nats == (0.005, 0.05, 0.3)
    values = [r.value for r in few.rates]
    assert values == sorted(values)
    assert values[0] < 0.5
    assert values[2] > 0.9
    assert many.smallest_detectable == 0.05
    assert many.rates[1].value > few.rates[1].value


def test_smallest_detectable_needs_every_larger_effect_found_too():
    rates = tuple(independence.Rate(r, 100) for r in (90, 40, 85))
    power = independence.PowerResult("gcm", (0.1, 0.2, 0.4), rates, 0.05, 0.8, 50, 50)
    assert power.smallest_detectable == 0.4
    none = independence.PowerResult("gcm", (0.1, 0.2, 0.4), rates, 0.05, 0.9, 50, 50)
    assert none.smallest_detectable is None


@pytest.mark.parametrize("nats", [(), (0.0,), (math.nan,)])
def test_planted_nats_are_positive_numbers(nats):
    x, y, z, _ = chain(40, 1, 1, 1)
    with pytest.raises(ParameterError, match="nats must be positive"):
        independence.planted_power("gcm", x, y, z, nats=nats, rng=generator())


# --- projection -----------------------------------------------------------------------------


def wide(seed=0, link=0.0, images=200):
    """20 columns a side; z acts through two trailing, weak columns of its own."""
    rng = generator(seed)
    image = np.repeat(np.arange(images), 2)
    z, e, f = (by_image(20, image, rng) for _ in range(3))
    strength = np.r_[4.0, 3.0, np.full(18, 0.3)]
    x, y = e * strength, (link * e + math.sqrt(1 - link**2) * f) * strength
    x[:, :2] += 4 * z[:, -2:]
    y[:, :2] += 4 * z[:, -2:]
    return x, y, z * np.r_[np.full(18, 3.0), 1.0, 1.0], image


def test_halves_share_no_image_and_each_is_projected_by_the_other():
    x, y, z, image = wide()
    first, second = independence.project(x, y, z, clusters=image, n_components=2, rng=generator(1))
    assert set(image[first.rows]).isdisjoint(image[second.rows])
    assert len(first.rows) + len(second.rows) == len(x)
    other = x.copy()
    swap = first.rows[::-1]
    other[first.rows] = x[swap]  # the same rows of x, dealt anew within the first half
    again, _ = independence.project(other, y, z, clusters=image, n_components=2, rng=generator(1))
    np.testing.assert_allclose(again.x, first.x[::-1], atol=1e-9)  # its directions stay
    np.testing.assert_allclose(again.z, first.z, atol=1e-9)


def test_projection_of_z_keeps_what_bears_on_x_and_y():
    x, y, z, image = wide()
    half, _ = independence.project(x, y, z, clusters=image, n_components=2, rng=generator(1))
    cause = z[half.rows][:, -2:]
    design = np.c_[half.z, np.ones(len(half.z))]
    left = cause - design @ np.linalg.lstsq(design, cause, rcond=None)[0]
    assert (1 - left.var(0) / cause.var(0)).min() > 0.9  # although it is 1% of the variance of z
    assert half.kept["z"] < 0.3
    assert half.kept["x"] > 0.5


def test_projection_turns_with_the_space():
    """Another orthonormal basis of each side gives the same coordinates, up to their signs."""
    x, y, z, image = wide()
    turn = np.linalg.qr(generator(9).standard_normal((20, 20)))[0]
    want, got = (
        independence.project(*s, clusters=image, n_components=2, rng=generator(1))[0]
        for s in ((x, y, z), (x @ turn, y @ turn, z @ turn))
    )
    np.testing.assert_allclose(np.abs(got.x), np.abs(want.x), atol=1e-8)
    np.testing.assert_allclose(np.abs(got.z), np.abs(want.z), atol=1e-8)


def test_few_columns_stay_as_they_are():
    x, y, z, image = chain(60, 2, 2, 3)
    halves = independence.project(x, y, z, clusters=image, rng=generator())
    assert all(h.kept[k] == pytest.approx(1) for h in halves for k in "xyz")
    with pytest.raises(ParameterError, match="both halves need 20"):
        independence.project(x[:60], y[:60], z[:60], clusters=image[:60], rng=generator())


def test_projected_test_keeps_a_true_null_and_finds_a_link():
    options = {"n_components": 2, "rng": generator(2)}
    null, linked = (wide(seed=s, link=a) for s, a in ((1, 0.0), (1, 0.6)))
    kept = independence.projected_test("gcm", *null[:3], clusters=null[3], **options)
    found = independence.projected_test("gcm", *linked[:3], clusters=linked[3], **options)
    assert kept.p_value > 0.05
    assert found.p_value <= 0.01
    assert found.n == 400
    assert found.n_clusters == 200
    assert abs(kept.effect) < 3 * kept.se + 0.02


def test_two_halves_are_two_tests(monkeypatch):
    """p-values .03 and .4 give .06, .6 and .8 give 1; effects 1 and 3 with errors .3, .4: 2, .25"""
    x, y, z, image = chain(60, 1, 1, 1)
    for p_values, want in (((0.03, 0.4), 0.06), ((0.8, 0.6), 1.0)):
        results = [
            independence.TestResult("gcm", 1.0, p, e, se, 30, 30, (1, 1, 1))
            for p, e, se in zip(p_values, (1.0, 3.0), (0.3, 0.4), strict=True)
        ]
        monkeypatch.setattr(
            "mitheory.independence.projection.run_test", lambda *_, r=results, **__: r.pop()
        )
        both = independence.projected_test("gcm", x, y, z, clusters=image, rng=generator())
        assert (both.p_value, both.effect, both.n) == (pytest.approx(want), 2.0, 60)
        assert both.se == pytest.approx(0.25)


# --- data processing ------------------------------------------------------------------------


def gaussian_estimate(x, y):
    """I(X;Y) of one Gaussian column each, with its pointwise log density ratio."""
    u, v = ((a[:, 0] - a.mean()) / a.std() for a in (x, y))
    r = np.mean(u * v)
    ratio = -0.5 * math.log(1 - r**2) + (r * u * v - 0.5 * r**2 * (u**2 + v**2)) / (1 - r**2)
    return Estimate(float(ratio.mean()), "gaussian", len(u), (1, 1), pointwise=ratio)


compare = partial(independence.data_processing, estimator=gaussian_estimate)


def test_neighbors_that_know_more_of_each_other_than_of_the_prompt_refute_the_chain():
    """Correlation .95 between patches (1.16 nats), .3 with the prompt (.05); two prompts: .69."""
    rng = generator()
    image = np.repeat(np.arange(300), 3)
    t, e, f = rng.standard_normal((3, 900))
    v = (e[image] + 0.3 * t) / math.sqrt(1.09)  # the patch is the image's, up to the prompt
    w = 0.95 * v + math.sqrt(1 - 0.95**2) * f
    out = compare(v, w, t, clusters=image, prompts=np.arange(900) % 2, rng=rng)
    assert out.n_clusters == 300
    assert out.between_patches == pytest.approx(-0.5 * math.log(1 - 0.95**2), abs=0.1)
    assert out.excess.low > 0.8
    assert out.upper_bound == pytest.approx(math.log(2))
    assert out.is_refuted is True
    assert compare(v, w, t, clusters=image, rng=rng).is_refuted is None


@pytest.mark.parametrize(("se", "upper", "refuted"), [(0.1, 0.7, True), (0.2, 0.7, False)])
def test_a_refutation_needs_the_lower_end(se, upper, refuted):
    """1.0 ± 2.262 · 0.1 stays above 0.7, ± 2.262 · 0.2 does not (Student's t with 9 degrees)."""
    bound, excess = Effect("b", "nats", 1.0, se, 9), Effect("e", "nats", 0.5, 0.1, 9)
    out = independence.DataProcessing(excess, 1.0, 0.5, bound, 2.0, upper, 50)
    assert out.is_refuted is refuted


def test_a_markov_chain_is_not_refuted():
    """v - t - w with correlations .8: I(v;w) = .26 < I(v;t) = .51 nats; few refutations ever."""
    rng = generator()
    highs, refuted = [], []
    for _ in range(10):
        t, e, f = rng.standard_normal((3, 200))
        out = compare(0.8 * t + 0.6 * e, 0.8 * t + 0.6 * f, t, prompts=t > 0, rng=rng)
        highs.append(out.excess.high)
        refuted.append(out.is_refuted)
    assert np.mean(np.array(highs) < 0) >= 0.8
    assert not any(refuted)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.99])
def test_the_lower_bound_is_one(rho):
    """Below the truth and below log of the batch in the mean; not vacuous where there is much."""
    rng = generator()
    true = -0.5 * math.log(1 - rho**2)
    values, ceiling = [], 0.0
    for _ in range(30):
        x, e = rng.standard_normal((2, 300, 2))
        x[:, 1], y = e[:, 1], np.c_[rho * x[:, 0] + math.sqrt(1 - rho**2) * e[:, 0], x[:, 1]]
        y[:, 1] = rng.standard_normal(300)
        bound, ceiling = info_nce(x, y, rng=rng)
        values.append(bound.value)
    assert np.mean(values) < min(true, ceiling) + 3 * np.std(values) / math.sqrt(30)
    assert np.mean(values) > 0.6 * true - 0.03
    assert ceiling == pytest.approx(math.log(37))  # halves of 150, four batches each


@pytest.mark.parametrize("name", ["ksg", "gaussian"])
def test_any_estimator_with_contributions_serves(name):
    rng = generator()
    t, e, f = rng.standard_normal((3, 300, 2))
    v, w = 0.3 * t + e, 0.3 * t + e + 0.3 * f
    out = independence.data_processing(v, w, t, estimator=partial(estimators.mi, name), rng=rng)
    assert out.excess.low > 0.3
    scaled = [(s - s.mean(0)) / s.std(0) for s in (v, w)]
    assert out.between_patches == pytest.approx(estimators.mi(name, *scaled).value, abs=1e-6)


def test_both_comparisons_are_made_at_one_dimension_with_every_row():
    x, y, z, _ = chain(40, 1, 2, 1)
    with pytest.raises(ShapeError, match="expected one d, got 2 and 1"):
        compare(x, y, z, rng=generator())

    def without(a, b):
        return Estimate(0.0, "silent", len(a), (1, 1))

    with pytest.raises(ParameterError, match="'silent' must give a contribution of every row"):
        independence.data_processing(x, y, x, estimator=without, rng=generator())
