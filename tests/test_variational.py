"""Trained lower bounds: the bounds by loops, what held-out rows may see, and seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mitheory.errors import DTypeError, MissingInputError, ParameterError
from mitheory.estimators import mi, mi_reduced
from mitheory.estimators.variational import BOUNDS


def generator(seed=0):
    return np.random.default_rng(seed)


def pair(n, rho, d=1, seed=0):
    x, noise = generator(seed).standard_normal((2, n, d))
    return x, rho * x + math.sqrt(1 - rho**2) * noise


# --- the bounds -----------------------------------------------------------------------------


def slow_infonce(scores):
    n, rows = len(scores), []
    for i in range(n):
        across = sum(math.exp(scores[i][j]) for j in range(n)) / n
        down = sum(math.exp(scores[j][i]) for j in range(n)) / n
        rows.append(scores[i][i] - (math.log(across) + math.log(down)) / 2)
    return rows


def slow_nwj(scores):
    """E s - e^{-1} E e^s with s = 1 + score, the second over pairs of different rows."""
    n = len(scores)
    apart = [math.exp(1 + scores[i][j]) for i in range(n) for j in range(n) if i != j]
    return sum(1 + scores[i][i] for i in range(n)) / n - sum(apart) / len(apart) / math.e


def test_bounds_are_their_slow_twins():
    scores = 2 * generator().standard_normal((6, 6))
    tensor = torch.as_tensor(scores)
    np.testing.assert_allclose(BOUNDS["infonce"](tensor), slow_infonce(scores.tolist()))
    assert float(BOUNDS["nwj"](tensor).mean()) == pytest.approx(slow_nwj(scores.tolist()))


@pytest.mark.parametrize("name", BOUNDS)
def test_the_true_log_ratio_attains_the_bound(name):
    """At s = log p(y|x)/p(y) (+ 1 for NWJ): -½ log(1 - 0.8²) = 0.511 nats, up to sampling."""
    x, y = pair(2000, 0.8)
    away = (y.T - 0.8 * x) ** 2 / (2 * 0.36)
    ratio = torch.as_tensor(-away + y.T**2 / 2 - math.log(0.6))
    assert float(BOUNDS[name](ratio).mean()) == pytest.approx(-math.log(0.6), abs=0.05)
    for wrong in (0.5, 1.5):  # any other critic gives less
        assert float(BOUNDS[name](ratio * wrong).mean()) < float(BOUNDS[name](ratio).mean())


# --- training -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_trained_bounds_come_near_and_stay_below_on_average(name, rho):
    """0 and 0.511 nats, mean over six samples of 400 and its error."""
    values = [mi(name, *pair(400, rho, seed=s), rng=generator(s)).value for s in range(6)]
    truth = -math.log(1 - rho**2) / 2
    error = np.std(values, ddof=1) / math.sqrt(6)
    assert truth - 0.12 < np.mean(values) < truth + 3 * error + 0.02
    assert rho > 0 or min(values) < 0  # not clipped


@pytest.mark.parametrize("name", BOUNDS)
def test_a_link_that_no_line_shows(name):
    """y = x² + noise: uncorrelated, so Gaussian information is near 0; a critic sees it."""
    x, noise = generator().standard_normal((2, 800))
    y = x**2 + 0.5 * noise
    assert mi("gaussian", x, y).value < 0.05
    assert mi(name, x, y, rng=generator()).value > 0.3


def test_infonce_cannot_exceed_the_logarithm_of_the_rows():
    """Y = X holds infinitely much; of 50 rows no more than log 50 = 3.9 is seen."""
    x, _ = pair(200, 0.0, d=4)
    found = mi("infonce", x, x, rng=generator())
    assert found.diagnostics["ceiling"] == pytest.approx(math.log(50))
    assert 2 < found.value <= math.log(50)
    assert found.pointwise.max() <= math.log(50)
    assert mi("nwj", x, x, rng=generator()).diagnostics["ceiling"] is None


@pytest.mark.parametrize("name", BOUNDS)
def test_the_value_is_on_rows_that_were_neither_trained_on_nor_stopped_by(name):
    """Spoiling the reported rows changes the value and nothing that came before."""
    x, y = pair(400, 0.6, d=8)
    first = mi(name, x, y, rng=generator(3))
    assert first.n == len(first.rows) == 100
    assert (np.diff(first.rows) > 0).all()
    spoiled = y.copy()
    spoiled[first.rows] = y[first.rows[::-1]]
    second = mi(name, x, spoiled, rng=generator(3))
    np.testing.assert_array_equal(second.rows, first.rows)
    for key in ("best_epoch", "epochs_seen", "train", "stop"):
        assert second.diagnostics[key] == first.diagnostics[key]
    assert second.value < 0 < first.value < first.diagnostics["train"] - 0.1
    assert first.diagnostics["best_epoch"] > 0


@pytest.mark.parametrize("name", BOUNDS)
def test_units_and_places_of_the_columns_do_not_matter(name):
    x, y = pair(200, 0.8, d=2)
    want = mi(name, x, y, rng=generator()).value
    got = mi(name, 1000 * x + 7, y * [0.01, 3], rng=generator()).value
    assert got == pytest.approx(want, abs=0.02)


# --- seeds and surroundings -----------------------------------------------------------------


@pytest.mark.parametrize("name", BOUNDS)
def test_the_seed_decides_and_global_state_is_left_alone(name):
    x, y = pair(100, 0.8)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    values = [mi(name, x, y, rng=generator(s), epochs=20).value for s in (1, 1, 2)]
    assert values[0] == values[1] != values[2]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


def test_modes_and_defaults_of_the_caller_do_not_matter():
    x, y = pair(100, 0.8)
    want = mi("infonce", x, y, rng=generator(), epochs=20).value
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert mi("infonce", x, y, rng=generator(), epochs=20).value == want
    torch.set_default_dtype(torch.float64)
    try:
        assert mi("infonce", x, y, rng=generator(), epochs=20).value == want
    finally:
        torch.set_default_dtype(torch.float32)


def test_halves_of_a_reduction_keep_the_rows_they_report_on():
    """Each half of 200 reports on a quarter: 100 rows of 400, in order, of the input."""
    x, y = pair(400, 0.8, d=5)
    found = mi_reduced("infonce", x, y, components=2, rng=generator())
    assert found.n == len(found.rows) == len(found.pointwise) == 100
    assert (np.diff(found.rows) > 0).all()
    assert found.rows.max() > 200
    assert found.pointwise.mean() == pytest.approx(found.value)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"rng": 0}, DTypeError, "rng must be"),
        ({"epochs": 0}, ParameterError, "epochs must be positive"),
        ({"hidden": 1.5}, DTypeError, "hidden must be an int"),
        ({"x": np.arange(15.0), "y": np.arange(15.0)}, ParameterError, "16 rows at least; got 15"),
    ],
)
def test_bad_input_is_refused_in_words(change, error, words):
    x, y = pair(50, 0.5)
    arguments = {"x": x, "y": y, "rng": generator(), **change}
    with pytest.raises(error, match=words):
        mi("infonce", **arguments)


def test_a_generator_must_be_given_and_may_be_given_to_all():
    x, y = pair(50, 0.5)
    with pytest.raises(MissingInputError, match="nwj draws at random"):
        mi("nwj", x, y)
    assert mi("ksg", x, y, rng=generator()).value == mi("ksg", x, y).value


def test_a_column_that_only_varies_outside_the_rows_trained_on_is_refused():
    y = generator().standard_normal(100)
    rare = np.zeros(100)
    rare[generator().permutation(100)[-1]] = 1  # the same draw as the split: reported on
    with pytest.raises(ParameterError, match="x, rows to train on: column 0 is constant"):
        mi("infonce", rare, y, rng=generator())
