"""Claims on the greedy score and on aggregation: true and false cases, and twins."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch
from claim_samples import gaussian_samples, rotated
from claims_bc import embedded, peaked, rare_words
from scipy.stats import kendalltau

from analysis.claims import (
    greedy_guarantee,
    heap_is_exact,
    lse_bound,
    max_below_sum,
    max_tracks_global,
    score_is_marginal_gain,
    score_scale,
    sparse_grounding,
)
from analysis.claims.base import NO_INPUT, one_per_image
from analysis.claims.context import Context
from analysis.claims.greedy_score import Parts, parts, rule, total
from analysis.claims.small_instances import proved, totals_of
from mitheory.pmi import cross_pmi
from mitheory.selection.search import greedy

EMPIRICAL = (max_tracks_global, sparse_grounding, score_scale)
THEOREMS = (
    score_is_marginal_gain, greedy_guarantee, heap_is_exact, lse_bound, max_below_sum,
)  # fmt: skip
CONTEXT = Context(NO_INPUT)


def test_embedded_tables_come_back():
    table = torch.tensor([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05]], dtype=torch.float64)
    found = cross_pmi(*embedded(table), temperature=0.1)
    torch.testing.assert_close(found.log_cond.exp(), table)


# -- aggregation ---------------------------------------------------------------------------------


def test_sparse_grounding_by_hand():
    # 0.9 on one of six words, 0.02 on each other: 1 / (0.81 + 5 · 0.0004) / 6 = 0.2053
    verdict = sparse_grounding.evaluate(peaked(mass=0.9))
    assert verdict.decision == "holds"
    assert verdict.effect.value == pytest.approx(0.2053, abs=1e-4)


def test_sparse_grounding_is_violated_where_words_share():
    # half of the mass on one of six words: 1 / (0.25 + 5 · 0.01) / 6 = 0.5556
    verdict = sparse_grounding.evaluate(peaked(mass=0.5))
    assert verdict.decision == "violated"
    assert verdict.effect.value == pytest.approx(0.5556, abs=1e-4)


def test_max_tracks_global_where_patches_differ_in_one_way():
    """More mass on the one word that is a patch's own raises its maximum and its divergence."""
    verdict = max_tracks_global.evaluate(gaussian_samples(images=20, d=3, n_t=2))
    assert verdict.decision == "holds"
    assert verdict.effect.value > 0.6


def test_max_tracks_global_fails_on_rare_words():
    verdict = max_tracks_global.evaluate(rare_words())
    assert verdict.decision == "violated"
    assert verdict.effect.high < 0.4
    assert verdict.diagnostics["smallest_max_minus_global_nats"] >= 0


def test_taus_against_a_twin():
    """Max and KL of the tables themselves, by loops."""
    sample = rare_words(1)[0]
    p = cross_pmi(sample.visual.double(), sample.text.double(), temperature=0.1).log_cond.exp()
    q = p.mean(0)
    best = [max(math.log(p[i, j] / q[j]) for j in range(3)) for i in range(16)]
    kl = [sum(float(p[i, j]) * math.log(p[i, j] / q[j]) for j in range(3)) for i in range(16)]
    row = max_tracks_global.measure([sample], CONTEXT).iloc[0]
    assert row["tau_kl"] == pytest.approx(kendalltau(best, kl).statistic)
    top = [set(np.argsort(-np.array(s), kind="stable")[:8].tolist()) for s in (best, kl)]
    assert row["jaccard_kl_0.5000"] == pytest.approx(len(top[0] & top[1]) / len(top[0] | top[1]))


def test_bounds_are_verified_and_would_be_refuted():
    samples = gaussian_samples()
    table, verdict = lse_bound.CLAIM.evaluate_table(samples)
    assert verdict.decision == "verified"
    assert 0 < verdict.effect.value < 1
    broken = table.assign(slack=table["slack"] - 10)
    assert lse_bound.judge(broken, CONTEXT).decision == "refuted"
    assert lse_bound.judge(table.assign(ratio_slack=-1.0), CONTEXT).decision == "refuted"


