"""Pruning the prompt: the transposed PMI, and a model that is asked with fewer words."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mitheory.errors import BudgetError, DTypeError, ParameterError, ShapeError
from mitheory.models.fruitfly import FruitFlyAdapter, examples
from mitheory.selection import select, select_words

SEEDS = st.integers(0, 2**20)


def pair(seed, n_v=9, n_t=6, d=5):
    rng = torch.Generator().manual_seed(seed)
    return (torch.randn(n, d, generator=rng, dtype=torch.float64) for n in (n_v, n_t))


def literal(visual, text, aggregation):
    """The score of every word from p(v | t), one number at a time."""
    v, t = (x / x.norm(dim=-1, keepdim=True) for x in (visual, text))
    given = [torch.softmax(v @ word / 0.1, 0) for word in t]  # (n_v,) for each word
    whole = sum(given) / len(given)
    scores = []
    for p in given:
        pmi = [float((p[i] / whole[i]).log()) for i in range(len(v))]
        if aggregation == "max":
            scores.append(max(pmi))
        else:
            scores.append(sum(float(p[i]) * pmi[i] for i in range(len(v))))
    return scores


@given(SEEDS, st.sampled_from(["max", "kl"]))
def test_words_are_ranked_by_what_they_tell_of_the_patches(seed, aggregation):
    """PMI of p(v | t), a softmax over vision, against its mean over words."""
    visual, text = pair(seed)
    found = select_words(visual, text, budget=6, aggregation=aggregation)
    scores = literal(visual, text, aggregation)
    assert found.gains.tolist() == pytest.approx(sorted(scores, reverse=True), abs=1e-9)
    assert [scores[j] for j in found.indices.tolist()] == pytest.approx(found.gains.tolist())


@given(SEEDS, st.sampled_from([0.25, 0.5, 1.0]))
def test_it_is_mi_pruner_with_the_roles_exchanged(seed, weight):
    visual, text = pair(seed)
    ours = select_words(visual, text, budget=4, relevance_weight=weight)
    theirs = select("mi_pruner", visual=text, text=visual, budget=4, relevance_weight=weight)
    assert torch.equal(ours.indices, theirs.indices)
    torch.testing.assert_close(ours.gains, theirs.gains)


@given(SEEDS, st.integers(2, 6), st.sampled_from([0.5, 1.0]))
def test_protected_words_stay_and_the_rest_follow_by_score(seed, budget, weight):
    visual, text = pair(seed)
    protected = torch.tensor([False, True, False, False, False, True])
    found = select_words(visual, text, budget=budget, protected=protected, relevance_weight=weight)
    assert found.indices[:2].tolist() == [1, 5]
    assert found.gains[:2].isnan().all()
    assert len(set(found.indices.tolist())) == budget
    if weight == 1.0:
        scores = literal(visual, text, "max")
        rest = sorted((j for j in range(6) if j not in (1, 5)), key=lambda j: -scores[j])
        assert found.indices[2:].tolist() == rest[: budget - 2]


def test_what_cannot_be_is_said():
    visual, text = pair(0)
    with pytest.raises(BudgetError, match="2 protected"):
        select_words(visual, text, budget=1, protected=torch.tensor([True] * 2 + [False] * 4))
    with pytest.raises(ShapeError, match=r"protected: expected \(6,\)"):
        select_words(visual, text, budget=1, protected=torch.tensor([True]))
    with pytest.raises(DTypeError, match="boolean"):
        select_words(visual, text, budget=1, protected=torch.zeros(6))
    with pytest.raises(ParameterError, match="places in an image"):
        select_words(visual, text, budget=1, prior="center_biased")
    with pytest.raises(ShapeError, match="visual, text"):
        select_words(visual[None], text, budget=1)


# --- the fruit-fly with fewer words ---------------------------------------------------------------


@pytest.fixture(scope="module")
def fly():
    return FruitFlyAdapter(batch_size=16)


@pytest.fixture(scope="module")
def samples(fly):
    return fly.encode(list(examples("test", limit=16)))


def truths(answers):
    return torch.tensor([a.log_prob_truth for a in answers])


def test_all_words_are_the_whole_prompt(fly, samples):
    whole = [torch.arange(s.n_t) for s in samples]
    assert torch.equal(truths(fly.answer(samples, words=whole)), truths(fly.answer(samples)))


def test_compacted_words_are_the_shorter_prompt(fly, samples):
    """With ids compacted, dropping words is asking with the words that are left."""
    for sample in samples:
        places = torch.arange(sample.n_t)[sample.n_t % 2 :: 2]
        places = torch.cat([places[places < sample.n_t - 1], torch.tensor([sample.n_t - 1])])
        shorter = replace(
            sample, tokens=tuple(sample.tokens[i] for i in places), text=sample.text[places]
        )
        keep = [torch.arange(0, 144, 3)]
        ours = fly.answer([sample], keep, words=[places], positions="compacted")
        plain = fly.answer([shorter], keep, positions="compacted")
        torch.testing.assert_close(truths(ours), truths(plain), atol=1e-5, rtol=1e-5)


def test_kept_positions_are_another_choice_than_compacted(fly, samples):
    """Dropping a word from the front moves all others only where ids are compacted."""
    words = [torch.arange(1, s.n_t) for s in samples]
    kept = truths(fly.answer(samples, words=words))
    compacted = truths(fly.answer(samples, words=words, positions="compacted"))
    assert (kept - compacted).abs().max() > 1e-3
    rotated = [torch.arange(s.n_t) for s in samples]
    assert (kept - truths(fly.answer(samples, words=rotated))).abs().max() > 1e-3


def test_no_answer_depends_on_its_neighbors_or_on_the_order_of_places(fly, samples):
    words = [torch.arange(i % 3, s.n_t) for i, s in enumerate(samples)]
    together = truths(fly.answer(samples, words=words))
    flipped = truths(fly.answer(samples, words=[w.flip(0) for w in words]))
    assert torch.equal(together, flipped)
    pairs = zip(samples, words, strict=True)
    alone = torch.cat([truths(fly.answer([s], words=[w])) for s, w in pairs])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_the_word_behind_which_the_answer_is_read_must_stay(fly, samples):
    n = samples[0].n_t
    with pytest.raises(ParameterError, match="behind which the answer is read"):
        fly.answer(samples[:1], words=[torch.arange(n - 1)])
    with pytest.raises(ParameterError, match="behind which"):
        fly.answer(samples[:1], words=[torch.empty(0, dtype=torch.long)])
    with pytest.raises(ShapeError, match="words: expected one index tensor"):
        fly.answer(samples[:2], words=[torch.arange(n)])
    with pytest.raises(ShapeError, match="distinct"):
        fly.answer(samples[:1], words=[torch.tensor([0, 0, n - 1])])
