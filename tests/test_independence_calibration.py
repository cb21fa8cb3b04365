"""Calibration of the independence tests where the null is true and where it is not.

Sixty simulations by default: a test at its level rejects more than nine of them once in 1,500
times, and the seeds are fixed. The committed table holds 500 a cell.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.calibration import independence as calibration
from analysis.calibration.independence import Cell, cells, run, run_cell, sample
from mitheory import independence
from mitheory.ground_truth.gaussian import correlation_for
from mitheory.independence import Rate

COMMITTED = Path(calibration.__file__).with_name(calibration.TABLE)
FAST, SLOW = ("gcm", "residual"), ("knn_permutation",)
BOUND = 0.15


def rate(name, draw, n=60, clustered=True, **options):
    rejected = 0
    for repeat in range(n):
        rng = np.random.default_rng([7, repeat])
        x, y, z, image = draw(rng)
        labels = image if clustered else None
        result = independence.test(name, x, y, z, clusters=labels, rng=rng, **options)
        rejected += result.p_value <= 0.05
    return rejected / n


# --- the thin slice -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tests", "d", "d_z", "effect", "rows"),
    [
        (FAST, 1, 1, "quadratic", 4),
        (FAST, 1, 1, "rough", 1),
        (FAST, 2, 2, "linear", 4),
        (SLOW, 1, 1, "quadratic", 4),
        (SLOW, 1, 1, "linear", 1),
    ],
)
def test_a_true_null_is_rejected_at_the_level(tests, d, d_z, effect, rows):
    table = run_cell(Cell(tests, d, d_z, effect, 100, rows, 0.0, 60), seed=1)
    assert (table["rate"] <= BOUND).all()
    assert (table["mean_effect"].abs() < 0.01).all()


@pytest.mark.parametrize(("tests", "d", "d_z"), [(FAST, 1, 1), (FAST, 2, 2), (SLOW, 1, 1)])
def test_a_tenth_of_a_nat_is_found(tests, d, d_z):
    """Power above 0.8 at 0.1 nats, 100 images of four rows."""
    times = 60 if tests == FAST else 30
    table = run_cell(Cell(tests, d, d_z, "quadratic", 100, 4, 0.1, times), seed=1)
    assert (table["rate"] > 0.8).all()


def image_effects(images, rows, share):
    """Draws with an image effect in x and another in y, none in common."""
    image = np.repeat(np.arange(images), rows)

    def draw(rng):
        x, y = (
            np.sqrt(share) * rng.standard_normal((images, 1))[image]
            + np.sqrt(1 - share) * rng.standard_normal((len(image), 1))
            for _ in range(2)
        )
        return x, y, rng.standard_normal((len(image), 1)), image

    return draw


@pytest.mark.parametrize("name", FAST)
def test_a_test_that_disregarded_images_would_be_found_out(name):
    assert rate(name, image_effects(60, 8, 0.8)) <= BOUND
    assert rate(name, image_effects(60, 8, 0.8), clustered=False) > 0.3


def test_neighbors_that_disregarded_images_would_be_found_out():
    options = {"n_permutations": 39, "stop_after": 2, "k": 7}
    assert rate("knn_permutation", image_effects(25, 12, 0.98), 40, **options) <= BOUND
    assert (
        rate("knn_permutation", image_effects(25, 12, 0.98), 20, clustered=False, **options) > 0.5
    )


def test_a_permutation_that_disregarded_z_would_be_found_out():
    """To change places with 99 of 100 is to be permuted over all of z."""

    def confounded(rng):
        z, e, f = rng.standard_normal((3, 100, 1))
        return 4 * z + e, 4 * z + f, z, np.arange(100)

    options = {"n_permutations": 39, "stop_after": 2, "k": 25}
    assert rate("knn_permutation", confounded, **options) <= BOUND
    assert rate("knn_permutation", confounded, 20, k_permutation=99, **options) > 0.5


def test_a_regression_that_was_not_made_would_be_found_out(monkeypatch):
    """GCM of the raw x and y tests X ⊥ Y, which is false in the chain."""

    def law(rng):
        return sample(1, 1, "linear", 100, 1, nats=0.0, rng=rng)

    assert rate("gcm", law) <= BOUND
    monkeypatch.setattr(
        "mitheory.independence.smoothing.CrossFit.predict", lambda self, t: np.zeros_like(t)
    )
    assert rate("gcm", law, 20) > 0.9


# --- the law and the runner -----------------------------------------------------------------


def test_the_law_has_what_it_says():
    """Half of x is g(z); half of each part is the image's; residuals correlate by `nats`."""
    rng = np.random.default_rng(0)
    x, y, z, image = sample(1, 2, "rough", 20000, 4, nats=0.1, rng=rng)
    x0, y0, _, _ = sample(1, 2, "rough", 20000, 4, nats=0.0, rng=rng)
    assert x.var() == pytest.approx(2.0, abs=0.05)
    # cov(x, y) = var g + ρ, with ρ = √(1 − e^−0.2) = 0.4258, or 0
    assert np.cov(x[:, 0], y[:, 0])[0, 1] == pytest.approx(1 + 0.4258, abs=0.05)
    assert np.cov(x0[:, 0], y0[:, 0])[0, 1] == pytest.approx(1.0, abs=0.05)
    assert correlation_for(0.1) == pytest.approx(0.4258, abs=1e-4)
    means = np.stack([z[image == k].mean(0) for k in range(400)])
    assert means.var() == pytest.approx(0.5 + 0.5 / 4, abs=0.1)


