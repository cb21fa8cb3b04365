"""The decision rule: by hand, at its error rates, and corrected for many claims."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from mitheory.errors import DTypeError, NonFiniteError, ParameterError
from mitheory.statistics import clustered_mean
from mitheory.verdict import (
    DECISIONS,
    LEVEL,
    REGIONS,
    Effect,
    SmallestEffect,
    Verdict,
    decide,
    holm_verdicts,
    unassessed,
)

finite = st.floats(-100, 100)


def smallest(region="negligible", value=0.1):
    return SmallestEffect(value, "nats", region, "a test")


def verdict(value, se=0.1, region="at_most", df=24, skew=0.0, **fields):
    effect = Effect("excess", "nats", value, se, df, skew)
    words = {"n": df + 1, "unit": "images", "seed": 0, "smallest_effect": smallest(region)}
    return Verdict("c", "empirical", "m", effect=effect, **(words | fields))


def test_interval_by_hand():
    # t at 97.5% with 4 degrees of freedom is 2.7764
    effect = Effect("mean", "nats", 1.0, se=0.5, df=4)
    assert effect.low == pytest.approx(1 - 2.7764 * 0.5, abs=1e-4)
    assert effect.high == pytest.approx(1 + 2.7764 * 0.5, abs=1e-4)


@pytest.mark.parametrize(
    ("region", "low", "high", "decision"),
    [
        ("negligible", -0.05, 0.05, "holds"),
        ("negligible", -0.05, 0.15, "inconclusive"),
        ("negligible", 0.11, 0.15, "violated"),
        ("negligible", -0.3, -0.2, "violated"),
        ("negligible", -0.3, 0.3, "inconclusive"),
        ("at_least", 0.11, 0.2, "holds"),
        ("at_least", 0.05, 0.2, "inconclusive"),
        ("at_least", -0.3, 0.09, "violated"),
        ("at_most", -3.0, 0.09, "holds"),
        ("at_most", 0.0, 0.2, "inconclusive"),
        ("at_most", 0.11, 0.2, "violated"),
    ],
)
def test_rule_by_hand(region, low, high, decision):
    assert decide(low, high, smallest(region)) == decision


skews = st.floats(-2, 2)


@given(finite, st.floats(0.001, 10), skews, st.sampled_from(REGIONS), st.floats(0.5, 0.999))
def test_p_value_is_the_level_at_which_the_decision_turns(value, se, skew, region, level):
    """The interval at 1 - α decides exactly if the p-value is below α."""
    graded = verdict(value, se, region, level=level, skew=skew)
    assert graded.p_value is not None
    if abs(graded.p_value - (1 - level)) < 1e-9:  # the border itself: rounding decides
        return
    assert (graded.decision != "inconclusive") == (graded.p_value < 1 - level)


@given(finite, st.floats(0.001, 10), skews, st.floats(0.5, 0.999))
def test_interval_and_its_own_p_value_agree(value, se, skew, level):
    """Each end of the interval is the truth at which the p-value is one less the level."""
    effect = Effect("mean", "nats", value, se, 24, skew)
    for end in effect.interval(level):
        assert effect.p_value(end) == pytest.approx(1 - level, rel=1e-4)


def test_a_long_tail_gets_the_longer_side():
    """Values that few images carry (skew > 0): the truth may be far above, hardly below."""
    low, high = Effect("mean", "nats", 1.0, 0.1, 24, skew=0.6).interval()
    assert high - 1 > 1.2 * (1 - low) > 0


@pytest.mark.parametrize("n", [25, 60])
def test_rare_shares_are_covered(n):
    """Shares of patches that few images carry: Student's interval misses them too often."""
    rng = np.random.default_rng(3)
    missed = {"student": 0, "ours": 0}
    for _ in range(1000):
        share = np.where(rng.random(n) < 0.2, rng.beta(1, 3, n), 0.0)
        mean = clustered_mean(share, np.arange(n), span=1.0)
        truth = 0.2 * 0.25
        for name, skew in (("student", 0.0), ("ours", mean.skew)):
            low, high = Effect("m", "", mean.value, mean.se, mean.df, skew).interval()
            missed[name] += not low <= truth <= high
    assert missed["ours"] / 1000 < 0.09
    assert missed["ours"] < 0.75 * missed["student"]


@given(finite, st.floats(0.001, 10), st.sampled_from(REGIONS))
def test_a_decision_needs_the_estimate_on_its_side(value, se, region):
    """*holds* only with the estimate inside the region, *violated* only with it outside."""
    low, high = smallest(region).bounds
    decision = verdict(value, se, region).decision
    assert decision in DECISIONS
    if decision == "holds":
        assert low < value < high
    if decision == "violated":
        assert not low < value < high


