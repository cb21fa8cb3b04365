"""Calibration: cells, detection limits, the choice of an estimator, the decision rule's rates."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.calibration import PARTS, calibrate, verdicts
from analysis.calibration import estimators as calibration
from analysis.calibration.choose import choose, committed_table
from analysis.calibration.detection import detection_limit
from analysis.calibration.plan import Cell, cells
from analysis.calibration.variants import VARIANTS, Variant, applicable
from analysis.calibration.verdicts import (
    LARGEST_IMAGE,
    VALUES,
    compressed,
    right_decision,
    single_claim,
)
from mitheory.errors import ParameterError, UnknownNameError
from mitheory.estimators import Estimate
from mitheory.statistics import clustered_mean
from mitheory.verdict import SmallestEffect, decide

ROOT = Path(__file__).parents[1]


# --- one cell ------------------------------------------------------------------------------


class Fake(Variant):
    """Says the truth of `gaussian_lowdim` plus a known error; fails where d is 3."""

    def estimate(self, sample, rng):
        x = sample[0]
        if x.shape[1] == 3:
            raise ValueError("no threes")
        pointwise = np.full(len(x), 1.5)
        pointwise[::2] += 0.5 * rng.standard_normal()
        return Estimate(float(pointwise.mean()), "fake", len(x), (1, 1), pointwise)


FAKE = Fake("fake", "mi", "fake", lambda d, n: 0.001)


def test_a_cell_summarizes_its_repeats():
    """12 repeats of 1.5 + 0.25 ε against 1: bias, spread and rmse as NumPy has them."""
    cell = Cell("gaussian_lowdim", 1.0, 2, 50)
    row = calibration.run_cell(cell, [FAKE], 0).iloc[0]
    said = [
        float(FAKE.estimate([np.zeros((50, 2))], cell.rng(0, r, "fake")).value) for r in range(12)
    ]
    assert row["n_repeats"] == 12
    assert row["mean"] == pytest.approx(np.mean(said))
    assert row["bias"] == pytest.approx(np.mean(said) - 1)
    assert row["spread"] == pytest.approx(np.std(said, ddof=1))
    assert row["rmse"] ** 2 == pytest.approx(row["bias"] ** 2 + np.var(said))


def test_a_failure_is_a_row():
    row = calibration.run_cell(Cell("gaussian_lowdim", 1.0, 3, 50), [FAKE], 0).iloc[0]
    assert row["error"] == "ValueError: no threes"
    assert row["n_repeats"] == 0
    assert math.isnan(row["bias"])


def test_what_is_too_slow_says_so_and_is_not_run():
    slow = replace(FAKE, work=lambda d, n: 7.0)
    row = calibration.run_cell(Cell("gaussian_lowdim", 1.0, 3, 50), [slow], 0).iloc[0]
    assert row["error"].startswith("not run: a call takes about 7 s")


def test_coverage_is_that_of_students_interval():
    """4 rows 0, 0, 2, 2: mean 1, se √(4/3 · 4 · (1/4)²) = 1/√3, t.975(3) = 3.182: 1 ± 1.837."""
    estimate = Estimate(1.0, "fake", 4, (1, 1), np.array([0.0, 0.0, 2.0, 2.0]))
    assert [calibration.covers(estimate, v) for v in (-0.84, -0.83, 2.83, 2.84)] == [0, 1, 1, 0]
    assert math.isnan(calibration.covers(replace(estimate, pointwise=None), 1.0))


def test_cells_do_not_depend_on_workers_and_are_resumed(tmp_path, monkeypatch):
    plan = [Cell("gaussian_lowdim", 0.1, 1, 100), Cell("xor", None, 1, 100)]
    monkeypatch.setattr(calibration, "cells", lambda quick: plan)
    one = pd.read_csv(calibration.run(tmp_path / "a", jobs=1))
    two = pd.read_csv(calibration.run(tmp_path / "b", jobs=2))
    columns = [c for c in one if c != "seconds"]
    pd.testing.assert_frame_equal(one[columns], two[columns])
    # a finished cell is read, not run: what was written into its file comes back
    stored = tmp_path / "a" / "cells" / f"0-{plan[0].key}.csv"
    changed = pd.read_csv(stored)
    changed["mean"] = 42.0
    changed.to_csv(stored, index=False)
    again = pd.read_csv(calibration.run(tmp_path / "a", jobs=1))
    assert (again.loc[again["truth"] == "gaussian_lowdim", "mean"] == 42).all()
    assert not (again.loc[again["truth"] == "xor", "mean"] == 42).any()
    other = pd.read_csv(calibration.run(tmp_path / "b", jobs=1, seed=1))
    assert (other["mean"] != one["mean"]).any()


def test_every_cell_of_the_plan_has_a_variant_and_a_name_of_its_own():
    plan = cells()
    assert len({c.key for c in plan}) == len(plan)
    assert all(applicable(c, VARIANTS.values()) for c in plan)
    assert {(c.d, c.n) for c in plan} >= {(1, 100), (1024, 3000)}
    assert [name for name, v in VARIANTS.items() if v.name != name] == []


# --- detection limit -------------------------------------------------------------------------


def levels(means, spreads, repeats=10**6):
    planted = [0.0, 0.1, 0.3, 1.0][: len(means)]
    return pd.DataFrame(
        {"planted": planted, "mean": means, "spread": spreads, "n_repeats": repeats, "error": None}
    )


def test_detection_limit_by_hand():
    """Null 0 ± .1: threshold .1645. Power at .3 ± .1: Φ(1.355) = .9123, at .1: Φ(−.645) = .2595.

    80% is reached at .1 + .2 (.8 − .2595)/(.9123 − .2595) = .2656.
    """
    assert detection_limit(levels([0, 0.1, 0.3, 1], [0.1] * 4)) == pytest.approx(0.2656, abs=2e-4)


def test_detection_limit_ignores_a_bias_that_all_levels_share():
    shifted = detection_limit(levels([5, 5.1, 5.3, 6], [0.1] * 4))
    assert shifted == pytest.approx(detection_limit(levels([0, 0.1, 0.3, 1], [0.1] * 4)))


def test_what_never_reaches_80_percent_has_no_limit():
    assert detection_limit(levels([0, 0, 0, 0], [0.1] * 4)) == math.inf
    assert math.isnan(detection_limit(levels([0.0], [0.1])))


def test_few_repeats_raise_the_limit():
    """With 4 repeats the threshold is t.95(3) √1.25 = 2.63 spreads above the null, not 1.645."""
    rows = [0, 0.1, 0.3, 1], [0.1] * 4
    assert detection_limit(levels(*rows, repeats=4)) > detection_limit(levels(*rows)) + 0.05


# --- choice ----------------------------------------------------------------------------------


def calibrated(entries):
    """A table of (variant, truth, structure, d, n, bias, rmse)."""
    names = ["variant", "truth", "structure", "d", "n", "bias", "rmse"]
    return pd.DataFrame(entries, columns=names).assign(
        quantity="mi", planted=1.0, mean=0.0, spread=0.01, n_repeats=9, error=None
    )


TWO = calibrated(
    [
        ("low", "gaussian_lowdim", "leading", 8, 300, -0.02, 0.03),
        ("low", "gaussian_spread", "spread", 8, 300, -0.6, 0.6),
        ("even", "gaussian_lowdim", "leading", 8, 300, 0.1, 0.11),
        ("even", "gaussian_spread", "spread", 8, 300, 0.2, 0.2),
    ]
)


def test_choice_minds_the_worst_case():
    found = choose("mi", 300, 8, 0.5, table=TWO)
    assert (found.variant, found.worst_truth, found.worst_rmse) == ("even", "gaussian_spread", 0.2)
    assert found.bias == (0.1, 0.2)
    assert choose("mi", 300, 8, 0.5, structures=("leading",), table=TWO).variant == "low"
    assert choose("mi", 300, 8, 0.5, truths=("gaussian_lowdim",), table=TWO).variant == "low"


def test_choice_abstains():
    none = choose("mi", 300, 8, 0.1, table=TWO)
    assert none.variant is None
    assert none.worst_rmse == 0.2
    assert "gaussian_spread" in none.reason
    assert "nothing was measured" in choose("mi", 200, 8, 0.5, table=TWO).reason
    assert "nothing was measured" in choose("mi", 300, 9, 0.5, table=TWO).reason


def test_choice_never_takes_a_size_that_flatters():
    found = choose("mi", 900, 5, 0.5, table=TWO)
    assert (found.at_n, found.at_d) == (300, 8)


def test_an_estimator_that_failed_somewhere_is_not_chosen():
    table = TWO.copy()
    table.loc[3, ["error", "bias", "rmse"]] = ["ValueError: singular", np.nan, np.nan]
    assert choose("mi", 300, 8, 1.0, table=table).variant == "low"


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("entropy", 300, 8, 0.1), {}, UnknownNameError),
        (("mi", 300, 8, 0.1), {"structures": ("ledaing",)}, UnknownNameError),
        (("mi", 300, 8, 0.0), {}, ParameterError),
        (("mi", 0, 8, 0.1), {}, ParameterError),
    ],
)
def test_choice_refuses_nonsense(arguments, options, error):
    with pytest.raises(error):
        choose(*arguments, table=TWO, **options)


# --- the committed calibration -----------------------------------------------------------------


def test_committed_table_is_that_of_the_plan():
    """Every cell and variant of the code is in the table, once, and nothing else."""
    table = committed_table()
    planned = {
        (c.truth, -1.0 if c.total is None else c.total, c.d, c.n, v.name)
        for c in cells()
        for v in applicable(c, VARIANTS.values())
    }
    rows = table.fillna({"planted": -1.0})[["truth", "planted", "d", "n", "variant"]]
    found = [tuple(r) for r in rows.itertuples(index=False)]
    assert len(set(found)) == len(found)
    assert set(found) == planned


def test_committed_rows_agree_with_their_truths():
    """`true` is recomputed from the closed forms; rmse² ≥ bias²; a row has numbers or an error."""
    table = committed_table()
    for keys, rows in table[table["d"] <= 16].groupby(["truth", "planted", "d"], dropna=False):
        truth, planted, d = keys
        value = Cell(truth, None if math.isnan(planted) else planted, int(d), 100).make().value
        np.testing.assert_allclose(rows["true"], value, rtol=1e-3, atol=1e-3)
    ran = table["error"].isna()
    assert (table.loc[ran, "rmse"] >= table.loc[ran, "bias"].abs() * 0.999 - 1e-3).all()
    assert table.loc[ran, ["mean", "bias", "rmse", "seconds"]].notna().all(axis=None)
    assert table.loc[~ran, ["mean", "bias", "rmse"]].isna().all(axis=None)


def test_committed_cells_can_be_reproduced():
    """Two cheap cells, run again with the committed seed, give the committed numbers."""
    table = committed_table()
    for cell in (Cell("gaussian_lowdim", 0.3, 2, 100), Cell("naive_bayes", None, 2, 100)):
        again = calibration.rounded(
            calibration.run_cell(cell, applicable(cell, VARIANTS.values()), 0)
        ).set_index("variant")
        at = (table["truth"] == cell.truth) & (table["d"] == cell.d) & (table["n"] == cell.n)
        if cell.total is not None:
            at &= table["planted"] == cell.total
        committed = table[at].set_index("variant")
        for column in ("mean", "rmse", "coverage"):
            np.testing.assert_allclose(
                again.loc[committed.index, column].astype(float),
                committed[column],
                rtol=2e-3,
                atol=2e-3,
            )


def test_the_document_is_the_rendering_of_the_tables():
    from analysis.calibration.render import document

    assert (ROOT / "docs" / "calibration.md").read_text(encoding="utf-8") == document()


# --- the decision rule -------------------------------------------------------------------------


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("effect", [0.0, 1.0])
def test_compressed_rows_equal_the_single_ones(values, effect):
    """Twin: `size` rows per image, zeros and ones where values are rates; floor included."""
    draw, smallest, span = VALUES[values]
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, LARGEST_IMAGE + 1, 30).astype(float)
    means = draw(effect * smallest, sizes, rng)
    rows, images = [], []
    for image, (mean, size) in enumerate(zip(means, sizes.astype(int), strict=True)):
        ones = round(mean * size)
        rows += [1.0] * ones + [0.0] * (size - ones) if values == "bernoulli" else [mean] * size
        images += [image] * size
    compressed_rows, weights, labels = compressed(values, means, sizes)
    fast = clustered_mean(compressed_rows, labels, weights=weights, span=span)
    np.testing.assert_allclose(fast, clustered_mean(rows, images, span=span), rtol=1e-10)


@pytest.mark.parametrize("values", VALUES)
def test_simulated_values_have_the_effect_asked_for(values):
    """Size-weighted mean over 40,000 images within 5 standard errors of the effect."""
    draw, smallest, _ = VALUES[values]
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, LARGEST_IMAGE + 1, 40_000).astype(float)
    means = draw(smallest, sizes, rng)
    error = means.std() / math.sqrt(40_000) * 1.2  # unequal weights cost less than a fifth
    assert abs(np.average(means, weights=sizes) - smallest) < 5 * error


@pytest.mark.parametrize(
    ("region", "answers"),
    [
        ("negligible", ("holds", None, "violated")),
        ("at_most", ("holds", None, "violated")),
        ("at_least", ("violated", None, "holds")),
    ],
)
def test_right_decisions_are_those_of_a_sure_interval(region, answers):
    """At 0 and twice the border an interval of length 0 says what is right."""
    assert tuple(right_decision(region, e) for e in (0.0, 1.0, 2.0)) == answers
    smallest = SmallestEffect(0.5, "", region, "test")
    assert decide(0.0, 0.0, smallest) == answers[0]
    assert decide(1.0, 1.0, smallest) == answers[2]


def test_the_rule_is_calibrated_for_normal_values():
    """25 images, 500 simulations: at the border 5% decide (± 3.2 standard errors), and at zero and
    at twice the border wrong decisions are at most 1%, right ones at least half.
    """
    border = single_claim("normal", 25, "border", 500, 1)
    assert all(0.02 < row["decided"] < 0.09 for row in border)
    for effect in ("zero", "twice"):
        for row in single_claim("normal", 25, effect, 500, 1):
            assert row["wrong"] <= 0.01
            assert row["decided"] > 0.5


def test_holm_keeps_twenty_claims_and_leaves_power():
    """20 claims at the border, 100 images: nominally 5% of families err; uncorrected 64% would."""
    row = verdicts.family("normal", 100, "border", 150, 0)[0]
    assert row["wrong"] < 0.13  # 5% and 4.5 standard errors
    mixed = verdicts.family("normal", 100, "mixed", 20, 0)[0]
    assert mixed["decided"] > 0.9


def test_parts_are_looked_up_before_anything_runs(tmp_path):
    with pytest.raises(UnknownNameError):
        calibrate(tmp_path / "out", parts=("verdicts", "estimatros"))
    assert not (tmp_path / "out").exists()
    with pytest.raises(ParameterError):
        calibrate(tmp_path / "out", jobs=0)
    assert list(PARTS) == ["estimators", "independence", "verdicts"]


@pytest.mark.slow
def test_calibrate_writes_the_tables(tmp_path):
    tables = calibrate(tmp_path, parts=("estimators", "verdicts"), quick=True, jobs=1)
    assert list(tables) == ["estimators", "verdicts"]
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, pd.read_csv(tmp_path / f"{name}.csv"))
    assert tables["estimators"]["error"].isna().mean() > 0.9
