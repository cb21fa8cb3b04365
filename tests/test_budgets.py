"""Budgets: layer averages and costs by hand, the inverse, and budgets that are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitheory.budgets import (
    LLAVA_7B,
    Decoder,
    Schedule,
    autoprune,
    before_decoder,
    budget_for_layer_average,
    dart,
    fastv,
    geometric,
    layer_flops,
    sparsevlm,
    staged,
)
from mitheory.errors import BudgetError, ParameterError, UnknownNameError
from mitheory.selection.retention_curve import raw_curve, retention_curve, slope

TINY = Decoder(2, 3, is_gated=False)


def test_a_schedule_by_hand():
    """(8 + 8 + 4 + 1) / 4 tokens go in, (8 + 4 + 1 + 1) / 4 come out."""
    plan = staged(8, {2: 4, 3: 1}, 4)
    assert plan.tokens_per_layer == (8, 8, 4, 1)
    assert (plan.tokens_after_pruning, plan.n_layers) == (1, 4)
    assert plan.layer_average == 5.25
    assert plan.layer_average_after == 3.5
    assert Schedule((8, 4), n_v=8, left=2).layer_average_after == 3.0


def test_the_cost_by_hand():
    """5 tokens, d = 2, m = 3: 4·5·4 + 2·25·2 + 2·5·2·3 = 240; half the key heads save 2·5·4 / 2 · 2
    = 20 of it, a third matrix adds 30."""
    assert layer_flops(5, TINY) == 240
    assert layer_flops(5, Decoder(2, 3, is_gated=False, key_value_share=0.5)) == 220
    assert layer_flops(5, Decoder(2, 3)) == 270
    plan = fastv(4, 1, 1, 2)  # 4 then 1 visual tokens, one word
    assert plan.flops(TINY, n_text=1) == 240 + layer_flops(2, TINY)
    assert plan.flop_ratio(TINY, n_text=1) == (240 + layer_flops(2, TINY)) / 480


@given(n_v=st.integers(1, 700), share=st.floats(0, 1), n_text=st.integers(0, 80))
def test_pruning_before_the_decoder_is_a_smaller_prefill(n_v, share, n_text):
    """Every layer works on budget + text tokens; the ratio is 1 iff nothing is dropped."""
    budget = max(1, round(share * n_v))
    plan = before_decoder(n_v, budget, 32)
    assert plan.layer_average == plan.layer_average_after == budget
    assert plan.flops(LLAVA_7B, n_text) == pytest.approx(
        32 * layer_flops(budget + n_text, LLAVA_7B)
    )
    ratio = plan.flop_ratio(LLAVA_7B, n_text)
    assert ratio == 1 if budget == n_v else ratio < 1


@given(n_v=st.integers(2, 600), n_layers=st.integers(1, 40), share=st.floats(0, 1), data=st.data())
def test_the_inverse_is_the_largest_that_fits(n_v, n_layers, share, data):
    """One token more exceeds the average; what is below the minimum is refused."""
    layer = data.draw(st.integers(0, n_layers - 1))
    least = fastv(n_v, 1, layer, n_layers).layer_average
    average = least + share * (n_v - least)
    budget = budget_for_layer_average(average, n_v, layer, n_layers)
    slack = 1e-6 * n_v
    assert fastv(n_v, budget, layer, n_layers).layer_average <= average + slack
    if budget < n_v:
        assert fastv(n_v, budget + 1, layer, n_layers).layer_average > average - slack
    with pytest.raises(BudgetError, match="layer average"):
        budget_for_layer_average(least - 0.01, n_v, layer, n_layers)


def test_the_32_of_fastv_does_not_exist():
    """Layers 0 and 1 of 32 alone are 2 · 576 / 32 = 36 of the average; the refusal says so."""
    with pytest.raises(BudgetError, match=r"36\.9375"):
        budget_for_layer_average(32, 576, 2, 32)
    assert fastv(576, 1, 2, 32).layer_average == 36 + 30 / 32


@given(n_v=st.integers(1, 700), stages=st.integers(1, 5), share=st.floats(0, 1))
def test_geometric_budgets_descend_to_the_last(n_v, stages, share):
    budget = max(1, round(share * n_v))
    budgets = geometric(n_v, budget, stages)
    assert len(budgets) == stages
    assert budgets[-1] == budget
    assert list(budgets) == sorted(budgets, reverse=True)
    assert budgets[0] <= n_v


def test_darts_own_count():
    """4 + 8 ⌊k / 8⌋ in faithful mode; capped at what there is."""
    counts = [dart(576, k, 2, 32, mode="faithful").tokens_after_pruning for k in (7, 64, 100)]
    assert counts == [4, 68, 100]
    assert dart(10, 8, 2, 32, mode="faithful").tokens_after_pruning == 10
    assert dart(576, 64, 2, 32).tokens_after_pruning == 64


@pytest.mark.parametrize(
    ("target", "after", "processed"),
    [(192, 192.0, 206.5), (128, 128.6, 145.4), (96, 96.9, 114.1), (64, 64.8, 82.3)],
)
def test_sparsevlms_targets_are_averages_of_what_comes_out(target, after, processed):
    """What its layers work on is more, because the layer that prunes sees what it drops."""
    plan = sparsevlm("1.5", target)
    assert plan.layer_average_after == pytest.approx(after, abs=0.0501)
    assert plan.layer_average == pytest.approx(processed, abs=0.0501)  # 82.25 is printed as 82.3


def test_sparsevlm_by_hand():
    """192: of 276 dropped, 83 come back as 9; of 309 - 200, 33 as 4; of 204 - 110, 29 as 3. Version
    2.0 adds none. Of 40 tokens, 39 is all a stage of 66 may keep."""
    plan = sparsevlm("1.5", 192)
    assert plan.tokens_per_layer == (576,) * 3 + (309,) * 4 + (204,) * 9 + (113,) * 16
    assert sparsevlm("2.0", 64).tokens_per_layer == (576,) * 3 + (66,) * 4 + (34,) * 9 + (20,) * 16
    assert sparsevlm("2.0", 64, n_v=40).tokens_per_layer[3] == 39


@given(
    target=st.integers(12, 200),
    information=st.floats(-1, 6),
    n_layers=st.sampled_from([4, 8, 32]),
)
def test_autoprunes_curve_meets_its_target(target, information, n_layers):
    """Rounding up adds less than a token to the mean; counts never grow; steeper with less
    information."""
    counts = retention_curve(information, target, 576, n_layers=n_layers)
    assert counts[0] == min(int(2.5 * target), 576)
    assert list(counts) == sorted(counts, reverse=True)
    assert 0 <= sum(counts) / n_layers - target < 1
    plan = autoprune(576, target, information, n_layers=n_layers)
    assert plan.layer_average_after == sum(counts) / n_layers
    assert plan.tokens_per_layer[0] == 576


def test_autoprunes_curve_by_hand():
    """Without slope every layer keeps the same: (32 · 64 - 160) / 31 = 60.9 of the 159; with
    k = 0.4 - 0.2 the raw share of layer 15 is 0.75 / (1 + e^(0.2 · (15 - 15.1)))."""
    assert slope(2.5) == 0
    assert retention_curve(2.5, 64, 576)[1:] == (61,) * 31
    assert raw_curve(1.0)[14] == pytest.approx(0.75 / (1 + 2.718281828459045 ** (0.2 * -0.1)))
    assert raw_curve(1.0, 4)[1] == pytest.approx(0.75 / (1 + 2.718281828459045 ** (0.2 * 0.9)))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: sparsevlm("1.5", 32), BudgetError, r"\[64, 96, 128, 192\]"),
        (lambda: sparsevlm("1.0", 64), UnknownNameError, "1.5"),
        (lambda: sparsevlm("2.0", 64, n_v=1), BudgetError, "at least 2"),
        (lambda: sparsevlm("2.0", 64, n_layers=12), ParameterError, r"0\.\.11"),
        (lambda: autoprune(576, 600, 1.0), BudgetError, "576"),
        (lambda: autoprune(576, 64, float("nan")), ParameterError, "finite"),
        (lambda: autoprune(576, 64, 1.0, n_layers=2), BudgetError, "layer average"),
        (lambda: autoprune(576, 64, 1.0, n_layers=1), ParameterError, "at least 2"),
        (lambda: before_decoder(576, 0, 32), BudgetError, "at least 1"),
        (lambda: before_decoder(576, 577, 32), BudgetError, "at most the 576"),
        (lambda: before_decoder(576, 6.5, 32), BudgetError, "whole number"),
        (lambda: before_decoder(576, True, 32), BudgetError, "whole number"),
        (lambda: fastv(576, 64, 32, 32), ParameterError, r"0\.\.31"),
        (lambda: staged(576, {2: 10, 6: 11}, 32), BudgetError, "at most the 10"),
        (lambda: Schedule((), 4), BudgetError, "at least one layer"),
        (lambda: Schedule((4, 5), 5), BudgetError, "no more tokens than before"),
        (lambda: Schedule((4, 3), 4, left=4), BudgetError, "no more tokens than before"),
        (lambda: geometric(4, 5, 2), BudgetError, "at most 4"),
        (lambda: geometric(4, 2, 0), ParameterError, "at least 1"),
        (lambda: dart(576, 64, 2, 32, mode="as coded"), ParameterError, "faithful"),
        (lambda: budget_for_layer_average(600, 576, 2, 32), BudgetError, "576"),
        (lambda: Decoder(0, 4), ParameterError, "width"),
        (lambda: Decoder(4, 4, key_value_share=0), ParameterError, "key_value_share"),
    ],
)
def test_what_cannot_be_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
