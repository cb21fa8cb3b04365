"""Claims on conditional independence, redundancy and submodularity, where the answer is known."""

from __future__ import annotations

import math
from dataclasses import replace

import claims_a
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.figure import Figure

from analysis.claims import (
    conditional_independence,
    cross_dominates_self,
    data_processing,
    dependence_tests,
    draws,
    max_underestimates_redundancy,
    submodular_under_ci,
)
from analysis.claims.context import Context, fold
from analysis.claims.kept import in_order_of_choice, nearest
from analysis.claims.linear import principal, ridge
from analysis.claims.patches import RING, fit_reductions, fits, place
from analysis.claims.remade import Remaker
from analysis.claims.source import Source
from analysis.claims.toy_models import copied, logic, models, worst_gains
from mitheory.properties import check_monotone, check_submodular
from mitheory.selection import select
from mitheory.setfunctions import DiscreteMI

EMPIRICAL = (
    conditional_independence,
    data_processing,
    max_underestimates_redundancy,
    cross_dominates_self,
)


@pytest.fixture(autouse=True)
def few_simulations(monkeypatch):
    monkeypatch.setattr(dependence_tests, "SIMULATIONS", 20)
    monkeypatch.setattr(dependence_tests, "DECISIONS", 20)


@pytest.fixture(scope="module")
def independent():
    return claims_a.field_samples()


@pytest.fixture(scope="module")
def dependent():
    return claims_a.field_samples(shared=True)


# --- the theorem ----------------------------------------------------------------------------


def test_worst_gains_of_logic_by_hand():
    # xor: I(V1;T) = 0, I(V1;T|V2) = log 2.
    xor = worst_gains(DiscreteMI(logic(np.bitwise_xor)))
    assert xor["gain_before"] == pytest.approx(0, abs=1e-12)
    assert xor["gain_after"] == pytest.approx(math.log(2))
    # and: p(T=1) = 1/4, so H(T) = 2 log 2 - 3/4 log 3; H(T|V1) = 1/2 log 2 (T = 0 if V1 = 0, else
    # a fair bit); given V2 as well nothing is left: gains 3/2 log 2 - 3/4 log 3, then 1/2 log 2.
    conjunction = worst_gains(DiscreteMI(logic(np.bitwise_and)))
    assert conjunction["gain_before"] == pytest.approx(1.5 * math.log(2) - 0.75 * math.log(3))
    assert conjunction["gain_after"] == pytest.approx(0.5 * math.log(2))
    # a copy adds nothing: log 2 - h(0.2), then 0
    copy = worst_gains(DiscreteMI(copied()))
    h = -0.2 * math.log(0.2) - 0.8 * math.log(0.8)
    assert copy["slack"] == pytest.approx(math.log(2) - h)


def test_worst_gains_agree_with_the_exhaustive_checks():
    """The sign of the slack is the verdict of `check_submodular`, on every kind of model."""
    seen = set()
    for kind, name, f in models(np.random.default_rng(3), 2):
        found = worst_gains(f)
        assert (found["slack"] < -1e-9) == (check_submodular(f.value, f.n) is not None)
        assert (found["least_gain"] < -1e-9) == (check_monotone(f.value, f.n) is not None)
        seen.add((kind, name, found["slack"] < -1e-9))
    assert len(seen) == 7  # both kinds with and without growth, and three by name


def test_theorem_is_verified_and_its_converse_is_told():
    table, verdict = submodular_under_ci.CLAIM.evaluate_table()
    assert verdict.decision == "verified"
    assert verdict.checked == 2 * submodular_under_ci.MODELS
    without = verdict.diagnostics["without_assumption"]
    assert without["exclusive or"]["gain_after_nats"] == pytest.approx(math.log(2))
    assert without["copy"]["gain_after_nats"] == pytest.approx(0, abs=1e-12)
    assert verdict.diagnostics["of_them_not_submodular"] > 100
    assert isinstance(submodular_under_ci.draw(table, verdict), Figure)


def test_theorem_would_be_refuted_by_one_model():
    table, _ = submodular_under_ci.CLAIM.evaluate_table()
    row = int(np.flatnonzero(table["assumption"])[17])
    for column in ("slack", "least_gain"):
        wrong = table.copy()
        wrong.loc[row, column] = -1e-6
        verdict = submodular_under_ci.judge(wrong, Context(facts=None))
        assert verdict.decision == "refuted"
        assert verdict.counter_example["set"] == table.loc[row, "set"]
    without = table.copy()  # where the assumption fails, nothing refutes
    without.loc[~without["assumption"], "slack"] = -5.0
    assert submodular_under_ci.judge(without, Context(facts=None)).decision == "verified"