def test_finished_cells_are_not_run_again_and_jobs_do_not_matter(tmp_path, monkeypatch):
    law = (FAST, 1, 1, "linear", 40, 2)
    few = [Cell(*law, 0.0, 5, own_data=True), Cell(*law, 0.1, 5)]
    monkeypatch.setattr(calibration, "cells", lambda quick: few)
    for name in "abc":
        (tmp_path / name).mkdir()
    first = pd.read_csv(run(tmp_path / "a", jobs=1, seed=3))
    other = pd.read_csv(run(tmp_path / "b", jobs=1, seed=4))
    assert len(first) == 4
    assert first["own_size"].notna().tolist() == [True, True, False, False]
    assert not first["mean_effect"].equals(other["mean_effect"])
    spread = pd.read_csv(run(tmp_path / "c", jobs=2, seed=3))
    pd.testing.assert_frame_equal(first.drop(columns="seconds"), spread.drop(columns="seconds"))

    def refuse(cell, seed):
        raise AssertionError(f"{cell.key} was run again")

    monkeypatch.setattr(calibration, "run_cell", refuse)
    again = pd.read_csv(run(tmp_path / "a", jobs=1, seed=3))
    pd.testing.assert_frame_equal(first, again)


# --- the committed table --------------------------------------------------------------------


def committed():
    table = pd.read_csv(COMMITTED)
    counts = (table["rate"] * table["n_simulations"]).round().astype(int)
    exact = [Rate(r, n) for r, n in zip(counts, table["n_simulations"], strict=True)]
    np.testing.assert_allclose(table["low"], [e.low for e in exact], atol=1e-4)
    np.testing.assert_allclose(table["high"], [e.high for e in exact], atol=1e-4)
    return table


def test_the_committed_table_has_every_cell_of_the_plan():
    table = committed()
    assert len(table) == sum(len(cell.tests) for cell in cells(quick=False))
    assert (table.loc[table["planted"] == 0, "n_simulations"] == 500).all()
    power = table[(table["planted"] > 0) & table["test"].isin(FAST)]
    assert (power["n_simulations"] == 500).all()


def test_what_the_committed_table_says():
    """The statements that documentation and claims rest on."""
    table = committed()
    null, power = (table[(table["planted"] > 0) == linked] for linked in (False, True))
    one = null[null["d_z"] == 1]
    assert (one["rate"] <= 0.1).all()  # with one column of z every test is in hand
    sixteen = null[(null["d_z"] == 16) & (null["effect_of_z"] != "linear")]
    assert (sixteen["rate"] > 0.4).all()  # with sixteen none is
    found = power[power["test"].isin(FAST)]
    assert (found["rate"] > 0.8).all()  # 0.1 nats are found everywhere
    blind = null[(null["own_size"].notna()) & (null["d_z"] > 4)]
    assert (blind["own_usable"] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    [c for c in cells(quick=False) if c.d == c.d_z == 1 and c.images == 100],
    ids=lambda c: c.key,
)
def test_the_committed_rates_come_again_with_another_seed(cell):
    table = committed().rename(columns={"rate": "first"})
    got = run_cell(cell, seed=11).merge(
        table[["test", "d", "d_z", "effect_of_z", "images", "rows_per_image", "planted", "first"]]
    )
    assert len(got) == len(cell.tests)
    sd = np.sqrt(2 * (got["first"] * (1 - got["first"])).clip(0.01) / cell.simulations)
    assert ((got["rate"] - got["first"]).abs() < 4 * sd).all()
