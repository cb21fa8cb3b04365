"""The shipped checkpoints behind the adapter: pruned against plain paths, bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mitheory.bundle import Sample
from mitheory.errors import ParameterError, ShapeError
from mitheory.models.fruitfly import FruitFlyAdapter, examples
from mitheory.models.fruitfly.checkpoint import NAMES, load, save
from mitheory.models.fruitfly.network import FruitFly, FruitFlyConfig
from mitheory.models.fruitfly.vocabulary import WORDS, encode


@pytest.fixture(scope="module")
def fly() -> FruitFlyAdapter:
    return FruitFlyAdapter(batch_size=32)


@pytest.fixture(scope="module")
def samples(fly: FruitFlyAdapter) -> list[Sample]:
    return fly.encode(list(examples("test", limit=24)))


def log_probs(fly: FruitFlyAdapter, samples: list[Sample], keep=None, **options):  # type: ignore[no-untyped-def]
    """log p of the true answers."""
    return torch.tensor([a.log_prob_truth for a in fly.answer(samples, keep, **options)])


@torch.no_grad()
def test_keep_all_equals_the_plain_forward(fly: FruitFlyAdapter, samples: list[Sample]) -> None:
    """The pruned path with every token kept is the model's own forward, to 1e-5."""
    images = torch.stack([s.image for s in samples]).permute(0, 3, 1, 2).float() / 255
    kept = log_probs(fly, samples, [torch.arange(144)] * len(samples))
    for i, sample in enumerate(samples):
        tokens = torch.tensor([[encode(sample.tokens)]])
        plain = fly.model(images[i : i + 1], tokens)[0, 0, -1].log_softmax(-1)
        truth = plain[encode([sample.answer])[0]]
        torch.testing.assert_close(kept[i], truth, atol=1e-5, rtol=1e-5)


def test_dropping_equals_masking_through_the_adapter(
    fly: FruitFlyAdapter, samples: list[Sample]
) -> None:
    """A kept set alone, and the same set padded beside larger ones in the batch, answer alike."""
    keep = [torch.randperm(144)[: 1 + 7 * i] for i in range(6)]
    together = log_probs(fly, samples[:6], keep)
    alone = torch.stack([log_probs(fly, [s], [k])[0] for s, k in zip(samples, keep, strict=False)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_order_of_choice_does_not_matter(fly: FruitFlyAdapter, samples: list[Sample]) -> None:
    """Kept tokens are fed in raster order, whatever the order in which they were chosen."""
    chosen = [torch.randperm(144)[:20] for _ in samples]
    torch.testing.assert_close(
        log_probs(fly, samples, chosen), log_probs(fly, samples, [k.flip(0) for k in chosen])
    )


def test_positions_are_a_real_choice(fly: FruitFlyAdapter, samples: list[Sample]) -> None:
    """Compacted ids change answers when tokens are dropped, and nothing when all are kept."""
    everything = [torch.arange(144)] * len(samples)
    torch.testing.assert_close(
        log_probs(fly, samples, everything),
        log_probs(fly, samples, everything, positions="compacted"),
    )
    some = [torch.arange(0, 144, 3)] * len(samples)
    kept = log_probs(fly, samples, some)
    assert (kept - log_probs(fly, samples, some, positions="compacted")).abs().max() > 1e-3


def test_no_token_is_the_question_alone(fly: FruitFlyAdapter, samples: list[Sample]) -> None:
    """An empty kept set is legal, finite, and the same for every image."""
    question = samples[0]
    others = [
        replace(question, visual=s.visual, image_id=s.image_id)
        for s in samples
        if s.image_id != question.image_id
    ]
    blind = log_probs(
        fly, [question, *others], [torch.empty(0, dtype=torch.long)] * (1 + len(others))
    )
    assert torch.isfinite(blind).all()
    torch.testing.assert_close(blind, blind[:1].expand(len(blind)))


def test_log_probabilities_are_of_the_answer(fly: FruitFlyAdapter, samples: list[Sample]) -> None:
    """The answer is the most probable word: at least as probable as the truth, equal when right."""
    for sample, answer in zip(samples, fly.answer(samples), strict=True):
        assert answer.text in WORDS
        assert answer.log_prob_truth <= answer.log_prob <= 0
        assert (answer.text == sample.answer) == (answer.log_prob == answer.log_prob_truth)


def test_questions_of_one_image_share_its_tensors(samples: list[Sample]) -> None:
    """The encoder runs once per image."""
    same = [s for s in samples if s.image_id == samples[0].image_id]
    assert len(same) > 1
    assert all(torch.equal(s.visual, same[0].visual) for s in same)


def test_text_is_the_word_table(fly: FruitFlyAdapter, samples: list[Sample]) -> None:
    """T holds the decoder's own embeddings of the question's words."""
    ids = torch.tensor(encode(samples[0].tokens))
    assert torch.equal(samples[0].text, fly.model.decoder.words.weight[ids])


@pytest.mark.parametrize("name", NAMES)
def test_checkpoint_is_small_and_describes_itself(name: str) -> None:
    """At most 10 MB, with a card that tells how it was trained and how it does on validation."""
    from mitheory.models.fruitfly.checkpoint import path_of

    assert path_of(name).stat().st_size <= 10_000_000
    _, card = load(name)
    assert card["stages"][-1] == name
    assert 0.5 < card["validation"]["color"] <= 1


def test_save_and_load_round_trip(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Weights come back rounded to half precision, with configuration and card."""
    config = FruitFlyConfig(
        encoder_width=8, encoder_layers=1, encoder_heads=2, width=8, layers=1, heads=2, rotary=2
    )
    model = FruitFly(config)
    save(model, tmp_path / "x.safetensors", {"stages": ["x"]})
    back, card = load(tmp_path / "x.safetensors")
    assert back.config == config
    assert card == {"stages": ["x"]}
    for a, b in zip(model.parameters(), back.parameters(), strict=True):
        assert torch.equal(a.half().float(), b)


def test_bad_input_is_named(fly: FruitFlyAdapter, samples: list[Sample]) -> None:
    """What came and what was expected, before anything is computed."""
    with pytest.raises(ShapeError, match="one index tensor per sample"):
        fly.answer(samples, [torch.arange(3)])
    with pytest.raises(ShapeError, match=r"distinct indices in \[0, 144\)"):
        fly.answer(samples[:1], [torch.tensor([3, 3])])
    with pytest.raises(ShapeError, match=r"\[0, 144\)"):
        fly.answer(samples[:1], [torch.tensor([144])])
    with pytest.raises(ParameterError, match="'kept', 'compacted'"):
        fly.answer(samples[:1], positions="original")  # type: ignore[arg-type]
    example = next(examples("test", limit=1))
    with pytest.raises(ShapeError, match=r"\(48, 48, 3\) uint8"):
        fly.encode([replace(example, image=np.zeros((8, 8, 3), np.uint8))])
    with pytest.raises(ParameterError, match="zebra"):
        fly.encode([replace(example, question="is there a zebra ?")])
    with pytest.raises(ParameterError, match="fruitfly-contrastive"):
        FruitFlyAdapter("no-such-checkpoint")
    with pytest.raises(ParameterError, match="device"):
        FruitFlyAdapter(device="warp")