def test_max_below_sum_is_refuted_unless_one_word_decides():
    """With one word PMI is 0 throughout: 0 <= 0 holds."""
    samples = gaussian_samples()
    assert max_below_sum.evaluate(samples).decision == "refuted"
    assert max_below_sum.evaluate(samples).effect.value > 0.9
    lone = gaussian_samples(n_t=1)
    assert max_below_sum.evaluate(lone).decision == "verified"


def test_max_below_sum_is_satisfied_by_a_patch_that_avoids_the_frequent_word():
    """The worked case as a sample: q = (0.98, 0.01, 0.01), P = (0.2, 0.4, 0.4).

    PMI is log 0.2/0.98 = -1.589, log 40 = 3.689 twice: sum 5.789 > 3.689. Each other patch has
    log 0.9959/0.98 = 0.016 and log 0.2041 = -1.589 twice: 0.016 > -3.162. So 49 of 50 violate.
    """
    made = max_below_sum.satisfied()
    assert made["pmi"] == pytest.approx([-1.5892, 3.6889, 3.6889], abs=1e-4)
    assert made["sum"] - made["max"] == pytest.approx(2.0997, abs=1e-4)
    rare = 0.1 / 49
    rows = [[0.2, 0.4, 0.4]] + 49 * [[1 - 2 * rare, rare, rare]]
    table = torch.tensor(rows, dtype=torch.float64)
    visual, text = embedded(table)
    sample = replace(gaussian_samples(images=1)[0], visual=visual, text=text, grid=None,
                     relevant=None, tokens=("a", "b", "c"))  # fmt: skip
    row = max_below_sum.measure([sample], CONTEXT).iloc[0]
    assert row["violated"] == pytest.approx(49 / 50)


def test_max_below_sum_counter_example_adds_up():
    example = max_below_sum.evaluate(gaussian_samples()).counter_example
    assert max(example["pmi"]) == pytest.approx(example["max_pmi"], abs=1e-3)
    assert sum(example["pmi"]) == pytest.approx(example["sum_pmi"], abs=1e-3)
    assert example["max_pmi"] > example["sum_pmi"]
    assert len(example["words"]) == len(example["pmi"])


# -- the greedy score ----------------------------------------------------------------------------


def test_score_is_no_marginal_gain_by_hand():
    """λ = 1/2, PMI(1,2) = 2, PMI(1,3) = 1, PMI(2,3) = 0, relevance 3, 2, 1.

    In order 1, 2, 3: 1.5 + (1 − 1) + (0.5 − 0.5) = 1.5.
    In order 2, 3, 1: 1 + (0.5 − 0) + (1.5 − 1) = 2.
    """
    verdict = score_is_marginal_gain.evaluate(gaussian_samples())
    assert verdict.decision == "refuted"
    example = verdict.counter_example
    assert (example["one_order"], example["total_of_one"]) == ([0, 1, 2], 1.5)
    assert (example["another_order"], example["total_of_another"]) == ([1, 2, 0], 2.0)
    assert verdict.effect.low > 0


def test_without_redundancy_the_score_is_a_marginal_gain():
    verdict = score_is_marginal_gain.evaluate(gaussian_samples(), relevance_weight=1.0)
    assert verdict.decision == "verified"
    assert verdict.effect.value == pytest.approx(0, abs=1e-9)


def test_totals_of_all_orders_against_the_rule():
    found = parts(gaussian_samples(images=1)[0], CONTEXT)
    small = Parts(found.relevance[:5], found.pmi[:5, :5])
    orders = np.array(list(permutations(range(5), 3)))
    fast = totals_of(small, orders, 0.5)
    slow = [total(rule(small, CONTEXT), order.tolist()) for order in orders]
    np.testing.assert_allclose(fast, slow, atol=1e-12)


def test_greedy_guarantee_by_hand():
    """Greedy takes 1, then 0.9 − 0.9: 0.5 · 1 + 0 = 0.5. The best takes the other two: 0.9."""
    verdict = greedy_guarantee.evaluate(gaussian_samples())
    assert verdict.decision == "refuted"
    example = verdict.counter_example
    assert (example["greedy_total"], example["best_total"]) == (0.5, 0.9)
    facts = verdict.diagnostics
    for name in ("facility_location", "coverage"):
        assert 1 - 1 / math.e <= facts["worst_greedy_over_best"][name] <= 1 + 1e-12
        assert facts["violations_of_diminishing_returns"][name] == 0
        assert facts["submodularity_ratio"][name] >= 1 - 1e-6
    for at_a_budget in facts["certificate"].values():
        assert all(0.5 <= share <= 1 for share in at_a_budget.values())


