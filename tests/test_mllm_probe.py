"""The probe against full attention matrices, computed where they are small enough to be held."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest
import torch

from mitheory.errors import ParameterError, ShapeError, UnknownNameError
from mitheory.models.mllm.probe import (
    PROBE,
    STATISTICS,
    by_token,
    cls_row,
    probing,
    received,
    register,
    unwindowed,
    window_order,
)
from mitheory.testing import TINY, tiny_inputs, tiny_model

transformers = pytest.importorskip("transformers")

NAMES = [name for name in TINY if name.startswith("Qwen")]
PROMPTS = [[2, "image", 3, "image", 2], [1, "video", 2]]  # 4 × 6, 6 × 4 and 2 frames of 6 × 10


def full(query, key, scaling):
    """The whole matrix (b, heads, n, n)."""
    return (query.double() @ key.double().transpose(-2, -1) * scaling).softmax(-1)


def column_sums(matrix, *, first=0, include_diagonal=False):
    """Column by column and row by row, without the diagonal unless it is asked for."""
    n = matrix.shape[-1]
    columns = []
    for j in range(first, n):
        rows = [i for i in range(first, n) if include_diagonal or i != j]
        columns.append(matrix[..., rows, j].sum(-1))
    return torch.stack(columns, -1)


# --- the statistics ------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("include_diagonal", [False, True])
@pytest.mark.parametrize("size", [1, 3, 7, 256])
def test_column_sums_in_chunks_of_any_size(first, include_diagonal, size):
    rng = torch.Generator().manual_seed(1)
    query, key = torch.randn(2, 2, 3, 7, 4, generator=rng) * 2
    slow = column_sums(full(query, key, 0.5), first=first, include_diagonal=include_diagonal)
    fast = received(query, key, 0.5, first=first, include_diagonal=include_diagonal, size=size)
    assert fast.shape == (2, 3, 7 - first)
    torch.testing.assert_close(fast, slow.float(), atol=2e-6, rtol=0)


def test_column_sums_by_hand():
    """Two patches; the first splits its attention 3 : 1, the second pays itself 4 parts of 5."""
    key = torch.eye(2)[None, None]
    query = torch.tensor([[3.0, 1.0], [1.0, 4.0]]).log()[None, None]
    assert received(query, key, 1.0)[0, 0].tolist() == pytest.approx([1 / 5, 1 / 4])
    assert cls_row(query, key, 1.0)[0, 0].tolist() == pytest.approx([1 / 4])


def test_half_precision_is_summed_in_float32():
    rng = torch.Generator().manual_seed(2)
    query, key = torch.randn(2, 1, 2, 300, 8, generator=rng).bfloat16()
    got = received(query, key, 0.4)
    assert got.dtype == torch.float32
    slow = column_sums(full(query, key, 0.4)).float()
    torch.testing.assert_close(got, slow, atol=2e-6, rtol=2e-6)


def test_no_matrix_of_the_layer_is_ever_held():
    """The largest tensor that is made has `size` rows, not n."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        numel = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                self.numel = max(self.numel, out.untyped_storage().nbytes() // out.element_size())
            return out

    query = key = torch.randn(1, 2, 512, 4)
    with Largest() as seen:
        received(query, key, 0.5, size=16)
    assert seen.numel <= 2 * 16 * 512
    with Largest() as whole:
        received(query, key, 0.5, size=512)
    assert whole.numel == 2 * 512 * 512  # so the measurement sees a matrix when there is one


def test_patches_of_a_token_are_averaged_and_must_fill_it():
    segments = [torch.arange(8.0).view(1, 2, 4), torch.ones(1, 2, 4)]
    assert by_token(segments, 4).tolist() == [[1.5, 1.0], [5.5, 1.0]]
    with pytest.raises(ShapeError, match="multiple of 4, got 6"):
        by_token([torch.ones(1, 2, 6)], 4)


# --- CLIP towers ---------------------------------------------------------------------------


def clip_tower():
    config = transformers.CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=2,
        image_size=16, patch_size=4, initializer_factor=4.0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return transformers.CLIPVisionModel(config).eval()


def clip_layer(tower, index):
    encoder = getattr(tower, "vision_model", tower).encoder
    return encoder.layers[index].self_attn


