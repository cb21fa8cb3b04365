"""The vision encoder's attention beside the visual tokens, against the encoder's own matrices."""

from __future__ import annotations

import pytest
import torch
from mllm_cases import LLAVA, NEXT, VIDEO, model_of

import mitheory
from mitheory import select
from mitheory.errors import MissingInputError, ParameterError
from mitheory.models.mllm.options import Options
from mitheory.models.mllm.registry import family_of
from mitheory.models.mllm.selecting import chosen, of_encoder
from mitheory.selection import SELECTORS
from mitheory.testing import tiny_inputs


def eager_rows(tower, pixels, layer):
    """(images, heads, n): the class token's row of one layer, of matrices that are all kept."""
    before = tower.config._attn_implementation
    tower.set_attn_implementation("eager")
    with torch.no_grad():
        rows = tower(pixels, output_attentions=True).attentions[layer][:, :, 0, 1:]
    tower.set_attn_implementation(before)
    return rows


def encoded(architecture, prompts, **options):
    family = family_of(model_of(architecture), Options(**options))
    inputs = tiny_inputs(family.model, prompts)
    return family, inputs, family.encode(inputs, attention=True)


@pytest.mark.parametrize(("option", "layer"), [(None, -2), (0, 0), (-1, -1)])
def test_of_the_layer_that_is_projected_or_another(option, layer):
    family, inputs, encoding = encoded(
        LLAVA, [(2, "image", 3, "image", 1), (1, "image", 4)], attention_layer=option
    )
    rows = eager_rows(family.model.model.vision_tower, inputs["pixel_values"], layer)
    assert torch.allclose(encoding.attention(0), torch.cat([rows[0], rows[1]], dim=1), atol=1e-5)
    assert torch.allclose(encoding.attention(1), rows[2], atol=1e-5)
    assert float(rows.std()) > 0.01


def test_a_layer_that_is_not_there():
    family = family_of(model_of(LLAVA), Options(attention_layer=3))
    inputs = tiny_inputs(family.model, [(2, "image", 3)])
    with pytest.raises(ParameterError, match="attention_layer: expected one of 3 layers, got 3"):
        family.encode(inputs, attention=True)


def test_reading_attention_changes_no_feature():
    family, inputs, encoding = encoded(LLAVA, [(2, "image", 3)])
    assert torch.allclose(encoding.visual(0), family.encode(inputs).visual(0), atol=1e-6)
    assert family.encode(inputs).attention(0) is None
    assert family.model.model.vision_tower.config._attn_implementation == "sdpa"