def test_a_theorem_is_refuted_by_its_counter_example_alone():
    plain = {"n": 1, "unit": "instances", "seed": 0}
    assert Verdict("c", "theorem", "m", checked=5, **plain).decision == "verified"
    refuted = Verdict("c", "theorem", "m", checked=5, counter_example={"gain": 0.0}, **plain)
    assert refuted.decision == "refuted"
    informative = Effect("gap", "nats", 5.0, 0.1, 9)
    assert Verdict("c", "theorem", "m", checked=5, effect=informative, **plain).decision == (
        "verified"
    )
    with pytest.raises(ParameterError, match="needs an effect"):
        Verdict("c", "theorem", "m", **plain)


def test_a_reason_is_the_last_word():
    spoiled = verdict(0.5, reason="too few images")
    assert spoiled.decision == "unassessed"
    assert spoiled.p_value is None
    assert unassessed("c", "empirical", "no grid", seed=0).decision == "unassessed"


def test_records_survive_json():
    record = verdict(0.5, caveats=("one",), diagnostics={"k": [1, 2]}).to_dict()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["decision"] == "violated"
    assert record["effect"]["low_corrected"] == record["effect"]["low"]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Effect("e", "nats", math.nan, 0.1, 3), NonFiniteError),
        (lambda: Effect("e", "nats", 0.0, -0.1, 3), ParameterError),
        (lambda: Effect("e", "nats", 0.0, 0.1, 0), ParameterError),
        (lambda: Effect("e", "nats", 0.0, 0.1, 3).interval(1.0), ParameterError),
        (lambda: SmallestEffect(0.0, "nats", "at_least", "r"), ParameterError),
        (lambda: SmallestEffect(0.1, "nats", "above", "r"), ParameterError),
        (lambda: verdict(0.5, caveats=["a list"]), DTypeError),
        (lambda: Verdict("c", "guess", "m", n=1, unit="", seed=0, checked=1), ParameterError),
    ],
)
def test_bad_input_is_refused(make, error):
    with pytest.raises(error):
        make()


def test_holm_by_hand():
    """p = .001, .02, .03, .9 at 5%: .001 <= .05/4, then .02 > .05/3 stops; .03 must not pass."""
    p = [0.03, 0.9, 0.001, 0.02]
    distances = [student.isf(x / 2, 24) * 0.1 for x in p]
    corrected = holm_verdicts([verdict(0.1 + d) for d in distances])
    assert [v.decision for v in corrected] == [
        "inconclusive", "inconclusive", "violated", "inconclusive",
    ]  # fmt: skip
    assert corrected[2].level == pytest.approx(1 - 0.05 / 4)
    assert all(corrected[i].level == pytest.approx(1 - 0.05 / 3) for i in (0, 1, 3))


def test_holm_leaves_theorems_alone():
    theorem = Verdict("t", "theorem", "m", n=1, unit="instances", seed=0, checked=1)
    missing = unassessed("u", "empirical", "no grid", seed=0)
    corrected = holm_verdicts([theorem, verdict(9.0), missing])
    assert corrected[0] == theorem
    assert corrected[2] == missing
    assert corrected[1].level == LEVEL  # the only one in the family
    assert holm_verdicts([]) == []


def _p_values(corrected):
    return [v.decision != "inconclusive" for v in corrected]


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=8), st.randoms())
def test_holm_ignores_the_order(values, random):
    """A claim's corrected decision does not depend on where in the run it stands."""
    verdicts = [verdict(v, region="negligible", seed=i) for i, v in enumerate(values)]
    shuffled = list(verdicts)
    random.shuffle(shuffled)
    by_seed = {v.seed: v.decision for v in holm_verdicts(shuffled)}
    assert [by_seed[v.seed] for v in verdicts] == [v.decision for v in holm_verdicts(verdicts)]


@pytest.mark.parametrize("truth", [0.1, 0.3])
def test_wrong_decisions_are_as_rare_as_stated(truth):
    """At the border either decision is wrong at most 5%; far outside *violated* is found."""
    rng = np.random.default_rng(5)
    decisions = []
    for _ in range(600):
        clusters = np.repeat(np.arange(40), rng.integers(1, 6, size=40))
        shared = rng.normal(size=40)[clusters] * 0.3
        values = truth + shared + rng.normal(size=len(clusters)) * 0.3
        effect = Effect("mean", "nats", *clustered_mean(values, clusters))
        decisions.append(decide(*effect.interval(), smallest("at_most")))
    rates = {d: decisions.count(d) / 600 for d in ("holds", "violated")}
    if truth == 0.1:  # each side 2.5%, plus three binomial standard errors
        assert max(rates.values()) < 0.025 + 3 * math.sqrt(0.025 * 0.975 / 600)
        assert min(rates.values()) > 0.005  # and the interval is not simply too wide
    else:
        assert rates["violated"] > 0.8
        assert rates["holds"] == 0
