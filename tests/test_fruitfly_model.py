"""The network and the training loop, on small untrained weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mitheory.models.fruitfly.network import (
    FruitFly,
    FruitFlyConfig,
    packed_mask,
    rotary_angles,
    rotate,
)
from mitheory.models.fruitfly.training import loop
from mitheory.models.fruitfly.training.alignment import contrastive_loss
from mitheory.models.fruitfly.training.batches import IGNORE, batch
from mitheory.models.fruitfly.training.loop import Stage, load_modules, schedule, train
from mitheory.models.fruitfly.training.symbolic import WEIGHTS, answer_loss, symbolic_scenes

SMALL = FruitFlyConfig(
    encoder_width=16, encoder_layers=1, encoder_heads=2, width=16, layers=2, heads=2, rotary=4
)


@pytest.fixture(scope="module")
def model() -> FruitFly:
    torch.manual_seed(0)
    return FruitFly(SMALL).eval()


@pytest.fixture(scope="module")
def data():  # type: ignore[no-untyped-def]
    return batch("train", 2, 3, np.random.default_rng(0), WEIGHTS)


def test_packed_mask_by_hand() -> None:
    """Two visual tokens, two questions of two words: causal prefix, each question sees itself."""
    expected = [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 1, 0, 0, 1, 1],
    ]
    assert packed_mask(2, 2, 2, torch.device("cpu")).int().tolist() == expected


def test_rotary_products_depend_on_the_difference_of_positions() -> None:
    """<R_m q, R_n k> = <R_{m+s} q, R_{n+s} k>, and unrotated dimensions pass unchanged."""
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64)

    def product(m: int, n: int) -> Tensor:
        a = rotate(q, rotary_angles(torch.tensor([[m]]), 4))
        b = rotate(k, rotary_angles(torch.tensor([[n]]), 4))
        return (a * b).sum()

    torch.testing.assert_close(product(3, 9), product(13, 19), atol=1e-5, rtol=0)
    assert abs(float(product(3, 9) - product(3, 10))) > 1e-3
    turned = rotate(q, rotary_angles(torch.tensor([[7]]), 4))
    torch.testing.assert_close(turned[..., 4:], q[..., 4:])


@torch.no_grad()
def test_packing_equals_one_question_at_a_time(model: FruitFly, data) -> None:  # type: ignore[no-untyped-def]
    """Questions behind one visual prefix do not see each other."""
    packed = model(data.images, data.tokens)
    for j in range(data.tokens.shape[1]):
        alone = model(data.images, data.tokens[:, j : j + 1])
        torch.testing.assert_close(packed[:, j : j + 1], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_decoder_is_causal(model: FruitFly, data) -> None:  # type: ignore[no-untyped-def]
    """Changing the last word of a question changes nothing before it."""
    changed = data.tokens.clone()
    changed[..., -1] = 5
    before, after = model(data.images, data.tokens), model(data.images, changed)
    torch.testing.assert_close(before[..., :-1, :], after[..., :-1, :])
    assert (before[..., -1, :] != after[..., -1, :]).any()


@torch.no_grad()
def test_attention_is_the_attention_of_the_forward(model: FruitFly, data) -> None:  # type: ignore[no-untyped-def]
    """Rows sum to one, and mixing the values with it gives what the block computed."""
    features, attention, keys = model.encoder.with_attention(data.images)
    torch.testing.assert_close(features, model.encoder(data.images))
    torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:-1]))
    block, x = model.encoder.blocks[0], model.encoder.stem(data.images)
    _, _, v = block._qkv(x, None)
    x = x + block.out((attention @ v).transpose(1, 2).flatten(2))
    x = x + block.down(nn.functional.gelu(block.up(block.norm_mlp(x)), approximate="tanh"))
    torch.testing.assert_close(model.encoder.norm(x), features, atol=1e-5, rtol=1e-5)
    _, per_head, _ = block._qkv(model.encoder.stem(data.images), None)
    torch.testing.assert_close(keys, per_head.mean(1))


@torch.no_grad()
@pytest.mark.parametrize("is_masked", [False, True])
def test_the_answer_alone_is_a_row_of_the_forward(model: FruitFly, data, is_masked: bool) -> None:  # type: ignore[no-untyped-def]
    """`Decoder.after` gives the logits of `forward` behind one word of each question.

    Words and masks differ by question; what is compared are logits of two questions at four places.
    """
    visual = model.visual_tokens(data.images)
    tokens = data.tokens[:, 0]
    n, length = visual.shape[1], tokens.shape[1]
    positions = torch.arange(n + length)[None].repeat(len(tokens), 1)
    positions[1] *= 2
    mask = torch.ones(len(tokens), n, dtype=torch.bool)
    mask[0, ::3] = False
    shown = mask if is_masked else None
    full = model.decoder(visual, positions, tokens[:, None], shown)[:, 0]
    for last in (torch.tensor([0, length - 1]), torch.tensor([5, 2])):
        own = model.decoder.after(visual, positions, tokens, last, shown)
        torch.testing.assert_close(own, full[torch.arange(2), last], rtol=1e-5, atol=1e-5)


def test_dropping_equals_masking(model: FruitFly, data) -> None:  # type: ignore[no-untyped-def]
    """With kept position ids, removing visual tokens equals hiding them from every query: exact for
    causal attention, layer by layer."""
    visual = model.visual_tokens(data.images)
    ids = torch.arange(144 + data.tokens.shape[-1])[None].expand(2, -1)
    keep = torch.tensor([3, 17, 60, 61, 140])
    mask = torch.zeros(2, 144, dtype=torch.bool)
    mask[:, keep] = True
    masked = model.decoder(visual, ids, data.tokens, mask)
    dropped = model.decoder(
        visual[:, keep], torch.cat([ids[:, keep], ids[:, 144:]], 1), data.tokens
    )
    torch.testing.assert_close(masked, dropped, atol=1e-5, rtol=1e-5)
    everything = model.decoder(visual, ids, data.tokens, torch.ones(2, 144, dtype=torch.bool))
    torch.testing.assert_close(everything, model(data.images, data.tokens))


def test_targets_stand_at_the_last_word_only(data) -> None:  # type: ignore[no-untyped-def]
    """One answer per question, at the word after which it is read."""
    assert ((data.targets != IGNORE).sum(-1) == 1).all()
    lengths = (data.tokens != 0).sum(-1) - 1
    assert ((data.targets != IGNORE).int().argmax(-1) == lengths).all()


def test_symbolic_tokens_hold_every_patch_of_the_things() -> None:
    """The decoder's first scenes leave out background only: no thing may be invisible."""
    scenes, labels, patches = symbolic_scenes(4, np.random.default_rng(0), 0.2)
    for scene, label, patch in zip(scenes, labels, patches, strict=True):
        assert set(np.flatnonzero(scene.patch_digit >= 0)) <= set(patch.tolist())
        assert int(label[:, 2].sum()) == len(scene.things)
        assert (patch.diff() > 0).all()