def test_tiles_are_put_together():
    """40 × 60 pixels: the whole image, then 2 × 2 tiles of 4 × 4 patches, of whose 8 rows the
    first and the last are padding."""
    family, inputs, encoding = encoded(NEXT, [(2, "image", 3)])
    rows = eager_rows(family.model.model.vision_tower, inputs["pixel_values"][0], -2)
    own = encoding.attention(0)
    assert torch.allclose(own[:, :16], rows[0], atol=1e-6)
    for place, (_, view, _, row, col) in enumerate(encoding.coords(0).tolist()):
        if view == 1:
            tile = 1 + 2 * ((row + 1) // 4) + col // 4
            assert torch.allclose(
                own[:, place], rows[tile, :, 4 * ((row + 1) % 4) + col % 4], atol=1e-6
            )
    assert bool(torch.isfinite(own).all())  # newlines are no candidates


def test_images_of_unequal_numbers_of_tiles():
    """5, 3 and 3 views: every image's attention begins where those before it end."""
    prompts = [(2, "image", 3), (1, "image", 2), (1, "image", 4)]
    family, inputs, encoding = encoded(NEXT, prompts)
    for i in (1, 2):
        alone = {name: x[i : i + 1] for name, x in inputs.items()}
        single = family.encode(alone, attention=True)
        assert torch.allclose(encoding.attention(i), single.attention(0), atol=1e-6)


def test_frames_of_a_video():
    family, inputs, encoding = encoded(VIDEO, [(2, "video", 3), (1, "video", 2)])
    pixels = inputs["pixel_values_videos"].flatten(0, 1)
    rows = eager_rows(family.model.model.video_tower, pixels, -2)  # (2 · 3, heads, 16)
    expected = torch.cat(list(rows[3:]), dim=1)
    assert torch.allclose(encoding.attention(1), expected, atol=1e-6)


def test_rows_without_attention_are_not_a_number():
    """Where newlines compete, a method that ranks by attention is told so."""
    family, _, encoding = encoded(NEXT, [(2, "image", 3)], newline="scored")
    own = encoding.attention(0)
    assert int(own[0].isnan().sum()) == 6
    with pytest.raises(mitheory.MitheoryError, match="cls_attention"):
        chosen(family, encoding, 0, "cls_attention", budget=3, columns=None, seed=0, options={})


@pytest.mark.parametrize("method", ["cls_attention", "attention"])
def test_the_baselines_rank_by_it(method):
    family, _, encoding = encoded(LLAVA, [(2, "image", 3)])
    ranked = encoding.attention(0).mean(0).argsort(descending=True)
    found = chosen(family, encoding, 0, method, budget=4, columns=None, seed=0, options={})
    assert found.indices.tolist() == ranked[:4].tolist()


def test_mi_attention_takes_half_by_it():
    family, inputs, encoding = encoded(LLAVA, [(2, "image", 6)])
    columns = torch.arange(inputs["input_ids"].shape[1])[-4:]
    found = chosen(
        family, encoding, 0, "mi_attention", budget=6, columns=columns, seed=0, options={}
    )
    ranked = encoding.attention(0).mean(0).argsort(descending=True)
    assert found.indices[:3].tolist() == ranked[:3].tolist()
    text = family.text(encoding, 0, columns)
    mi = select("mi_pruner", visual=encoding.visual(0), text=text, budget=6)
    assert found.indices.tolist() != mi.indices.tolist()


def test_pruning_reads_it_where_the_method_does():
    model = model_of(LLAVA)
    inputs = tiny_inputs(model, [(2, "image", 3)])
    with mitheory.prune(model, None, method="cls_attention", budget=4) as pruner:
        model.generate(**inputs, max_new_tokens=1)
    _, _, encoding = encoded(LLAVA, [(2, "image", 3)])
    ranked = encoding.attention(0).mean(0).argsort(descending=True)
    assert pruner.kept[0].tolist() == ranked[:4].tolist()
    family = family_of(model)
    with pytest.raises(MissingInputError, match="encoded without attention"):
        chosen(
            family, family.encode(inputs), 0, "attention",
            budget=4, columns=None, seed=0, options={},
        )  # fmt: skip


# --- keys and features of the encoder, beside its attention -------------------------------------


def tower_of(model, modality):
    return model.model.vision_tower if modality is None else getattr(model.model, modality)


@torch.no_grad()
def keys_twin(tower, pixels, layer):
    """(images, n, d_key): keys of a layer from its own input, mean over heads."""
    states = tower(pixels, output_hidden_states=True).hidden_states
    module = tower.encoder.layers[layer]
    keys = module.self_attn.k_proj(module.layer_norm1(states[layer]))
    heads = tower.config.num_attention_heads
    return keys.unflatten(-1, (heads, -1)).mean(2)[:, 1:], states


@pytest.mark.parametrize(
    ("name", "tower", "modality"),
    [(LLAVA, None, "image"), (VIDEO, "image_tower", "image"), (VIDEO, "video_tower", "video")],
)
def test_keys_and_features_are_the_encoders(name, tower, modality):
    """Of the layer whose attention is read, the last but one; features enter the projector."""
    family, inputs, encoding = encoded(name, [(2, modality, 3), (1, modality, 4)])
    pixels = inputs["pixel_values" if modality == "image" else "pixel_values_videos"]
    flat = pixels.flatten(0, -4)
    keys, states = keys_twin(tower_of(family.model, tower), flat, -2 + 3)
    for sample in range(2):
        per_sample = len(flat) // 2
        part = slice(sample * per_sample, (sample + 1) * per_sample)
        own = of_encoder(family, encoding, sample)
        assert torch.allclose(own["encoder_keys"], keys[part].flatten(0, 1), atol=1e-4)
        features = states[-2][part, 1:].flatten(0, 1)
        assert torch.allclose(own["encoder_features"], features, atol=1e-4)
        assert own["encoder_features"].shape == (len(encoding.visual(sample)), 32)


def test_features_of_tiles_lie_where_their_tokens_do():
    """LLaVA-NeXT: projected, they are V, token by token, in both views."""
    family, _, encoding = encoded(NEXT, [(2, "image", 3), (1, "image", 4, "image", 2)])
    for sample in range(2):
        own = of_encoder(family, encoding, sample)
        with torch.no_grad():
            projected = family.model.model.multi_modal_projector(own["encoder_features"][None])[0]
        assert torch.allclose(projected, encoding.visual(sample), atol=1e-4)
        assert own["encoder_keys"].shape == (len(projected), 8)


@pytest.mark.parametrize("method", ["visionzip", "vispruner"])
def test_methods_of_the_encoder_run_on_real_classes(method):
    family, _, encoding = encoded(LLAVA, [(2, "image", 3)])
    found = chosen(family, encoding, 0, method, budget=6, columns=None, seed=0, options={})
    own = of_encoder(family, encoding, 0)
    inputs = {n: x for n, x in own.items() if n in SELECTORS[method].inputs}
    assert "patch_attention" not in own
    again = select(method, budget=6, grid=(4, 4), visual=encoding.visual(0), **inputs)
    assert found.indices.tolist() == again.indices.tolist()
    assert not family.model.model.multi_modal_projector._forward_pre_hooks
