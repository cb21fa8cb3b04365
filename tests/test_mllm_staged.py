"""Pruning inside the stock decoders: equal to the model itself, to masks, and to a slow twin."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from mllm_cases import CASES, LLAVA, ONE_EACH, encoded_of, model_of, pruned_logits
from staged_twin import Twin, eager

from mitheory import budgets, select
from mitheory.errors import (
    BudgetError,
    MissingInputError,
    ParameterError,
    ShapeError,
    UnknownNameError,
)
from mitheory.models.base import Stage
from mitheory.models.mllm.reading import attention_rows
from mitheory.models.mllm.registry import family_of
from mitheory.models.mllm.staged import Staged
from mitheory.models.staging import layers_in, stages_of
from mitheory.testing import tiny_inputs

STEPS = 5
every_case = pytest.mark.parametrize("name", CASES)
every_class = pytest.mark.parametrize("name", ONE_EACH.values())


def staged_of(family, encoded, stages, **changes):
    return Staged(family, encoded, stages, seeds=list(range(len(encoded))), **changes)


@torch.no_grad()
def staged_logits(staged):
    """Logits of what is left of every prompt."""
    with staged.running():
        logits = staged.family.model(**staged.family.prune(staged.encoded)).logits
    there = staged._cuts[-1].there
    return [row[own] for row, own in zip(logits, there, strict=True)]


def close(x, y, tolerance=2e-5):
    return x.shape == y.shape and bool((x - y).abs().max() <= tolerance)


def generated(staged, **how):
    """New tokens of every prompt."""
    greedy = {"max_new_tokens": STEPS, "do_sample": False}
    with staged.running():
        said = staged.family.model.generate(**staged.family.prune(staged.encoded), **greedy | how)
    return said[:, -STEPS:]


@every_case
def test_keeping_all_is_the_models_own_forward(name):
    family, inputs, encoded = encoded_of(name)
    with torch.no_grad():
        own = family.model(**inputs, position_ids=encoded.position_ids).logits
    stages = [Stage(1, "fastv", 1.0), Stage(2, "dart", 1.0)]
    ours = staged_logits(staged_of(family, encoded, stages))
    mask = inputs["attention_mask"].bool()
    assert all(close(own[i, there], ours[i], 1e-5) for i, there in enumerate(mask))


STAGES = {
    "fastv": [Stage(1, "fastv", 0.5)],
    "fastv, late": [Stage(2, "fastv", 3)],
    "dart": [Stage(2, "dart", 0.5)],
    "sparsevlm": [
        Stage(1, "sparsevlm", 0.6, {"recycle": True}),
        Stage(2, "sparsevlm", 0.5, {"recycle": True}),
    ],
    "autoprune": [Stage(1, "autoprune", 0.7), Stage(2, "autoprune", 0.5)],
}


@every_class
@pytest.mark.parametrize("which", STAGES)
def test_dropping_before_a_layer_is_masking_from_there_on(name, which):
    """The choice, the logits of all that is left, and greedy decoding, against the slow twin."""
    as_the_twin(name, STAGES[which])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(CASES) - set(ONE_EACH.values())))
@pytest.mark.parametrize("which", STAGES)
def test_so_it_is_for_videos_and_several_images(name, which):
    as_the_twin(name, STAGES[which])


def as_the_twin(name, stages):
    family, _, encoded = encoded_of(name)
    slow = family_of(eager(CASES[name].architecture))
    staged = staged_of(family, encoded, stages)
    ours = staged_logits(staged)
    said = generated(staged)
    for i in range(len(encoded)):
        twin = Twin(slow, encoded, i, stages, seed=i)
        expected = twin.logits()
        for stage, kept in zip(staged.kept, twin.kept, strict=True):
            assert stage[i].tolist() == kept.tolist()
        assert close(ours[i], expected)
        assert said[i].tolist() == twin.greedy(STEPS)


@every_class
def test_samples_may_keep_unequal_numbers(name):
    """Left of one prompt are 2 and then 1 tokens, of its neighbor 5 and then 4."""
    stages = [Stage(1, "fastv", (2, 5)), Stage(2, "dart", (1, 4))]
    as_the_twin(name, stages)


@every_class
def test_methods_of_the_text_are_given_t(name):
    """MI-Pruner before layer 1, with the last three tokens as T."""
    family, _, encoded = encoded_of(name)
    length = encoded.input_ids.shape[1]
    columns = [torch.arange(length - 3, length)] * 2
    staged = staged_of(family, encoded, [Stage(1, "mi_pruner", 4)], columns=columns)
    staged_logits(staged)
    for i in range(2):
        text = family.text(encoded, i, columns[i])
        own = select("mi_pruner", visual=encoded.visual(i), text=text, budget=4)
        assert staged.kept[0][i].tolist() == own.sorted.tolist()


@every_class
def test_beams_and_several_sequences_are_those_of_each_sample_alone(name):
    """Of one sample the budget is the same, so no other may change what is said."""
    family, inputs, encoded = encoded_of(name)
    stages = [Stage(1, "fastv", (3, 6)), Stage(2, "sparsevlm", (2, 4), {"recycle": True})]
    beams = {"num_beams": 3, "num_return_sequences": 2}
    together = generated(staged_of(family, encoded, stages), **beams)
    assert len(together) == 4
    greedy = generated(staged_of(family, encoded, stages))
    sampled = {"do_sample": True, "top_k": 1, "num_return_sequences": 2}
    several = generated(staged_of(family, encoded, stages), **sampled)
    assert several.tolist() == greedy.repeat_interleave(2, dim=0).tolist()
    model = model_of(CASES[name].architecture)
    for i in range(2):
        alone = alone_of(model, inputs, encoded, i)
        own = [replace(s, budget=s.budget[i]) for s in stages]
        said = generated(Staged(family, alone, own, seeds=[i]), **beams)
        assert said.tolist() == together[2 * i : 2 * i + 2].tolist()


def alone_of(model, inputs, encoded, i):
    """One sample of a batch: its blocks are its own, the prompt is cut out."""
    there = encoded.attention_mask[i].bool()
    first = int(there.nonzero()[0])
    blocks, features, counted = [], {}, {}
    for block in encoded.blocks[i]:
        whole = encoded.features[block.modality]
        own = features.setdefault(block.modality, ([], [[] for _ in whole.deep]))
        own[0].append(whole.rows[block.index])
        for layer, rows in zip(own[1], whole.deep, strict=True):
            layer.append(rows[block.index])
        index = counted.setdefault(block.modality, 0)
        counted[block.modality] += 1
        blocks.append(replace(block, index=index, columns=block.columns - first))
    return replace(
        encoded,
        input_ids=encoded.input_ids[i : i + 1, first:],
        attention_mask=encoded.attention_mask[i : i + 1, first:],
        position_ids=encoded.position_ids[..., i : i + 1, first:],
        features={
            modality: replace(
                encoded.features[modality],
                rows=tuple(rows),
                deep=tuple(tuple(layer) for layer in deep),
            )
            for modality, (rows, deep) in features.items()
        },
        blocks=(tuple(blocks),),
    )


@every_class
def test_eager_and_sdpa_agree(name):
    family, _, encoded = encoded_of(name)
    slow = family_of(eager(CASES[name].architecture))
    found = []
    for one in (family, slow):
        staged = staged_of(one, encoded, [Stage(1, "fastv", (4, 6)), Stage(2, "dart", 3)])
        found.append((staged_logits(staged), generated(staged).tolist(), staged.kept))
    (fused, said, kept), (plain, also, own) = found
    assert all(close(x, y) for x, y in zip(fused, plain, strict=True))
    assert said == also
    assert [[k.tolist() for k in s] for s in kept] == [[k.tolist() for k in s] for s in own]


@every_class
def test_without_a_cache_everything_is_computed_anew_with_the_same_choice(name):
    family, _, encoded = encoded_of(name)
    stages = [Stage(1, "sparsevlm", (4, 5), {"recycle": True})]
    # the model would count a placeholder that it says among those of the prompt
    how = {"suppress_tokens": [t for m in ("image", "video") if (t := family.placeholder(m))]}
    cached = generated(staged_of(family, encoded, stages), **how)
    anew = generated(staged_of(family, encoded, stages), use_cache=False, **how)
    assert anew.tolist() == cached.tolist()


def test_every_layer_caches_what_it_works_on():
    """9 visual tokens of 16 before layer 1, 5 before layer 2; 10 other tokens, 5 new ones, of
    which the last is never fed."""
    family, _, encoded = encoded_of("llava")
    staged = staged_of(family, encoded, [Stage(1, "fastv", 9), Stage(2, "fastv", 5)])
    with staged.running():
        found = family.model.generate(
            **family.prune(encoded), max_new_tokens=STEPS, do_sample=False,
            return_dict_in_generate=True,
        )  # fmt: skip
    lengths = [layer.keys.shape[2] for layer in found.past_key_values.layers]
    assert lengths == [10 + n + STEPS - 1 for n in (16, 9, 5)]
    assert staged.tokens_per_layer == [(16, 9, 5)]


@pytest.mark.parametrize("method", ["fastv", "dart", "sparsevlm"])
def test_tokens_per_layer_are_those_of_the_budgets(method):
    """576 tokens, 32 layers, a budget of 64: what the layers work on is what `budgets` says, and
    what they cache."""
    model = deep_model()
    family = family_of(model)
    ids = [4, 5, 6, 7, *[model.config.image_token_id] * 576, 4, 5, 6, 7, 8, 9]
    encoded = family.encode(
        {"input_ids": torch.tensor([ids]), "pixel_values": torch.randn(1, 3, 48, 48)}
    )
    plan = {
        "fastv": budgets.fastv(576, 64, 2, 32),
        "dart": budgets.dart(576, 64, 2, 32),
        "sparsevlm": budgets.sparsevlm("1.5", 64),
    }[method]
    staged = staged_of(family, encoded, stages_of(method, 64, [576]))
    with staged.running(), torch.no_grad():
        found = model(**family.prune(encoded), use_cache=True)
    assert staged.tokens_per_layer == [plan.tokens_per_layer]
    lengths = [layer.keys.shape[2] - 10 for layer in found.past_key_values.layers]
    assert tuple(lengths) == plan.tokens_per_layer


@cache
def deep_model():
    """LLaVA with the paper's numbers of tokens and layers, and little else."""
    library = pytest.importorskip("transformers")
    tiny = model_of(LLAVA).config
    sizes = {"hidden_size": 16, "intermediate_size": 8}
    config = library.LlavaConfig(
        vision_config=library.CLIPVisionConfig(
            **sizes, num_hidden_layers=2, num_attention_heads=1, image_size=48, patch_size=2
        ),
        text_config=library.LlamaConfig(
            **sizes, num_hidden_layers=32, num_attention_heads=2, initializer_range=0.5,
            vocab_size=tiny.text_config.vocab_size, pad_token_id=tiny.text_config.pad_token_id,
        ),
        image_token_index=tiny.image_token_id,
        image_seq_length=576,
    )  # fmt: skip
    torch.manual_seed(0)
    return library.LlavaForConditionalGeneration(config).eval()