def test_schedule_by_hand() -> None:
    """Warm-up to 1, held, then a line to 2%."""
    stage = Stage("x", {}, lambda r: torch.zeros(()), dict, 100, 1.0, warmup=10, hold=0.5)
    assert schedule(0, stage) == pytest.approx(0.1)
    assert schedule(30, stage) == pytest.approx(1.0)
    assert schedule(75, stage) == pytest.approx(0.02 + 0.98 * 0.5)
    assert schedule(100, stage) == pytest.approx(0.02)


class Interrupted(Exception):
    """Raised in the middle of a stage."""


def _toy(steps: int, fail_at: int | None = None) -> Stage:
    """A three-parameter regression as a stage."""
    torch.manual_seed(1)
    layer = nn.Linear(3, 1)
    calls = 0

    def loss(rng: np.random.Generator) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == fail_at:
            raise Interrupted
        x = torch.from_numpy(rng.standard_normal((8, 3), np.float32))
        return (layer(x) - x.sum(1, keepdim=True)).square().mean()

    return Stage("toy", {"layer": layer}, loss, dict, steps, 0.05, warmup=2)


def test_interrupted_training_ends_as_if_never_interrupted(tmp_path: Path) -> None:
    """Killed between two resume points and started again, a stage ends with the same weights to the
    bit; a finished stage is not run again."""
    whole, broken = _toy(12), _toy(12, fail_at=8)
    train(whole, tmp_path / "whole", seed=0, every=3, log=False)
    with pytest.raises(Interrupted):
        train(broken, tmp_path / "broken", seed=0, every=3, log=False)
    resumed = _toy(12)
    train(resumed, tmp_path / "broken", seed=0, every=3, log=False)
    for a, b in zip(
        whole.modules["layer"].parameters(), resumed.modules["layer"].parameters(), strict=True
    ):
        assert torch.equal(a, b)
    again = _toy(12, fail_at=1)
    train(again, tmp_path / "whole", seed=0, log=False)  # would raise if it took a step
    assert torch.equal(again.modules["layer"].weight, whole.modules["layer"].weight)
    for name in ("whole", "broken"):
        left = {p.name for p in (tmp_path / name).iterdir()}
        assert left == {"toy.safetensors", "log.jsonl"}


