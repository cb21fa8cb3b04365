"""Pruning inside the decoder: equal to the plain path, to hidden keys, and to one at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mitheory import select
from mitheory.bundle import Sample
from mitheory.errors import BudgetError, MissingInputError, ParameterError, ShapeError
from mitheory.models.base import Stage, StagedAnswer
from mitheory.models.fruitfly import FruitFlyAdapter, examples
from mitheory.models.fruitfly.network import rotary_angles, visible
from mitheory.models.fruitfly.staged import State, merged, prune
from mitheory.models.fruitfly.vocabulary import encode
from mitheory.selection import Merge, Selection


@pytest.fixture(scope="module")
def fly() -> FruitFlyAdapter:
    return FruitFlyAdapter(batch_size=8)


@pytest.fixture(scope="module")
def samples(fly: FruitFlyAdapter) -> list[Sample]:
    return fly.encode(list(examples("test", limit=12)))


def truths(found: list[StagedAnswer]) -> torch.Tensor:
    return torch.tensor([f.answer.log_prob_truth for f in found])


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    """Equal to 1e-5."""
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def hidden_from(
    fly: FruitFlyAdapter, sample: Sample, kept: torch.Tensor, layer: int
) -> torch.Tensor:
    """log p of the truth if blocks `layer` and later do not look at the tokens not kept."""
    decoder = fly.model.decoder
    tokens = torch.tensor([[encode(sample.tokens)]])
    x = torch.cat([sample.visual[None], decoder.words(tokens)[:, 0]], 1)
    angles = rotary_angles(torch.arange(x.shape[1])[None], decoder.rotary)
    keep = torch.zeros(1, 144, dtype=torch.bool)
    keep[0, kept] = True
    for i, block in enumerate(decoder.blocks):
        mask = visible(144, 1, sample.n_t, x.device, keep if i >= layer else None)
        x = block(x, mask, angles)
    log_p = decoder.head(decoder.norm(x[0, -1])).log_softmax(-1)
    return log_p[encode([sample.answer])[0]]


def test_keeping_everything_is_the_plain_answer(
    fly: FruitFlyAdapter, samples: list[Sample]
) -> None:
    plain = torch.tensor([a.log_prob_truth for a in fly.answer(samples)])
    close(truths(fly.answer_staged(samples, [])), plain)
    stages = [Stage(0, "random", 144), Stage(1, "divprune", 144), Stage(3, "similarity", 1.0)]
    found = fly.answer_staged(samples, stages)
    close(truths(found), plain)
    assert {f.tokens_per_layer for f in found} == {(144, 144, 144, 144)}


def test_a_stage_before_the_first_block_prunes_before_the_decoder(
    fly: FruitFlyAdapter, samples: list[Sample]
) -> None:
    found = fly.answer_staged(samples, [Stage(0, "mi_pruner", 16, {"relevance_weight": 0.5})])
    keep = [
        select("mi_pruner", visual=s.visual, text=s.text, budget=16, relevance_weight=0.5).sorted
        for s in samples
    ]
    assert [f.kept[0].tolist() for f in found] == [k.tolist() for k in keep]
    plain = torch.tensor([a.log_prob_truth for a in fly.answer(samples, keep)])
    close(truths(found), plain)


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_dropping_is_hiding_from_there_on(
    fly: FruitFlyAdapter, samples: list[Sample], layer: int
) -> None:
    """Keys not there and keys masked are the same to every later block."""
    found = fly.answer_staged(samples[:6], [Stage(layer, "random", 12)], seed=3)
    hidden = [hidden_from(fly, s, f.kept[0], layer) for s, f in zip(samples, found, strict=False)]
    close(truths(found), torch.stack(hidden))
    assert (truths(found) - truths(fly.answer_staged(samples[:6], []))).abs().max() > 1e-3


def test_a_batch_is_a_loop(fly: FruitFlyAdapter, samples: list[Sample]) -> None:
    """Also with unequal numbers of words and of kept tokens."""
    budgets = tuple(range(20, 20 + len(samples)))
    stages = [Stage(1, "similarity", budgets), Stage(2, "mi_pruner", 9), Stage(3, "random", 4)]
    seeds = list(range(len(samples)))
    together = fly.answer_staged(samples, stages, seed=seeds)
    for i, sample in enumerate(samples):
        own = [replace(stages[0], budget=budgets[i]), *stages[1:]]
        (alone,) = fly.answer_staged([sample], own, seed=[i])
        for a, b in zip(alone.kept, together[i].kept, strict=True):
            assert a.tolist() == b.tolist()
        assert alone.tokens_per_layer == together[i].tokens_per_layer == (144, budgets[i], 9, 4)
        close(truths([alone]), truths(together[i : i + 1]))


def test_later_stages_choose_among_what_is_left(
    fly: FruitFlyAdapter, samples: list[Sample]
) -> None:
    for found in fly.answer_staged(samples, [Stage(1, "divprune", 40), Stage(3, "random", 10)]):
        first, second = (set(k.tolist()) for k in found.kept)
        assert second < first
        assert (len(first), len(second)) == (40, 10)


@torch.no_grad()
def test_internals_are_the_decoders_own(fly: FruitFlyAdapter, samples: list[Sample]) -> None:
    """Attention equals what `attention` gives; keys and queries make it; states are the residual
    stream of a plain forward, normed by the last norm where asked for."""
    decoder = fly.model.decoder
    for layer in (1, 2, 4):
        plain, normed = (
            fly.internals(samples, layer),
            fly.internals(samples, layer, final_norm=True),
        )
        for sample, whole, own, other in zip(
            samples, fly.attention(samples), plain, normed, strict=True
        ):
            close(own["text_attention"], whole[layer - 1])
            x = torch.cat([sample.visual, sample.text])[None]
            angles = rotary_angles(torch.arange(x.shape[1])[None], decoder.rotary)
            mask = visible(144, 1, sample.n_t, x.device)
            for block in list(decoder.blocks)[:layer]:
                keys = block.keys(x, angles)[0]
                x = block(x, mask, angles)
            for name, states in (("visual", x[0, :144]), ("text", x[0, 144:])):
                torch.testing.assert_close(own[f"llm_{name}_states"], states, atol=1e-4, rtol=1e-4)
                torch.testing.assert_close(
                    other[f"llm_{name}_states"], decoder.norm(states), atol=1e-4, rtol=1e-4
                )
            both = torch.cat([own["llm_visual_keys"], own["llm_text_keys"]], 1)
            torch.testing.assert_close(both, keys, atol=1e-4, rtol=1e-4)


def test_merging_is_the_records_own(samples: list[Sample]) -> None:
    """The batched merge equals `Merge.apply`, sample by sample, by either rule."""
    tokens = torch.stack([s.visual for s in samples[:2]]).double()
    into = torch.full((2, 144), -1)
    into[0, :30] = torch.arange(30) // 10 * 10  # three groups of ten
    into[1, 5] = into[1, 7] = 7
    for rule in ("mean", "add_mean"):
        batched = merged(tokens, into, rule)
        for row in range(2):
            merge = Merge(into[row], rule)
            torch.testing.assert_close(batched[row, merge.centers], merge.apply(tokens[row]))


def test_merged_tokens_stand_at_their_centers() -> None:
    """By hand: of four tokens, 0 and 1 become their mean at 1; 3 stays; 2 is gone."""
    tokens = torch.tensor([[[1.0], [3.0], [5.0], [7.0]]])
    there = torch.ones(1, 4, dtype=torch.bool)
    state = State(tokens, torch.zeros(1, 1, 1), 2 * tokens, there, torch.tensor([[4, 5, 6, 9]]), 10)
    merge = Merge(torch.tensor([1, 1, -1, 3]))
    chosen = Selection(torch.tensor([3, 1]), torch.zeros(2), "x", 2, 4, merge=merge)
    left = prune(state, [chosen])
    assert left.visual.tolist() == [[[2.0], [7.0]]]
    assert left.embedded.tolist() == [[[4.0], [14.0]]]
    assert left.places.tolist() == [[5, 9]]


@pytest.mark.parametrize(
    ("stages", "error", "words"),
    [
        ([Stage(4, "random", 8)], ParameterError, r"0\.\.3"),
        ([Stage(2, "random", 8), Stage(1, "random", 4)], ParameterError, "ascending"),
        ([Stage(2, "random", 8), Stage(2, "random", 4)], ParameterError, "ascending"),
        ([Stage(1, "random", (8, 9))], ShapeError, "12 of them"),
        ([Stage(1, "random", 8), Stage(2, "random", 9)], BudgetError, "budget"),
        ([Stage(1, "random", 8, {"temperature": 1.0})], ParameterError, "temperature"),
        ([Stage(1, "cdpruner", 8, {"relevance_source": "clip"})], MissingInputError, "clip_"),
    ],
)
def test_bad_stages_are_refused(
    fly: FruitFlyAdapter, samples: list[Sample], stages: list[Stage], error: type, words: str
) -> None:
    with pytest.raises(error, match=words):
        fly.answer_staged(samples, stages)


def test_seeds_and_layers_are_checked(fly: FruitFlyAdapter, samples: list[Sample]) -> None:
    with pytest.raises(ShapeError, match="seed"):
        fly.answer_staged(samples, [Stage(1, "random", 4)], seed=[1, 2])
    with pytest.raises(ParameterError, match=r"1\.\.4"):
        fly.internals(samples, 0)