# --- places, projections --------------------------------------------------------------------


@given(
    rows=st.integers(3, 9),
    cols=st.integers(3, 9),
    frames=st.integers(1, 3),
    where=arrays(float, 3, elements=st.floats(0, 1, exclude_max=True)),
    offset=st.tuples(st.integers(-2, 2), st.integers(-2, 2)),
)
def test_places_lie_in_one_frame_at_the_offsets(rows, cols, frames, where, offset):
    """Every token of a place is in the grid, in one frame, and as far away as was asked."""
    offsets = np.vstack([RING, offset])
    if not fits((rows, cols, frames), offsets):
        with pytest.raises(ValueError, match="offsets reach"):
            place((rows, cols, frames), where, offsets)
        return
    frame, row, col = np.unravel_index(
        place((rows, cols, frames), where, offsets), (frames, rows, cols)
    )
    assert len(set(frame)) == 1
    np.testing.assert_array_equal(np.c_[row - row[0], col - col[0]][1:], offsets)


def test_every_place_of_the_grid_is_drawn():
    rng = np.random.default_rng(0)
    drawn = {int(place((3, 4), rng.random(3), np.array([[0, 1]]))[0]) for _ in range(300)}
    assert drawn == {0, 1, 2, 4, 5, 6, 8, 9, 10}  # all that have a right neighbor


def test_ridge_finds_the_directions_that_predict():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((400, 6)) * [1, 5, 1, 1, 1, 1]
    y = np.c_[x[:, 0] + 0.1 * rng.standard_normal(400), 0.3 * rng.standard_normal(400)]
    to, r2 = ridge(x, y, np.arange(400) % 4)
    predicted = to(x)
    assert abs(np.corrcoef(predicted[:, 0], x[:, 0])[0, 1]) > 0.99
    np.testing.assert_allclose(np.cov(predicted.T, bias=True), np.eye(2), atol=1e-8)
    # variances 1.01 and 0.09, all but 0.01 and 0.09 of which can be predicted: R² = 0.91
    assert r2 == pytest.approx(1 / 1.1, abs=0.03)


def test_ridge_of_noise_predicts_nothing():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((200, 20)), rng.standard_normal((200, 2))
    assert ridge(x, y, np.arange(200) % 4)[1] < 0.03


def test_principal_leaves_out_what_never_varies():
    rng = np.random.default_rng(3)
    rows = np.c_[rng.standard_normal((50, 2)) * [3, 1], np.full((50, 3), 7.0)]
    to, share = principal(rows, 4)
    assert to.weights.shape == (5, 2)
    assert share == pytest.approx(1)
    np.testing.assert_allclose(np.cov(to(rows).T, bias=True), np.eye(2), atol=1e-9)
    assert principal(np.ones((9, 4)), 2)[0].weights.shape == (4, 0)


def test_a_reduction_never_sees_the_half_it_is_used_on(independent):
    context = Context(Source.of(independent).facts)
    kept = fit_reductions(iter(independent), context, ring=(1, 8))
    turned = [
        replace(s, visual=s.visual.flip(0) * 2 + 1) if fold(s.image_id) == 0 else s
        for s in independent
    ]
    again = fit_reductions(iter(turned), context, ring=(1, 8))
    for part in ("patch", "prompt"):
        np.testing.assert_array_equal(
            getattr(kept[0], part).weights, getattr(again[0], part).weights
        )
        assert not np.allclose(getattr(kept[1], part).weights, getattr(again[1], part).weights)
    np.testing.assert_array_equal(kept[0].ring[8].weights, again[0].ring[8].weights)


def test_greedy_kept_sets_are_prefixes(independent):
    sample = independent[0]
    order = in_order_of_choice(sample, Context(Source.of([sample]).facts, ratios=(0.5, 0.2)))
    assert len(order) == 13  # half of 25, rounded up
    fewer = select("mi_pruner", visual=sample.visual, text=sample.text, budget=0.2)
    np.testing.assert_array_equal(order[:5], fewer.indices)


def test_nearest_token_on_the_grid():
    # 4 x 4 grid; token 5 is (1, 1): token 7 = (1, 3) at 2, token 10 = (2, 2) at sqrt 2
    assert nearest((4, 4), 5, np.array([0 + 15, 7, 10])) == 10
    # frames count: token 5 of frame 0, its like in frame 1 is at 1
    assert nearest((4, 4, 2), 5, np.array([10, 21])) == 21


# --- remade data ----------------------------------------------------------------------------


def lead_rows(samples):
    table, _ = data_processing.CLAIM.evaluate_table(samples)
    return table[table["distance"] == 1].reset_index(drop=True)