@pytest.mark.parametrize("index", [0, 1, -2, -1])
def test_clip_towers_equal_the_librarys_own_matrices(index):
    tower = clip_tower()
    pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        plain = tower(pixels).last_hidden_state
        seen = {}
        for statistic in ("cls", "received_behind_cls"):
            with probing(tower, clip_layer(tower, index), statistic) as calls:
                watched = tower(pixels).last_hidden_state
            (seen[statistic],) = calls
            assert torch.equal(watched, plain)
        tower.set_attn_implementation("eager")
        matrix = tower(pixels, output_attentions=True).attentions[index]
    assert matrix.std() > 1e-3, "a flat matrix would test nothing"
    torch.testing.assert_close(seen["cls"], matrix[:, :, 0, 1:], atol=2e-6, rtol=0)
    slow = column_sums(matrix, first=1)
    torch.testing.assert_close(seen["received_behind_cls"], slow, atol=2e-6, rtol=2e-6)


def test_the_towers_attention_function_comes_back_also_after_an_error():
    tower = clip_tower()
    layer = clip_layer(tower, 0)

    def fail(calls):
        assert tower.config._attn_implementation == PROBE
        assert calls == []
        raise RuntimeError("on purpose")

    def watch():
        with probing(tower, layer) as calls:
            fail(calls)

    for implementation in ("eager", "sdpa"):
        tower.set_attn_implementation(implementation)
        with pytest.raises(RuntimeError, match="on purpose"):
            watch()
        assert tower.config._attn_implementation == implementation
    with torch.no_grad(), probing(tower, layer) as calls:
        tower(torch.zeros(1, 3, 16, 16))
    with torch.no_grad():
        tower(torch.zeros(1, 3, 16, 16))
    assert len(calls) == 1, "nothing is watched behind the block"


def test_what_cannot_be_watched_is_refused():
    tower = clip_tower()
    with pytest.raises(UnknownNameError, match="Known: cls, cls_and_keys, received"), \
            probing(tower, clip_layer(tower, 0), "rows"):  # fmt: skip
        pass
    with pytest.raises(ParameterError, match="one of CLIPVisionModel's"), \
            probing(tower, torch.nn.Linear(2, 2)):  # fmt: skip
        pass
    with probing(tower, clip_layer(tower, 0)):
        with pytest.raises(ParameterError, match="twice"), probing(tower, clip_layer(tower, 0)):
            pass
        assert tower.config._attn_implementation == PROBE


def test_only_the_watched_layer_is_computed():
    tower = clip_tower()
    with torch.no_grad(), probing(tower, clip_layer(tower, 1)) as calls:
        tower(torch.zeros(1, 3, 16, 16))
        tower(torch.zeros(1, 3, 16, 16))
    assert len(calls) == 2


# --- towers of the Qwen family -------------------------------------------------------------


def brute_force(model, layer, kind, inputs):
    """Attention matrices (1, heads, n, n) of a layer, one per segment, from the layer's inputs."""
    module = model.model.visual.blocks[layer].attn
    rotate = sys.modules[type(module).__module__].apply_rotary_pos_emb_vision
    matrices = []

    def hook(_module, args, kwargs):
        states = args[0] if args else kwargs["hidden_states"]
        ends = kwargs["cu_seqlens"].tolist()
        qkv = module.qkv(states).reshape(len(states), 3, module.num_heads, -1)
        query, key = rotate(*qkv.unbind(1)[:2], *kwargs["position_embeddings"])
        for a, b in pairwise(ends):
            matrices.append(
                full(
                    query[a:b].transpose(0, 1)[None],
                    key[a:b].transpose(0, 1)[None],
                    module.scaling,
                )
            )

    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        features(model, kind, inputs)
    finally:
        handle.remove()
    return matrices


def features(model, kind, inputs):
    get, pixels = {
        "image": (model.model.get_image_features, "pixel_values"),
        "video": (model.model.get_video_features, "pixel_values_videos"),
    }[kind]
    with torch.no_grad():
        return get(inputs[pixels], inputs[f"{kind}_grid_thw"], return_dict=True)


