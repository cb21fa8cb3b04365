"""MI-Attention: the readings of its two rounds, against programs written out literally."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selection_cases import inputs

from mitheory import select, select_batch
from mitheory.errors import UnknownNameError
from mitheory.pmi import cross_pmi, self_pmi
from mitheory.selection.mi_attention import ROUNDS

SEEDS = st.integers(0, 2**20)
N_V, BUDGET = 11, 5


def case_of(seed):
    """V, T and attention of one sample."""
    return {name: x[0] for name, x in inputs(seed, b=1, n_v=N_V).items()}


def literal(case, ratio, rounds, weight):
    """The kept tokens, in order, with every score computed afresh from whole matrices."""
    v, t = case["visual"], case["text"]
    relevance = cross_pmi(v[None], t[None], temperature=0.1).pmi[0].amax(-1)
    between = self_pmi(v[None], temperature=0.1).matrix()[0]
    attention = case["patch_attention"].mean(0)
    received = attention.sum(0) - attention.diagonal()
    by_attention = received.sort(descending=True, stable=True).indices.tolist()
    size = math.floor(ratio * BUDGET + 0.5)
    chosen, counted, candidates = by_attention[:size], by_attention[:size], range(N_V)
    if rounds == "fill_blind":
        counted = []
    if rounds == "filter":
        pool = BUDGET + math.floor((1 - ratio) * (N_V - BUDGET) + 0.5)
        candidates, chosen, counted = by_attention[:pool], [], []
        if pool == BUDGET:
            return candidates
    while len(chosen) < BUDGET:

        def score(i, counted=tuple(counted)):
            redundancy = max((float(between[i, j]) for j in counted), default=0.0)
            return weight * float(relevance[i]) - (1 - weight) * redundancy

        best = max((i for i in sorted(candidates) if i not in chosen), key=score)
        chosen, counted = [*chosen, best], [*counted, best]
    return chosen


@given(
    SEEDS,
    st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]),
    st.sampled_from(sorted(ROUNDS)),
    st.sampled_from([0.25, 0.5, 1.0]),
)
def test_every_reading_equals_its_literal_program(seed, ratio, rounds, weight):
    """Who counts as selected, who is a candidate, and in which order: as the page says."""
    case = case_of(seed)
    found = select("mi_attention", **case, budget=BUDGET, attention_ratio=ratio, rounds=rounds,
                   relevance_weight=weight)  # fmt: skip
    assert found.indices.tolist() == literal(case, ratio, rounds, weight)


@given(SEEDS, st.sampled_from(sorted(ROUNDS)))
def test_all_readings_end_in_the_two_methods(seed, rounds):
    """A share of 0 is MI-Pruner, and of 1 attention, in order of choice."""
    case = case_of(seed)
    two = {"visual": case["visual"], "text": case["text"]}
    none = select("mi_attention", **case, budget=BUDGET, attention_ratio=0.0, rounds=rounds)
    everything = select("mi_attention", **case, budget=BUDGET, attention_ratio=1.0, rounds=rounds)
    ours = select("mi_pruner", **two, budget=BUDGET)
    theirs = select("attention", patch_attention=case["patch_attention"], budget=BUDGET)
    assert torch.equal(none.indices, ours.indices)
    torch.testing.assert_close(none.gains, ours.gains)
    assert torch.equal(everything.indices, theirs.indices)
    assert torch.isnan(everything.gains).all()


def test_the_readings_differ():
    """Not one program under three names."""
    found = {
        rounds: [
            tuple(select("mi_attention", **case, budget=BUDGET, rounds=rounds).indices.tolist())
            for case in map(case_of, range(8))
        ]
        for rounds in ROUNDS
    }
    assert len({tuple(kept) for kept in found.values()}) == len(ROUNDS) == 3


@pytest.mark.parametrize("rounds", sorted(ROUNDS))
@pytest.mark.parametrize(
    "options", [{}, {"redundancy_aggregation": "global"}, {"self_loop": False}]
)
def test_a_batch_keeps_what_its_samples_keep_alone(rounds, options):
    """On both searches, the streaming one and the one over whole matrices."""
    batch = inputs(3, b=3, n_v=N_V)
    together = select_batch("mi_attention", **batch, budget=BUDGET, rounds=rounds, **options)
    for i, found in enumerate(together):
        alone = {name: x[i] for name, x in batch.items()}
        one = select("mi_attention", **alone, budget=BUDGET, rounds=rounds, **options)
        assert torch.equal(found.indices, one.indices)
        assert len(set(found.indices.tolist())) == BUDGET


def test_an_unknown_reading_is_named():
    with pytest.raises(UnknownNameError, match="fill"):
        select("mi_attention", **case_of(0), budget=3, rounds="both")
