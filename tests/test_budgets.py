"""Budgets: layer averages and costs by hand, the inverse, and budgets that are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitheory.budgets import (
    LLAVA_7B,
    Decoder,
    Schedule,
    before_decoder,
    budget_for_layer_average,
    dart,
    fastv,
    geometric,
    layer_flops,
    staged,
)
from mitheory.errors import BudgetError, ParameterError

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
    ("make", "error", "words"),
    [
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