@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize("name", NAMES)
def test_qwen_towers_equal_brute_force_segment_by_segment(name, kind):
    model = tiny_model(name)
    inputs = tiny_inputs(model, PROMPTS)
    layer = 3  # of full attention in Qwen2.5-VL
    slow = [column_sums(matrix).float() for matrix in brute_force(model, layer, kind, inputs)]
    visual = model.model.visual
    plain = features(model, kind, inputs).pooler_output
    with probing(visual, visual.blocks[layer].attn, "received") as fast:
        watched = features(model, kind, inputs).pooler_output
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))
    sizes = {"image": [24, 24], "video": [60, 60]}[kind]
    assert [segment.shape[-1] for segment in fast] == sizes
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a, b, atol=2e-6, rtol=0)
    assert slow[0].std() > 1e-2, "equal columns would test nothing"


@pytest.mark.parametrize("name", NAMES)
def test_output_attentions_of_qwen_towers_are_no_attention(name):
    """Why there is a probe: no (heads, n, n), and rows that do not sum to one, without a word."""
    model = tiny_model(name)
    model.model.visual.set_attn_implementation("eager")
    inputs = tiny_inputs(model, [[2, "image", 2]])
    with torch.no_grad():
        out = model.model.get_image_features(
            inputs["pixel_values"], inputs["image_grid_thw"], output_attentions=True,
            return_dict=True,
        )  # fmt: skip
    attentions = out.attentions
    assert attentions is None or attentions[0].shape == (24, 32)


def test_windows_are_undone_for_every_token():
    """Scores that say where a token came from are back at home, over images and frames."""
    model = tiny_model("Qwen2_5_VLForConditionalGeneration")
    config = model.config.vision_config
    grid = torch.tensor([[1, 6, 10], [2, 10, 6], [1, 4, 4]])
    order = window_order(grid, config)
    assert order.tolist() != list(range(len(order))), "windows that permute nothing test nothing"
    assert unwindowed(order.float(), grid, config).tolist() == list(range(15 + 30 + 4))


def test_windows_are_undone_as_the_tower_undoes_its_tokens():
    """A token whose pixels move is, as a rule, where the attention received moves most.

    The tower's own features say where a token lies. With the windows left as they are, the largest
    change is found elsewhere for three tokens of four.
    """
    model = tiny_model("Qwen2_5_VLForConditionalGeneration")
    visual, grid = model.model.visual, torch.tensor([[1, 8, 12]])
    rng = torch.Generator().manual_seed(5)
    pixels = torch.randn(96, 96, generator=rng)
    layer = visual.blocks[1].attn

    def pass_(x):
        with torch.no_grad(), probing(visual, layer, "received") as seen:
            out = model.model.get_image_features(x, grid, return_dict=True)
        scores = by_token(seen, 4).mean(0)
        return out.pooler_output[0], unwindowed(scores, grid, visual.config), scores

    before = pass_(pixels)
    hits = [0, 0, 0]
    for token in range(24):
        moved = torch.zeros(3, 24)
        for _ in range(4):
            changed = pixels.clone()
            changed[4 * token : 4 * token + 4] += 0.1 * torch.randn(4, 96, generator=rng)
            after = pass_(changed)
            moved[0] += (after[0] - before[0]).norm(dim=-1)
            moved[1] += (after[1] - before[1]).abs()
            moved[2] += (after[2] - before[2]).abs()
        hits = [hit + (int(x.argmax()) == token) for hit, x in zip(hits, moved, strict=True)]
    assert hits[0] == 24
    assert hits[1] >= 18
    assert hits[2] <= 8


def test_set_on_a_decoder_by_mistake_it_stays_causal():
    model = tiny_model("Qwen2VLForConditionalGeneration")
    inputs = tiny_inputs(model, [[6], [9]])
    inputs = {k: inputs[k] for k in ("input_ids", "attention_mask")}
    with torch.no_grad():
        plain = model(**inputs).logits
        model.set_attn_implementation(register())
        probed = model(**inputs).logits
    assert torch.equal(plain, probed)


def test_statistics_are_named_in_one_table():
    assert set(STATISTICS) == {"cls", "cls_and_keys", "received", "received_behind_cls"}