def test_the_log_of_an_interrupted_training_has_every_row_once(tmp_path: Path, monkeypatch) -> None:
    """Killed after a row is written and before its resume point is, the steps are run again: a log
    that is only added to would hold the row twice."""

    def fail(*_: object) -> None:
        raise Interrupted

    other = {"stage": "before", "step": 99, "loss": 0.5}
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
        loop.write_log(tmp_path / name / "log.jsonl", [other])
    train(_toy(9), tmp_path / "whole", seed=0, every=3, log=False)
    with pytest.raises(Interrupted):
        train(_toy(9, fail_at=4), tmp_path / "broken", seed=0, every=3, log=False)
    with monkeypatch.context() as patched:
        patched.setattr(loop, "_save", fail)
        with pytest.raises(Interrupted):
            train(_toy(9), tmp_path / "broken", seed=0, every=3, log=False)
    assert [r["step"] for r in loop.read_log(tmp_path / "broken" / "log.jsonl")] == [99, 3, 6]
    train(_toy(9), tmp_path / "broken", seed=0, every=3, log=False)
    whole, broken = (loop.read_log(tmp_path / name / "log.jsonl") for name in ("whole", "broken"))
    assert [{**r, "seconds": 0} for r in broken] == [{**r, "seconds": 0} for r in whole]
    assert [(r["stage"], r["step"]) for r in broken] == [
        ("before", 99), ("toy", 3), ("toy", 6), ("toy", 9),
    ]  # fmt: skip


def test_other_seed_gives_other_weights(tmp_path: Path) -> None:
    """The seed is honored."""
    a, b = _toy(4), _toy(4)
    train(a, tmp_path / "a", seed=0, log=False)
    train(b, tmp_path / "b", seed=1, log=False)
    assert not torch.equal(a.modules["layer"].weight, b.modules["layer"].weight)


def test_frozen_modules_do_not_move(tmp_path: Path) -> None:
    """A learning-rate scale of zero freezes a module: LLaVA's first stage needs it."""
    stage = _toy(4)
    frozen = nn.Linear(2, 2)
    before = frozen.weight.clone()
    stage = Stage(
        **{**vars(stage), "modules": {**stage.modules, "frozen": frozen}, "scales": {"frozen": 0.0}}
    )
    train(stage, tmp_path, seed=0, log=False)
    assert torch.equal(frozen.weight, before)
    fresh = nn.Linear(2, 2)
    load_modules({"frozen": fresh}, tmp_path / "toy.safetensors")
    assert torch.equal(fresh.weight, before)


def test_losses_fall_on_one_batch() -> None:
    """A few steps on one batch reduce the language and the contrastive loss: gradients reach V."""
    torch.manual_seed(0)
    model = FruitFly(SMALL)
    data = batch("train", 2, 3, np.random.default_rng(0), WEIGHTS)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    history = []
    for _ in range(12):
        loss = answer_loss(model(data.images, data.tokens), data.targets) + contrastive_loss(
            model, data
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.8 * history[0]
    assert all(p.grad is not None for p in model.projector.parameters())
