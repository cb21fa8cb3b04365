"""Visual tokens that are no patch: newlines of LLaVA-NeXT, class tokens of Video-LLaVA."""

from __future__ import annotations

import pytest
import torch
from mllm_cases import NEXT, VIDEO, model_of, pruned_logits

from mitheory.errors import MissingInputError, ParameterError
from mitheory.models.mllm.base import rebound
from mitheory.models.mllm.cutting import shown
from mitheory.models.mllm.options import Options
from mitheory.models.mllm.records import CLS, NEWLINE, PATCH
from mitheory.models.mllm.registry import family_of
from mitheory.testing import tiny_inputs


def encoded(architecture, prompt, **options):
    family = family_of(model_of(architecture), Options(**options))
    return family, family.encode(tiny_inputs(family.model, [prompt]))


def shown_kinds(encoding, keep):
    ((mask,),) = shown(encoding, [torch.tensor(keep, dtype=torch.long)])
    return mask, encoding.blocks[0][0].layout.kind[mask].tolist()


# --- LLaVA-NeXT -------------------------------------------------------------------------------
#
# The first tiny image has 40 × 60 pixels. Of the resolutions 32 × 64, 64 × 32 and 64 × 64, the
# last wastes no pixel of it: it is scaled by 64/60, so that 2 × 2 tiles of 4 × 4 patches hold it.
# Of 8 rows of patches, 40 · 8/60 = 5.33 hold the image; (8 - 5) // 2 = 1 row goes on either side.
# Left are 6 rows of 8 patches, and 6 newlines; 4 × 4 patches of the whole image come before them.

ROWS, COLS, WHOLE = 6, 8, 16


def test_the_two_views_by_hand():
    family, encoding = encoded(NEXT, (2, "image", 3))
    (block,) = encoding.blocks[0]
    assert len(block.features) == WHOLE + ROWS * (COLS + 1)
    assert encoding.grid(0) is None  # two views form no grid
    assert block.layout.coords[5].tolist() == [0, 0, 1, 1]
    assert block.layout.coords[WHOLE + COLS + 1].tolist() == [1, 0, 1, 0]
    newlines = (block.layout.kind == NEWLINE).nonzero()[:, 0]
    assert newlines.tolist() == [WHOLE + row * (COLS + 1) + COLS for row in range(ROWS)]
    assert block.layout.coords[newlines[2]].tolist() == [1, 0, 2, -1]
    newline = family.model.model.image_newline
    is_newline = (block.features == newline).all(dim=1)
    assert is_newline.tolist() == (block.layout.kind == NEWLINE).tolist()