def test_greedy_is_exact_without_redundancy():
    verdict = greedy_guarantee.evaluate(gaussian_samples(), relevance_weight=1.0)
    assert verdict.decision == "verified"
    assert verdict.effect.value == pytest.approx(1)


@pytest.mark.parametrize("relevance_weight", [0.0, 0.1, 0.9, 0.99])
def test_greedy_has_no_guarantee_at_any_weight_of_redundancy(relevance_weight):
    verdict = greedy_guarantee.evaluate(gaussian_samples(), relevance_weight=relevance_weight)
    assert verdict.decision == "refuted"
    example = verdict.counter_example
    assert example["best_total"] > 0
    assert example["greedy_total"] < (1 - 1 / math.e) * example["best_total"]


def test_greedy_guarantee_needs_patches():
    verdict = greedy_guarantee.evaluate(gaussian_samples(rows=3))  # 9 patches, 10 are drawn
    assert verdict.decision == "unassessed"
    assert "10 patches" in verdict.reason


def test_a_certificate_is_that_of_its_budget():
    """Each budget's own greedy run, one at a time, by the definition of the bound."""
    sample = gaussian_samples(images=1, questions=1, rows=5)[0]
    table = greedy_guarantee.measure([sample], CONTEXT).set_index("objective")
    unit = sample.visual.double() / sample.visual.double().norm(dim=1, keepdim=True)
    function = proved(unit, torch.arange(25))["facility_location"]
    for ratio, size in ((0.5, 13), (1 / 9, 3)):  # of 25, rounded half up
        kept = greedy(function, size).indices.tolist()
        left = sorted((function.gain(i, kept) for i in range(25) if i not in kept), reverse=True)
        value = function.value(kept)
        share = value / (value + sum(left[:size]))
        found = table.loc["facility_location", f"certificate_{ratio:.4f}"]
        assert found == pytest.approx(share, abs=1e-12)


def test_heap_by_hand_and_what_must_agree():
    """Relevance 3, 2.9, 1; the first two are alike: once one is kept, 0.45 < 1 for the other."""
    verdict = heap_is_exact.evaluate(gaussian_samples(rows=5))
    assert verdict.decision == "refuted"
    example = verdict.counter_example
    assert (example["greedy_keeps"], example["static_heap_keeps"]) == ([0, 2], [0, 1])
    assert example["scores_once_0_is_kept"] == pytest.approx([0.5, 0.45, 1.0])
    assert verdict.diagnostics["runs_of_what_is_proved_exact_that_differ"] == 0
    same = verdict.diagnostics["share_of_runs_same_set_as_eager"]
    assert same["lazy, filled after first"] == same["lazy, empty set lowest"] == 1
    assert same["lazy, empty set 0"] < 1, "stale keys of the empty set should have gone wrong"


@pytest.mark.parametrize("relevance_weight", [0.0, 0.2, 0.9])
def test_a_static_heap_fails_at_any_weight_of_redundancy(relevance_weight):
    verdict = heap_is_exact.evaluate(gaussian_samples(images=10), relevance_weight=relevance_weight)
    assert verdict.decision == "refuted"
    example = verdict.counter_example
    assert example["lambda"] == relevance_weight
    assert set(example["greedy_keeps"]) != set(example["static_heap_keeps"])
    assert verdict.diagnostics["runs_of_what_is_proved_exact_that_differ"] == 0


def test_an_order_that_should_agree_and_does_not_is_counted():
    """At λ = 1 only the bundle can refute: a wrong sort is found and named."""
    context = replace(CONTEXT, relevance_weight=1.0)
    table = heap_is_exact.measure(gaussian_samples(images=10), context)
    wrong = table.assign(same=table["same"] & (table["search"] != "static heap"))
    verdict = heap_is_exact.judge(wrong, context)
    assert verdict.decision == "refuted"
    assert verdict.counter_example["lambda"] == 1.0
    lazy = table.assign(same=table["same"] & (table["search"] != "lazy, filled after first"))
    found = heap_is_exact.judge(lazy, context).diagnostics
    assert found["runs_of_what_is_proved_exact_that_differ"] == 10 * len(context.ratios)