def test_the_model_is_a_stock_one_again():
    """Also behind an error in the middle of a pass."""
    family, inputs, encoded = encoded_of("llava")
    decoder = family.model.model.language_model
    config = decoder.layers[0].self_attn.config
    for budget, error in ((4, None), (17, BudgetError)):
        staged = staged_of(family, encoded, [Stage(1, "fastv", budget)])
        if error is None:
            staged_logits(staged)
        else:
            with pytest.raises(error):
                staged_logits(staged)
        assert decoder.layers[0].self_attn.config is config
        for module in decoder.modules():
            assert not module._forward_pre_hooks
            assert not module._forward_hooks
    with torch.no_grad():
        own = family.model(**inputs).logits[0]
    assert close(pruned_logits(family, encoded, None)[0], own, 1e-5)


@pytest.mark.parametrize(
    ("stages", "error", "words"),
    [
        ([Stage(0, "fastv", 4)], ParameterError, r"within 1\.\.2, got \[0\]"),
        ([Stage(3, "fastv", 4)], ParameterError, r"within 1\.\.2, got \[3\]"),
        ([Stage(2, "fastv", 4), Stage(1, "fastv", 2)], ParameterError, "ascending"),
        ([Stage(1, "fastv", (4, 5))], ShapeError, "expected one or 1 of them, got 2"),
        ([Stage(1, "fastvv", 4)], UnknownNameError, "fastv"),
        ([Stage(1, "oracle", 4)], MissingInputError, "needs relevant; inside the decoder"),
        ([Stage(1, "log_mass_attention", 4)], MissingInputError, "needs patch_attention"),
    ],
)
def test_bad_stages_are_refused(stages, error, words):
    family, _, encoded = encoded_of("llava")
    with pytest.raises(error, match=words):
        staged_of(family, encoded, stages)


