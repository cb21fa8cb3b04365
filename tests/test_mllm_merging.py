"""Tokens that a method averages into kept ones: what the decoder is shown is the stated average."""

from __future__ import annotations

import pytest
import torch
from mllm_cases import CASES, LLAVA, NEXT, QWEN, VIDEO, model_of

import mitheory
from mitheory.errors import MissingInputError, ParameterError, ShapeError
from mitheory.models.mllm.registry import family_of
from mitheory.selection import Merge
from mitheory.testing import tiny_inputs

PROMPTS = {
    "llava": (LLAVA, ((4, "image", 3), (2, "image", 9))),
    "llava, two images": (LLAVA, ((2, "image", 3, "image", 4), (1, "image", 5))),
    "next": (NEXT, ((4, "image", 3), (2, "image", 9))),
    "video-llava": (VIDEO, ((4, "video", 3), (2, "image", 9))),
}


class Seen:
    """Rows that enter the decoder, of the first call."""

    def __init__(self, model):
        self.rows = []
        self.hook = model.model.language_model.register_forward_pre_hook(self, with_kwargs=True)

    def __call__(self, module, args, kwargs):
        self.rows.append(kwargs["inputs_embeds"])


def entering(model, encoded, sample):
    """(n_v, d_encoder) of a sample by hand: the features that the projector was given."""
    rows = []
    for block in encoded.blocks[sample]:
        rows += list(block.encoder[block.layout.kind == 0])
    return torch.stack(rows)


def averages_by_hand(model, encoded, sample, selection):
    """Row by row: e of a kept token, plus the mean of e over what joins it, projected."""
    features, into = entering(model, encoded, sample), selection.merge.into.tolist()
    shown = []
    for center in sorted(selection.indices.tolist()):
        joins = [features[i] for i, c in enumerate(into) if c == center and i != center]
        row = features[center]
        if joins:
            row = row + sum(joins) / len(joins)
        shown.append(model.model.multi_modal_projector(row[None, None])[0, 0])
    return torch.stack(shown)


@pytest.mark.parametrize("name", PROMPTS)
@torch.no_grad()
def test_the_decoder_is_shown_the_averages(name):
    """VisionZip: of features before the projector, as in its public code; all else is as it was."""
    architecture, prompts = PROMPTS[name]
    model = model_of(architecture)
    inputs = tiny_inputs(model, prompts)
    with mitheory.prune(model, None, method="visionzip", budget=6, contextual=2) as pruner:
        seen = Seen(model)
        model.generate(**inputs, max_new_tokens=2, do_sample=False)
        seen.hook.remove()
        encoded, selections = pruner.encoded, pruner.selections
    pruned = pruner.family.prune(encoded, pruner.kept)
    token = [pruner.family.placeholder(m) for m in ("image", "video")]
    for sample, selection in enumerate(selections):
        ids = pruned["input_ids"][sample]
        places = torch.stack([ids == t for t in token if t is not None]).any(dim=0)
        rows = seen.rows[0][sample, places]
        special = torch.cat([
            block.features[block.layout.kind != 0] for block in encoded.blocks[sample]
        ])  # fmt: skip
        if len(special):  # newline and class rows stay
            same = (rows[:, None] == special).all(dim=-1).any(dim=1)
            rows = rows[~same]
        wanted = averages_by_hand(model, encoded, sample, selection)
        assert len(rows) == 6
        torch.testing.assert_close(rows, wanted, atol=1e-4, rtol=1e-4)
        plain = encoded.visual(sample)[selection.sorted]
        moved = (rows - plain).abs().amax(dim=1) > 1e-2
        into = selection.merge.into.bincount(minlength=len(selection.merge.into))
        assert moved.tolist() == (into[selection.sorted] > 1).tolist()
        assert 1 <= int(moved.sum()) <= 2  # contextual ones
        dominant = [k for k, m in enumerate(moved.tolist()) if not m]
        assert torch.equal(rows[dominant], plain[dominant])


def test_nothing_merged_is_plain_pruning():
    model = model_of(LLAVA)
    family = family_of(model)
    encoded = family.encode(tiny_inputs(model, CASES["llava"].prompts), attention=True)
    keep = [torch.tensor([5, 1])]
    into = torch.full((16,), -1)
    into[[1, 5]] = torch.tensor([1, 5])
    plain = family.prune(encoded, keep)["mm_encoder_outputs"]["image"]["pooler_output"][0]
    for merges in ([Merge(into, "add_mean")], [None], None):
        found = family.prune(encoded, keep, merges=merges)
        assert torch.equal(found["mm_encoder_outputs"]["image"]["pooler_output"][0], plain)
    into[2] = 5
    found = family.prune(encoded, keep, merges=[Merge(into)])["mm_encoder_outputs"]["image"]
    assert torch.equal(found["pooler_output"][0][0], plain[0])
    assert not torch.equal(found["pooler_output"][0][1], plain[1])
    assert torch.equal(encoded.visual(0)[[1, 5]], plain)  # what was encoded stays as it was


def test_merges_that_cannot_be_right_are_refused():
    model = model_of(LLAVA)
    family = family_of(model)
    inputs = tiny_inputs(model, CASES["llava"].prompts)
    encoded = family.encode(inputs, attention=True)
    into = torch.full((16,), -1)
    into[[1, 2, 5]] = torch.tensor([1, 1, 5])
    keep = [torch.tensor([5, 1])]
    with pytest.raises(ParameterError, match=r"as centers, \[1, 3\], got \[1, 5\]"):
        family.prune(encoded, [torch.tensor([3, 1])], merges=[Merge(into)])
    with pytest.raises(ParameterError, match="as centers, all"):
        family.prune(encoded, merges=[Merge(into)])
    with pytest.raises(ShapeError, match="one per sample, 1, got 2"):
        family.prune(encoded, keep, merges=[Merge(into), None])
    with pytest.raises(MissingInputError, match="encoded without attention"):
        family.prune(family.encode(inputs), keep, merges=[Merge(into)])
    qwen = family_of(model_of(QWEN["qwen2"]))
    seen = qwen.encode(tiny_inputs(qwen.model, [(2, "image", 3)]), attention=True)
    with pytest.raises(MissingInputError, match="before the projector"):
        qwen.prune(seen, keep, merges=[Merge(into[:6])])