def test_a_heap_is_exact_without_redundancy():
    verdict = heap_is_exact.evaluate(gaussian_samples(), relevance_weight=1.0)
    assert verdict.decision == "verified"
    assert verdict.effect.value == 1


def test_score_scale_against_a_twin():
    """The say of relevance, by loops over steps and candidates."""
    sample = gaussian_samples(images=1, questions=1, rows=5)[0]
    found = parts(sample, CONTEXT)
    relevance, pmi = found.relevance.tolist(), found.pmi.tolist()
    kept: list[int] = []
    sds = []
    for _ in range(3):  # 25 / 9, rounded
        left = [i for i in range(25) if i not in kept]
        red = {i: max((pmi[i][j] for j in kept), default=0.0) for i in left}
        if kept:
            sds.append([np.std([relevance[i] for i in left]), np.std([red[i] for i in left])])
        kept.append(max(left, key=lambda i: (0.5 * relevance[i] - 0.5 * red[i], -i)))
    cross, own = np.mean(sds, axis=0)
    row = score_scale.measure([sample], CONTEXT).iloc[0]
    assert row["share"] == pytest.approx(cross / (cross + own))


@pytest.mark.parametrize(
    ("share", "decision"), [(0.52, "holds"), (0.75, "violated"), (0.25, "violated")]
)
def test_score_scale_decides_both_ways(share, decision):
    rng = np.random.default_rng(0)
    rows = 40
    table = pd.DataFrame(
        {
            "image_id": [str(i) for i in range(rows)],
            "sample_id": [str(i) for i in range(rows)],
            "share": share + 0.03 * rng.standard_normal(rows),
        }
    ).assign(
        relevance=1.0, redundancy=1.0, cross_range=1.0, self_range=1.0, self_highest=1.0,
        with_relevance=0.5, with_redundancy=0.5,
    )  # fmt: skip
    assert score_scale.judge(table, CONTEXT).decision == decision


def test_score_scale_sees_which_term_varies():
    """Words far from every patch leave relevance flat; redundancy then has the say."""
    verdict = score_scale.evaluate(gaussian_samples(images=20, rows=5, d=64))
    samples = gaussian_samples(images=20, rows=5, d=64)
    flat = [replace(s, text=s.text[:1] + 0.01 * s.text) for s in samples]
    assert score_scale.evaluate(flat).effect.value < verdict.effect.value - 0.1


# -- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("module", EMPIRICAL, ids=lambda m: m.NAME if hasattr(m, "NAME") else "")
def test_too_few_images_are_not_judged(module):
    assert module.evaluate(gaussian_samples(images=9)).decision == "unassessed"
    prompts_of_one_word = gaussian_samples(n_t=1)
    verdict = module.evaluate(prompts_of_one_word)
    assert verdict.decision == "unassessed"
    assert "two words" in verdict.reason


@pytest.mark.parametrize("module", [*EMPIRICAL, *THEOREMS])
def test_order_and_rotation_change_nothing(module):
    samples = gaussian_samples(images=12, rows=5)
    plain = module.evaluate(samples).to_dict()
    assert module.evaluate(samples[::-1]).to_dict() == plain
    turned = module.evaluate(rotated(samples)).to_dict()
    assert turned["decision"] == plain["decision"]
    assert turned["effect"]["value"] == pytest.approx(plain["effect"]["value"], abs=0.02)


@pytest.mark.parametrize("module", [*EMPIRICAL, *THEOREMS])
def test_figures_are_drawn(module):
    table, verdict = module.CLAIM.evaluate_table(gaussian_samples(images=12, rows=5))
    figure = module.draw(table, verdict)
    assert figure.axes
    assert all(axes.get_xlabel() for axes in figure.axes)


def test_one_question_per_image_does_not_hang_on_order():
    samples = gaussian_samples(images=5, questions=4)
    first = {s.sample_id for s in one_per_image(samples)}
    assert len(first) == 5
    assert {s.sample_id for s in one_per_image(samples[::-1])} == first
    assert len(one_per_image(samples, most=3)) == 15