def test_what_cannot_be_right_is_refused():
    family, _, encoded = encoded_of("llava")

    def asked(**how):
        return generated(staged_of(family, encoded, [Stage(1, "fastv", 4)]), **how)

    with pytest.raises(ParameterError, match="takes no prompts in chunks"):
        asked(prefill_chunk_size=4)
    with pytest.raises(ParameterError, match=r"\(DynamicCache\) .* got StaticLayer"):
        asked(cache_implementation="static", disable_compile=True)
    decoder = family.model.model.language_model
    own = decoder.config._attn_implementation
    try:
        decoder.config._attn_implementation = "flash_attention_2"
        with pytest.raises(ParameterError, match="got 'flash_attention_2'"):
            asked()
    finally:
        decoder.config._attn_implementation = own
    other = encoded_of("llava, batch")[2]
    staged = staged_of(family, other, [Stage(1, "fastv", 4)])
    width = other.input_ids.shape[1]
    with staged.running(), pytest.raises(ParameterError, match="the 2 prompts that were encoded"):
        family.model(input_ids=torch.full((1, width), 5))


def test_an_image_at_the_end_has_no_words_behind_it():
    """FastV's last word and SparseVLM's raters stand behind the image."""
    model = model_of(LLAVA)
    family = family_of(model)
    encoded = family.encode(tiny_inputs(model, [(4, "image")]))
    with pytest.raises(MissingInputError, match="fastv: expected words after the image"):
        staged_logits(staged_of(family, encoded, [Stage(1, "fastv", 4)]))