def test_patches_stand_where_their_coordinates_say():
    """A tile's tokens, taken from the encoder itself, in the large view."""
    family, encoding = encoded(NEXT, (2, "image", 3))
    inputs = tiny_inputs(family.model, [(2, "image", 3)])
    model = family.model.model
    with torch.no_grad():
        hidden = model.vision_tower(inputs["pixel_values"][0], output_hidden_states=True)
        tiles = model.multi_modal_projector(hidden.hidden_states[-2][:, 1:])  # (1 + 4, 16, d)
    (block,) = encoding.blocks[0]
    whole = block.layout.coords[:, 0] == 0
    assert torch.allclose(block.features[whole], tiles[0], atol=1e-5)
    for i, (view, _, row, col) in enumerate(block.layout.coords.tolist()):
        if view == 1 and col >= 0:
            padded = row + 1  # one row of padding was cut off above
            tile = 1 + 2 * (padded // 4) + col // 4
            place = 4 * (padded % 4) + col % 4
            assert torch.allclose(block.features[i], tiles[tile, place], atol=1e-5)


@pytest.mark.parametrize(
    ("policy", "keep", "newlines"),
    [
        ("follow", [3], 0),  # of the whole image
        ("follow", [WHOLE, WHOLE + 1], 1),  # both of the first row
        ("follow", [WHOLE, WHOLE + COLS], 2),
        ("follow", [], 0),
        ("always", [], ROWS),
        ("always", [WHOLE], ROWS),
        ("never", [WHOLE], 0),
    ],
)
def test_newlines_beside_what_is_kept(policy, keep, newlines):
    _, encoding = encoded(NEXT, (2, "image", 3), newline=policy)
    assert len(encoding.columns(0)) == WHOLE + ROWS * COLS  # the budget counts patches
    _, kinds = shown_kinds(encoding, keep)
    assert kinds.count(NEWLINE) == newlines
    assert kinds.count(PATCH) == len(keep)


def test_a_newline_follows_its_own_row():
    _, encoding = encoded(NEXT, (2, "image", 3))
    mask, _ = shown_kinds(encoding, [WHOLE + 2 * COLS + 5])
    row = WHOLE + 2 * (COLS + 1)
    assert mask.nonzero()[:, 0].tolist() == [row + 5, row + COLS]


def test_newlines_that_compete_are_candidates():
    _, encoding = encoded(NEXT, (2, "image", 3), newline="scored")
    total = WHOLE + ROWS * (COLS + 1)
    assert len(encoding.columns(0)) == total
    mask, kinds = shown_kinds(encoding, [WHOLE + COLS, 0])
    assert sorted(kinds) == [PATCH, NEWLINE]
    assert mask.nonzero()[:, 0].tolist() == [0, WHOLE + COLS]


def test_sizes_are_needed():
    family = family_of(model_of(NEXT))
    inputs = tiny_inputs(family.model, [(2, "image", 3)])
    del inputs["image_sizes"]
    with pytest.raises(MissingInputError, match="image_sizes: LlavaNext"):
        family.encode(inputs)


# --- Video-LLaVA ------------------------------------------------------------------------------
#
# Three frames of a class token and 4 × 4 patches: rows 0, 17 and 34 are class tokens.


def test_frames_by_hand():
    _, encoding = encoded(VIDEO, (2, "video", 3))
    (block,) = encoding.blocks[0]
    assert (block.layout.kind == CLS).nonzero()[:, 0].tolist() == [0, 17, 34]
    assert block.layout.coords[17].tolist() == [0, 1, -1, -1]
    assert block.layout.coords[17 + 1 + 6].tolist() == [0, 1, 1, 2]
    assert encoding.grid(0) == (4, 4, 3)
    assert len(encoding.visual(0)) == 48


def test_frames_are_those_of_the_encoder():
    """Frame by frame through the encoder of videos, which is not that of images."""
    family, encoding = encoded(VIDEO, (2, "video", 3))
    inputs = tiny_inputs(family.model, [(2, "video", 3)])
    model = family.model.model
    for frame in range(3):
        with torch.no_grad():
            pixels = inputs["pixel_values_videos"][:, frame]
            hidden = model.video_tower(pixels, output_hidden_states=True).hidden_states[-2]
            rows = model.multi_modal_projector(hidden)[0]
        own = encoding.blocks[0][0].features[17 * frame : 17 * frame + 17]
        assert torch.allclose(rows, own, atol=1e-5)


@pytest.mark.parametrize(
    ("policy", "keep", "rows"),
    [
        ("follow", [16], [17, 18]),  # the first patch of the second frame, and its class token
        ("follow", [], []),
        ("always", [16], [0, 17, 18, 34]),
        ("never", [16], [18]),
        ("scored", [17], [17]),  # the class token itself
    ],
)
def test_class_tokens_beside_what_is_kept(policy, keep, rows):
    _, encoding = encoded(VIDEO, (2, "video", 3), cls=policy)
    mask, _ = shown_kinds(encoding, keep)
    assert mask.nonzero()[:, 0].tolist() == rows
    assert len(encoding.visual(0)) == (51 if policy == "scored" else 48)
    assert encoding.grid(0) == (None if policy == "scored" else (4, 4, 3))


def test_the_processors_name_of_images_is_understood():
    """Under it `get_image_features` saw no image, and the model ran on without one."""
    family, encoding = encoded(VIDEO, (2, "image", 3))
    inputs = tiny_inputs(family.model, [(2, "image", 3)])
    named = {("pixel_values_images" if k == "pixel_values" else k): v for k, v in inputs.items()}
    again = family.encode(named)
    assert torch.equal(again.visual(0), encoding.visual(0))
    with pytest.raises(ParameterError, match="are one"):
        family.encode(inputs | named)


# --- both -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "modality", "axis"), [(NEXT, "image", "newline"), (VIDEO, "video", "cls")]
)
def test_only_never_changes_what_is_shown_when_all_is_kept(architecture, modality, axis):
    family, encoding = encoded(architecture, (2, modality, 3))
    full = pruned_logits(family, encoding, None)[0]
    for policy in ("always", "scored"):
        other = rebound(encoding, Options(**{axis: policy}))
        assert torch.equal(pruned_logits(family, other, None)[0], full)
    without = pruned_logits(family, rebound(encoding, Options(**{axis: "never"})), None)[0]
    specials = {"newline": ROWS, "cls": 3}[axis]
    assert len(without) == len(full) - specials
    assert (without[-1] - full[-1]).abs().max() > 0.1


def test_visual_tokens_come_in_the_order_of_the_prompt():
    """A video before an image, though all images are encoded first."""
    _, encoding = encoded(VIDEO, (1, "video", 2, "image", 3))
    assert [block.modality for block in encoding.blocks[0]] == ["video", "image"]
    assert bool((encoding.columns(0).diff() > 0).all())
    assert encoding.coords(0)[[0, 48], 0].tolist() == [0, 1]
