"""What is special about the Qwen-VL family: grids, three axes of positions, windows, deepstack."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from mllm_cases import (
    CASES,
    QWEN,
    encoded_of,
    greedy_twin,
    masked_logits,
    model_of,
    pruned_logits,
    random_keep,
)

from mitheory.errors import MissingInputError, ParameterError, ShapeError
from mitheory.models.mllm.cutting import kept_columns, shown
from mitheory.models.mllm.options import Options
from mitheory.models.mllm.registry import family_of
from mitheory.testing import tiny_inputs

every_class = pytest.mark.parametrize("name", QWEN)
every_mixture = pytest.mark.parametrize(
    "name", [f"{name}, {what}" for name in QWEN for what in ("batch", "videos", "mixed")]
)


def logits(family, pruned, **changes):
    kwargs = {k: v for k, v in (pruned | changes).items() if v is not None}
    with torch.no_grad():
        return family.model(**kwargs).logits


# --- positions -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["qwen2", "qwen2.5", "qwen3"])
def test_positions_by_hand(name):
    """Two words, a mark, 2 × 3 tokens, a mark, a word; tokens 1 and 5 kept.

    The image begins at 3 on all axes and the text behind it at 3 + max(2, 3) = 6.
    """
    model = model_of(QWEN[name])
    family = family_of(model)
    encoded = family.encode(tiny_inputs(model, [(2, "image", 1)]))
    assert encoded.grid(0) == (2, 3)
    assert encoded.columns(0).tolist() == [3, 4, 5, 6, 7, 8]
    pruned = family.prune(encoded, [torch.tensor([5, 1])])
    assert pruned["position_ids"][:, 0].tolist() == [
        [0, 1, 2, 3, 4, 5, 6],  # text positions, without gaps
        [0, 1, 2, 3, 3, 6, 7],  # time
        [0, 1, 2, 3, 4, 6, 7],  # row
        [0, 1, 2, 4, 5, 6, 7],  # column
    ]


@every_mixture
def test_full_positions_are_the_models_own(name):
    family, inputs, encoded = encoded_of(name)
    names = ("image_grid_thw", "video_grid_thw", "second_per_grid_ts")
    own, _ = family.model.model.get_rope_index(
        inputs["input_ids"],
        mm_token_type_ids=inputs["mm_token_type_ids"],
        attention_mask=inputs["attention_mask"],
        **{k: inputs[k] for k in names if k in inputs},
    )
    assert torch.equal(encoded.position_ids[1:], own)


def test_the_time_between_frames_counts():
    """Qwen2.5-VL: two grids 1 s apart are 2 positions apart, with 3 s 6."""
    model = model_of(QWEN["qwen2.5"])
    family = family_of(model)
    inputs = tiny_inputs(model, [(1, "video", 1)])
    for seconds, step in ((1.0, 2), (3.0, 6)):
        encoded = family.encode(inputs | {"second_per_grid_ts": torch.tensor([seconds])})
        time = encoded.position_ids[1, 0, encoded.columns(0)]
        assert (time[-1] - time[0]).item() == step


@pytest.mark.parametrize("name", ["qwen2", "qwen2.5", "qwen3"])
def test_compacted_positions_by_hand(name):
    """Two words, a mark, 2 × 3 tokens, a mark, a word; tokens 1 and 5 kept: row 0, column 1, and
    row 1, column 2. Two rows and the columns 1 and 2 are left: the text goes on at 3 + 2 = 5."""
    model = model_of(QWEN[name])
    encoded = family_of(model).encode(tiny_inputs(model, [(2, "image", 1)]))
    pruned = family_of(model).prune(encoded, [torch.tensor([5, 1])], positions="compacted")
    assert pruned["position_ids"][:, 0].tolist() == [
        [0, 1, 2, 3, 4, 5, 6],  # text positions, without gaps
        [0, 1, 2, 3, 3, 5, 6],  # time
        [0, 1, 2, 3, 4, 5, 6],  # row
        [0, 1, 2, 3, 4, 5, 6],  # column
    ]


@every_mixture
def test_keeping_all_compacts_nothing_and_keeping_none_leaves_text(name):
    """Whatever the images, videos and padding: full positions, and those of words alone."""
    family, _, encoded = encoded_of(name)
    full = family.prune(encoded, positions="kept")
    assert torch.equal(
        family.prune(encoded, positions="compacted")["position_ids"], full["position_ids"]
    )
    nothing = family.prune(encoded, [torch.empty(0)] * len(encoded), positions="compacted")
    mask = nothing["attention_mask"]
    counted = ((mask.cumsum(-1) - 1) * mask).expand(4, -1, -1)
    assert torch.equal(nothing["position_ids"], counted)


@every_class
@pytest.mark.parametrize("medium", ["image", "video"])
def test_what_is_left_of_a_grid_has_the_positions_of_a_smaller_one(name, medium):
    """Column 1 of 3 dropped, of a video its first frame too: `get_rope_index` of a 2 × 2 image, or
    video of one frame less, which stands in a prompt that is as much shorter."""
    model = model_of(QWEN[name])
    family = family_of(model)
    inputs = tiny_inputs(model, [(2, medium, 3), (5,)])
    encoded = family.encode(inputs)
    coords = encoded.coords(0)
    first = 1 if medium == "video" else 0
    keep = ((coords[:, 4] != 1) & (coords[:, 2] >= first)).nonzero()[:, 0]
    pruned = family.prune(encoded, [keep, torch.empty(0)], positions="compacted")
    grid = inputs[f"{medium}_grid_thw"].clone()
    assert (grid[0, 1:] // family.merge).tolist() == [2, 3]
    grid[0] -= torch.tensor([first, 0, family.merge])
    token, ids = family.placeholder(medium), pruned["input_ids"]
    if medium == "video" and name.startswith("qwen3"):  # its frames stand apart: one is empty
        runs = ids[0].eq(token).long().diff().eq(1).sum()
        assert runs == grid[0, 0]
    own, _ = model.model.get_rope_index(
        ids,
        mm_token_type_ids=ids.eq(token) * (1 if medium == "image" else 2),
        attention_mask=pruned["attention_mask"],
        **{f"{medium}_grid_thw": grid},
        **{k: inputs[k] for k in ("second_per_grid_ts",) if k in inputs},
    )
    assert torch.equal(pruned["position_ids"][1:], own)


@every_class
def test_generating_goes_on_from_compacted_positions(name):
    """Against decoding step by step; other than with the positions that were kept."""
    family, _, encoded = encoded_of(f"{name}, mixed")
    keep = random_keep(encoded)
    how = {"max_new_tokens": 4, "do_sample": False}
    pruned = family.prune(encoded, keep, positions="compacted")
    said = family.model.generate(**pruned, **how)[:, -4:].tolist()
    assert said == greedy_twin(family, compacted_of(family, encoded, keep), keep, 4).tolist()
    again = family.prune(encoded, keep, positions="compacted")
    assert family.model.generate(**again, **how, use_cache=False)[:, -4:].tolist() == said
    apart = logits(family, family.prune(encoded, keep)) - logits(family, pruned)
    assert apart[:, -1].abs().max() > 0.1


def compacted_of(family, encoded, keep):
    """The encoding with the compacted positions at the columns that are shown."""
    columns = kept_columns(encoded, shown(encoded, keep))
    moved = family.prune(encoded, keep, positions="compacted")
    positions = encoded.position_ids.clone()
    for i, own in enumerate(columns):
        positions[:, i, own] = moved["position_ids"][:, i, moved["attention_mask"][i].bool()]
    return replace(encoded, position_ids=positions)


# --- errors that would be silent ---------------------------------------------------------------


@every_class
def test_a_gap_in_the_row_of_text_positions_would_part_the_prompt(name):
    """Without a mask, the model takes a gap in that row for the border between two prompts."""
    family, _, encoded = encoded_of(f"{name}, one")
    pruned = family.prune(encoded, random_keep(encoded))
    right = logits(family, pruned)
    bare = {"attention_mask": None, "use_cache": False}
    torch.testing.assert_close(logits(family, pruned, **bare), right, atol=2e-5, rtol=0)
    gapped = pruned["position_ids"].clone()
    gapped[0] = gapped[3].cummax(-1).values * 2
    wrong = logits(family, pruned, **bare, position_ids=gapped)
    assert (wrong - right)[0, -1].abs().max() > 0.1


@every_class
def test_without_positions_the_model_runs_and_is_wrong(name):
    """Why `prune` always gives them."""
    family, _, encoded = encoded_of(f"{name}, one")
    pruned = family.prune(encoded, random_keep(encoded))
    wrong = logits(family, pruned, position_ids=None)
    assert (wrong - logits(family, pruned))[0, -1].abs().max() > 0.1


@every_class
def test_what_the_model_remembers_of_another_prompt_does_not_matter(name):
    """Its `rope_deltas` are those of the call before; `generate` goes on from ours."""
    family, _, encoded = encoded_of(f"{name}, batch")
    keep = random_keep(encoded)

    def said():
        pruned = family.prune(encoded, keep)
        return family.model.generate(**pruned, max_new_tokens=4, do_sample=False)[:, -4:].tolist()

    family.model.model.rope_deltas = None
    fresh = said()
    for deltas in (-5, 40):
        family.model.model.rope_deltas = torch.full((2, 1), deltas)
        assert said() == fresh
    family.model.model.rope_deltas = None


@pytest.mark.parametrize("name", ["qwen3", "qwen3 moe"])
def test_deepstack_is_cut_with_the_tokens(name):
    family, _, encoded = encoded_of(f"{name}, mixed")
    keep = random_keep(encoded)
    pruned = family.prune(encoded, keep)
    right = logits(family, pruned)
    assert len(encoded.features["image"].deep) == 2

    forgotten = family.prune(encoded, keep)
    for output in forgotten["mm_encoder_outputs"].values():
        output["deepstack_features"] = [
            [torch.zeros_like(rows) for rows in layer] for layer in output["deepstack_features"]
        ]
    assert (logits(family, forgotten) - right)[:, -1].abs().max() > 0.1

    uncut = family.prune(encoded, keep)
    for modality, output in uncut["mm_encoder_outputs"].items():
        output["deepstack_features"] = [list(x) for x in encoded.features[modality].deep]
    with pytest.raises((RuntimeError, IndexError, ValueError)):
        logits(family, uncut)


@every_class
def test_a_prompt_without_an_image_beside_one_with(name):
    model = model_of(QWEN[name])
    family = family_of(model)
    encoded = family.encode(tiny_inputs(model, [(7,), (2, "image", 3), (1, "video", 2)]))
    assert [len(encoded.columns(i)) for i in range(3)] == [0, 6, 12]
    keep = [torch.empty(0), torch.tensor([2, 4]), torch.tensor([0, 11, 5])]
    for ours, twin in zip(
        pruned_logits(family, encoded, keep), masked_logits(family, encoded, keep), strict=True
    ):
        torch.testing.assert_close(ours, twin, atol=2e-5, rtol=0)


@every_class
def test_pixels_need_their_grid_and_must_match_it(name):
    family, inputs, _ = encoded_of(f"{name}, batch")
    without = {k: v for k, v in inputs.items() if k != "image_grid_thw"}
    with pytest.raises(MissingInputError, match="image_grid_thw"):
        family.encode(without)
    with pytest.raises(ShapeError, match="expected 48 patches as image_grid_thw says, got 47"):
        family.encode(inputs | {"pixel_values": inputs["pixel_values"][1:]})
    with pytest.raises(ShapeError, match=r"expected \(n, 3\), got \(6,\)"):
        family.encode(inputs | {"image_grid_thw": inputs["image_grid_thw"].flatten()})
    pixels = {k: v for k, v in inputs.items() if "pixel" not in k}
    with pytest.raises(MissingInputError, match="placeholders in the prompt, but no pixel"):
        family.encode(pixels)


# --- places and attention ----------------------------------------------------------------------


@every_mixture
def test_every_token_lies_where_its_coordinates_say(name):
    """Pixels of one place are moved: the token of that frame, row and column moves most.

    Processors give patches by frame, row and column of tokens, 2 × 2 patches of a token together.
    """
    family, inputs, encoded = encoded_of(name)
    for modality, pixels in family.pixels.items():
        if pixels not in inputs:
            continue
        grids = inputs[f"{modality}_grid_thw"].tolist()
        starts = [0, *torch.tensor(grids).prod(-1).cumsum(0).tolist()]
        blocks = [b for own in encoded.blocks for b in own if b.modality == modality]
        for block in blocks:
            frames, rows, cols = grids[block.index]
            for token in (0, 1, len(block.features) - 2):
                changed = inputs[pixels].clone()
                first = starts[block.index] + 4 * token
                changed[first : first + 4] += 0.1
                moved = family.encode(inputs | {pixels: changed}).features[modality]
                distance = (moved.rows[block.index] - block.features).norm(dim=-1)
                assert int(distance.argmax()) == token
                per_row = cols // 2
                place = (token // (per_row * (rows // 2)), token // per_row % (rows // 2))
                assert block.layout.coords[token].tolist() == [0, *place, token % per_row]
            grid = (rows // 2, cols // 2)
            assert block.layout.grid == (grid if frames == 1 else (*grid, frames))


def brute_force(family, modality, inputs):
    """Attention (heads, tokens) received from others, of the watched layer, whole matrices held.

    Qwen2.5-VL's patches are brought back from their windows by asking the tower itself: it undoes
    them for its merged tokens.
    """
    module, seen = family.watched(modality), []
    rotate = sys.modules[type(module).__module__].apply_rotary_pos_emb_vision

    def hook(_module, args, kwargs):
        states = args[0] if args else kwargs["hidden_states"]
        qkv = module.qkv(states).reshape(len(states), 3, module.num_heads, -1).unbind(1)
        query, key = rotate(*qkv[:2], *kwargs["position_embeddings"])
        for a, b in pairwise(kwargs["cu_seqlens"].tolist()):
            scores = torch.einsum("ihd,jhd->hij", query[a:b], key[a:b]) * module.scaling
            matrix = scores.softmax(-1)
            seen.append(matrix.sum(1) - matrix.diagonal(dim1=1, dim2=2))

    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    with torch.no_grad():
        family.features(modality, inputs)
    handle.remove()
    return torch.cat(seen, dim=-1).unflatten(-1, (-1, 4)).mean(-1)


def window_places(grids, side):
    """Raster places of tokens, window by window of side × side tokens, frame by frame."""
    places, base = [], 0
    for frames, rows, cols in grids:
        rows, cols = rows // 2, cols // 2
        for frame in range(frames):
            for top in range(0, rows, side):
                for left in range(0, cols, side):
                    places += [
                        base + (frame * rows + row) * cols + col
                        for row in range(top, min(top + side, rows))
                        for col in range(left, min(left + side, cols))
                    ]
        base += frames * rows * cols
    return places


@every_mixture
def test_attention_of_every_token_is_that_of_the_whole_matrices(name):
    family, inputs, plain = encoded_of(name)
    encoded = family.encode(inputs, attention=True)
    for modality in encoded.features:
        slow = brute_force(family, modality, inputs)
        if name.startswith("qwen2.5"):
            places = window_places(inputs[f"{modality}_grid_thw"].tolist(), 2)
            assert sorted(places) == list(range(len(places)))
            undone = torch.empty_like(slow)
            undone[:, places] = slow
            slow = undone
        blocks = sorted(
            (b for own in encoded.blocks for b in own if b.modality == modality),
            key=lambda b: b.index,
        )
        fast = torch.cat([b.attention for b in blocks], dim=-1)
        assert slow.std() > 1e-2
        torch.testing.assert_close(fast, slow, atol=2e-6, rtol=2e-6)
        for a, b in zip(
            encoded.features[modality].rows, plain.features[modality].rows, strict=True
        ):
            assert torch.equal(a, b)


@every_class
def test_the_layer_is_an_option(name):
    family, inputs, _ = encoded_of(f"{name}, batch")
    layers = (1, -1)

    def read(layer):
        other = family_of(family.model, Options(attention_layer=layer))
        return other.encode(inputs, attention=True).blocks[0][0].attention

    first, last = map(read, layers)
    assert (first - last).abs().max() > 1e-2
    default = family.encode(inputs, attention=True).blocks[0][0].attention
    assert torch.equal(default, last)
    with pytest.raises(ParameterError, match="expected one of 4 layers, got 4"):
        read(4)


def test_layers_that_see_windows_only_are_refused():
    family, inputs, _ = encoded_of("qwen2.5, batch")
    other = family_of(family.model, Options(attention_layer=-2))
    with pytest.raises(ParameterError, match=r"sees whole frames, \[1, 3\], got 2"):
        other.encode(inputs, attention=True)


def test_all_of_the_family_go_through_all_cases():
    assert {c.architecture for c in CASES.values() if "Qwen" in c.architecture} == set(
        QWEN.values()
    )