@pytest.mark.parametrize("nats", [0.0, 0.1, 0.5])
def test_remade_pairs_have_what_was_planted(dependent, nats):
    """Whatever the dependence of the data, that of remade data is the one asked for."""
    rows = lead_rows(dependent)
    rows = rows[rows["fold"] == 0]
    maker, rng = Remaker.of(rows), np.random.default_rng(0)
    z = np.column_stack([np.ones(len(rows)), draws.values(rows, "z")])
    found = []
    for _ in range(60):
        sides = [s - z @ np.linalg.lstsq(z, s, rcond=None)[0] for s in maker.draw(nats, rng)]
        joint = np.corrcoef(np.hstack(sides).T)
        r = sides[0].shape[1]
        blocks = np.linalg.slogdet(joint[:r, :r])[1] + np.linalg.slogdet(joint[r:, r:])[1]
        found.append((blocks - np.linalg.slogdet(joint)[1]) / 2)
    assert np.mean(found) == pytest.approx(nats, abs=0.02)  # 9 parameters, 600 rows: bias 0.0075


def test_dealing_moves_whole_images(dependent):
    rows = lead_rows(dependent)
    rows = rows[rows["fold"] == 1].reset_index(drop=True)
    dealt = Remaker.of(rows).deal(np.random.default_rng(5))
    assert sorted(dealt) == list(range(len(rows)))
    assert (rows["draw"].to_numpy()[dealt] == rows["draw"].to_numpy()).all()
    donors = rows.assign(donor=rows["image_id"].to_numpy()[dealt]).groupby("image_id")["donor"]
    assert (donors.nunique() == 1).all()


# --- true and false, by how much ------------------------------------------------------------


def test_conditional_independence_holds_and_is_violated(independent, dependent):
    held = conditional_independence.evaluate(independent)
    assert held.decision == "holds"
    table, broken = conditional_independence.CLAIM.evaluate_table(dependent)
    assert broken.decision == "violated"
    assert broken.effect.low < 0.432 < broken.effect.high
    by = pd.DataFrame(broken.diagnostics["by_condition"]).set_index(["condition", "level"])
    # e has no memory beyond its 2 x 2 window
    assert abs(by.loc[("distance", 2.0), "given"]) < 0.05
    assert by.loc[("distance", 2.0), "alone"] > 0.2
    assert by.loc[("neighbors", 8.0), "given"] > by.loc[("neighbors", 1.0), "given"] + 0.2
    assert isinstance(conditional_independence.draw(table, broken), Figure)


def test_a_small_estimate_is_not_enough(independent):
    """Where a planted dependence would be missed, 'holds' is not said."""
    rng = np.random.default_rng(0)
    wide = claims_a.with_noise_directions(independent, 40, rng)
    verdict = conditional_independence.evaluate(wide)
    low, high = verdict.effect.interval()
    assert -0.05 < low < high < 0.05  # the interval alone would say so
    assert verdict.decision == "unassessed"
    assert "would have been missed" in verdict.reason


def test_data_processing_holds_and_is_violated(independent, dependent):
    held = data_processing.evaluate(independent)
    assert held.decision == "holds"
    # -0.405 but for what the fitted prediction of the prompt loses
    assert held.effect.value == pytest.approx(-0.405, abs=0.08)
    table, broken = data_processing.CLAIM.evaluate_table(dependent)
    assert broken.decision == "violated"
    assert broken.effect.low < 0.277 < broken.effect.high
    assert broken.diagnostics["rigorous"]["log_distinct_prompts"] == pytest.approx(math.log(160))
    assert not broken.diagnostics["rigorous"]["refutes"]  # 0.97 nats are no more than log 160
    assert isinstance(data_processing.draw(table, broken), Figure)


def test_max_underestimates_redundancy_where_neighbors_add_up(independent):
    table, held = max_underestimates_redundancy.CLAIM.evaluate_table(independent)
    assert held.decision == "holds"
    # Of eight patches t + e_j their mean is sufficient: r² = (1/2)² / (1/2 + 1/16) = 4/9, so
    # 0.294 nats in each of two directions, and 0.144 with a single one: 0.300 missed.
    assert held.effect.low < 0.300 < held.effect.high
    sizes = pd.DataFrame(held.diagnostics["by_size"]).set_index("size")
    assert sizes.loc[1, "gap"] == pytest.approx(0, abs=0.02)
    assert (sizes["tree"] >= sizes["max"] - 0.05).all()
    assert isinstance(max_underestimates_redundancy.draw(table, held), Figure)


def test_max_does_not_underestimate_where_there_is_no_redundancy():
    verdict = max_underestimates_redundancy.evaluate(claims_a.field_samples(signal=0.0))
    assert verdict.decision == "violated"