def test_text_alone_passes_in_a_batch():
    """A prompt without an image beside one with: nothing of it is dropped."""
    model = model_of(LLAVA)
    family = family_of(model)
    inputs = tiny_inputs(model, [(9,), (4, "image", 6)])
    encoded = family.encode(inputs)
    staged = staged_of(family, encoded, [Stage(1, "fastv", 5)])
    text, pruned = staged_logits(staged)
    assert [len(k) for k in staged.kept[0]] == [0, 5]
    assert staged.selections[0][0] is None
    ids = inputs["input_ids"][:1][inputs["attention_mask"][:1].bool()][None]
    with torch.no_grad():
        assert close(text, model(input_ids=ids).logits[0])
    assert len(pruned) == 10 + 5


# --- pieces -----------------------------------------------------------------------------------


def test_rows_of_attention_are_those_of_the_whole_matrix():
    """Grouped queries, padding on the left, rows in blocks of two; against a loop over heads."""
    torch.manual_seed(0)
    query, key = torch.randn(4, 7, 3), torch.randn(2, 7, 3)
    there = torch.tensor([False, False, True, True, True, True, True])
    rows, columns = torch.tensor([4, 5, 6]), torch.tensor([2, 3])
    found = attention_rows(query, key, 0.5, rows=rows, there=there, columns=columns, size=2)
    for head in range(4):
        for a, row in enumerate(rows.tolist()):
            seen = [j for j in range(row + 1) if there[j]]
            scores = torch.stack([query[head, row] @ key[head // 2, j] * 0.5 for j in seen])
            weights = scores.exp() / scores.exp().sum()
            for b, column in enumerate(columns.tolist()):
                assert found[head, a, b] == pytest.approx(float(weights[seen.index(column)]))


def test_where_public_codes_prune():
    """By hand: 66, 30 and 17 of the table for 64, and half of them, rounded half up."""
    assert [(s.layer, s.budget, s.mode) for s in stages_of("sparsevlm", 32, [576])] == [
        (3, (33,), "faithful"), (7, (15,), "faithful"), (16, (9,), "faithful"),
    ]  # fmt: skip
    assert [(s.layer, s.budget) for s in stages_of("dart", 0.25, [576, 100])] == [(2, (144, 25))]
    # 16 tokens, a ratio of 1: 16 are asked for, 15 are kept and one averaged, in every stage
    assert [s.budget for s in stages_of("sparsevlm", 1.0, [16])] == [(16,), (8,), (4,)]
    assert [s.mode for s in stages_of("dart", 8, [16], layers=[1, 2], mode="faithful")] == [
        "faithful", "faithful",
    ]  # fmt: skip
    with pytest.raises(ParameterError, match="layers: expected some for divprune"):
        stages_of("divprune", 8, [16])
    for text in ("3+2", "2+2", "a", "", "1,2", "-1"):
        with pytest.raises(ParameterError, match="ascending numbers such as"):
            layers_in(text)