def test_cross_dominates_self_holds_and_is_violated():
    # 12 copies of each of three directions, a word along each, τ = 0.1: for kept copies
    # PMI(v_i; v_j) = log 36 / 12 and max_j PMI(v_i; t_j) = log 3, both up to e^-10. The ratio is 1.
    table, broken = cross_dominates_self.CLAIM.evaluate_table(claims_a.grouped_samples(3))
    assert broken.decision == "violated"
    assert broken.effect.value == pytest.approx(1.0, abs=1e-3)
    terms = table[(table["kind"] == "terms") & (table["ratio"] == 0.25)]
    np.testing.assert_allclose(terms["cross"], math.log(3), atol=2e-3)
    assert isinstance(cross_dominates_self.draw(table, broken), Figure)
    # orthogonal tokens: PMI(v_i; v_j) = log 36 / (e^10 + 35), far below 0
    held = cross_dominates_self.evaluate(claims_a.grouped_samples(36))
    assert held.decision == "holds"
    assert held.effect.value < 0


def test_ratio_of_means_and_its_error_by_hand():
    # means 2 and 4: ratio 1/2; residuals (self - cross/2) / 4 = (0.125, -0.125, 0), by image sums
    # over n: se² = 3/2 (0.125² + 0.125²) / 9
    rows = pd.DataFrame(
        {"self": [2.5, 1.5, 2.0], "cross": [4.0, 4.0, 4.0], "image_id": list("abc")}
    )
    effect = cross_dominates_self.ratio_effect("r", rows)
    assert effect.value == pytest.approx(0.5)
    assert effect.se == pytest.approx(math.sqrt(1.5 * 2 * 0.125**2 / 9))
    assert cross_dominates_self.ratio_effect("r", rows.assign(cross=0.0)) is None


# --- every one of them ----------------------------------------------------------------------


@pytest.mark.parametrize("module", EMPIRICAL)
def test_too_few_images_are_no_verdict(module):
    assert module.evaluate(claims_a.field_samples(8)).decision == "unassessed"


@pytest.mark.parametrize("module", EMPIRICAL[:3])
def test_images_that_allow_no_calibration_are_no_verdict(module, dependent):
    verdict = module.evaluate(dependent[:30])
    assert verdict.decision == "unassessed"
    assert "20 images in each half" in verdict.reason


@pytest.mark.parametrize("module", EMPIRICAL)
def test_order_of_samples_does_not_matter(module):
    samples = claims_a.field_samples(60, shared=True, questions=2)
    assert module.evaluate(samples).to_dict() == module.evaluate(samples[::-1]).to_dict()


@pytest.mark.parametrize("module", EMPIRICAL)
def test_the_basis_does_not_matter(module):
    samples = claims_a.field_samples(60, shared=True)
    if module is cross_dominates_self:  # parallel words have no relevance to divide by
        samples = claims_a.grouped_samples(5)
    one, two = (module.evaluate(s) for s in (samples, claims_a.rotated(samples)))
    assert one.decision == two.decision
    assert one.effect.low == pytest.approx(two.effect.low, abs=2e-3)


@pytest.mark.parametrize("module", EMPIRICAL[:3])
def test_without_a_grid_there_is_no_verdict(module, independent):
    flat = [replace(s, grid=None) for s in independent[:30]]
    assert "grid" in module.evaluate(flat).reason


def test_prompts_that_never_vary_are_no_verdict(independent):
    same = [replace(s, text=independent[0].text) for s in independent]
    for module in (conditional_independence, data_processing):
        verdict = module.evaluate(same)
        assert verdict.decision == "unassessed"
        assert "that vary" in verdict.reason


def test_exact_copies_of_a_patch_are_no_verdict(independent):
    """Their information is infinite: no estimate, and no error."""
    flat = [replace(s, visual=s.visual[:1].expand(25, -1).clone()) for s in independent]
    for module in (conditional_independence, data_processing):
        verdict = module.evaluate(flat)
        assert verdict.decision == "unassessed"
        assert "no estimate" in verdict.reason


@pytest.mark.slow
def test_intervals_of_the_conditional_information_cover():
    """At 95% nominal, of 100 bundles of 100 images with 0.432 nats, at least 88 are covered."""
    covered = 0
    for seed in range(100):
        samples = claims_a.field_samples(100, shared=True, seed=seed)
        table, _ = data_processing.CLAIM.evaluate_table(samples)
        lead = table[table["distance"] == 1].reset_index(drop=True)
        effect = conditional_independence.given_prompt(lead)
        covered += effect.low < 0.432 < effect.high
    assert covered >= 88  # binomial: 0.4% chance at 95% coverage
