"""What must hold of every class of multimodal models that is pruned."""

from __future__ import annotations

import pytest
import torch
from mllm_cases import (
    CASES,
    ONE_EACH,
    encoded_of,
    greedy_twin,
    masked_logits,
    model_of,
    pruned_logits,
    random_keep,
)

from mitheory.errors import DTypeError, MissingInputError, ParameterError, ShapeError
from mitheory.testing import tiny_inputs

STEPS = 5
every_case = pytest.mark.parametrize("name", CASES)
every_class = pytest.mark.parametrize("name", ONE_EACH.values())


def close(x: torch.Tensor, y: torch.Tensor, tolerance: float = 2e-5) -> bool:
    return x.shape == y.shape and bool((x - y).abs().max() <= tolerance)


@every_case
def test_keeping_all_is_the_models_own_forward(name):
    """With the positions that `generate` counts; alone, `forward` counts padding on the left as
    well, and rotary angles shifted by it round differently."""
    family, inputs, encoded = encoded_of(name)
    with torch.no_grad():
        own = family.model(**inputs, position_ids=encoded.position_ids).logits
        plain = family.model(**inputs).logits
    mask = inputs["attention_mask"].bool()
    ours = pruned_logits(family, encoded, None)
    assert own.std() > 0.5  # an error would show
    for i, there in enumerate(mask):
        assert close(own[i, there], ours[i], 1e-5)
        assert close(plain[i, there], ours[i], 1e-5 if there.all() else 5e-5)


@every_case
def test_dropping_is_masking(name):
    """With causal attention and positions as they were, a dropped token is one nobody sees."""
    family, _, encoded = encoded_of(name)
    keep = random_keep(encoded)
    masked = masked_logits(family, encoded, keep)
    for ours, twin in zip(pruned_logits(family, encoded, keep), masked, strict=True):
        assert close(ours, twin)
    full = pruned_logits(family, encoded, None)
    assert all((f[-1] - m[-1]).abs().max() > 0.1 for f, m in zip(full, masked, strict=True))


@every_case
@pytest.mark.parametrize("size", ["some", "none"])
def test_generate_is_greedy_decoding_step_by_step(name, size):
    family, _, encoded = encoded_of(name)
    keep = random_keep(encoded) if size == "some" else [torch.empty(0)] * len(encoded)
    said = family.model.generate(
        **family.prune(encoded, keep), max_new_tokens=STEPS, do_sample=False
    )
    assert said[:, -STEPS:].tolist() == greedy_twin(family, encoded, keep, STEPS).tolist()


@every_case
def test_generating_with_all_is_the_models_own(name):
    """The same tokens as from pixels; of a video also where its frames lie so far apart that their
    times reach behind the words that follow."""
    family, inputs, encoded = encoded_of(name)
    for _ in range(2):
        own = family.model.generate(**inputs, max_new_tokens=STEPS, do_sample=False)
        pruned = family.prune(encoded, None)
        ours = family.model.generate(**pruned, max_new_tokens=STEPS, do_sample=False)
        assert torch.equal(ours, own)
        if "second_per_grid_ts" not in inputs:
            break
        inputs = inputs | {"second_per_grid_ts": 20 * inputs["second_per_grid_ts"]}
        encoded = family.encode(inputs)
        time = encoded.position_ids[1]
        assert bool((time.amax(dim=1) > time[:, -1]).any())


@every_class
def test_one_sample_may_keep_nothing(name):
    family, _, encoded = encoded_of(name)
    keep = [torch.empty(0, dtype=torch.long), random_keep(encoded)[1]]
    for ours, twin in zip(
        pruned_logits(family, encoded, keep), masked_logits(family, encoded, keep), strict=True
    ):
        assert close(ours, twin)


@every_class
def test_no_sample_depends_on_its_neighbor(name):
    """Pruned alone, a sample has the logits that it has in a batch, left padding or not."""
    family, _, encoded = encoded_of(name)
    keep = random_keep(encoded)
    together = pruned_logits(family, encoded, keep)
    for i in range(2):
        others = [k if j == i else k[:0] for j, k in enumerate(keep)]
        assert close(pruned_logits(family, encoded, others)[i], together[i])


@every_class
def test_beams_of_unequal_budgets_are_those_of_each_sample_alone(name):
    family, _, encoded = encoded_of(name)
    keep = random_keep(encoded)
    assert len(keep[0]) != len(keep[1])
    beams = {"max_new_tokens": STEPS, "do_sample": False, "num_beams": 3}
    together = family.model.generate(**family.prune(encoded, keep), **beams)
    for i in range(2):
        others = [k if j == i else k[:0] for j, k in enumerate(keep)]
        alone = family.model.generate(**family.prune(encoded, others), **beams)
        assert together[i, -STEPS:].tolist() == alone[i, -STEPS:].tolist()


@every_class
def test_several_sequences_are_of_their_own_sample(name):
    """Sampled among one candidate, every sequence is the greedy one of its sample."""
    family, _, encoded = encoded_of(name)
    keep = random_keep(encoded)
    said = family.model.generate(
        **family.prune(encoded, keep),
        max_new_tokens=STEPS,
        do_sample=True,
        top_k=1,
        num_return_sequences=2,
    )
    stepwise = greedy_twin(family, encoded, keep, STEPS)
    assert said[:, -STEPS:].tolist() == stepwise.repeat_interleave(2, dim=0).tolist()


@every_class
def test_chunks_of_the_prompt_and_a_static_cache_change_nothing(name):
    family, _, encoded = encoded_of(name)
    keep = random_keep(encoded)
    stepwise = greedy_twin(family, encoded, keep, STEPS).tolist()
    for how in ({"prefill_chunk_size": 4}, {"cache_implementation": "static"}):
        said = family.model.generate(
            **family.prune(encoded, keep),
            max_new_tokens=STEPS,
            do_sample=False,
            disable_compile=True,
            **how,
        )
        assert said[:, -STEPS:].tolist() == stepwise


@every_class
def test_generating_leaves_what_was_encoded_as_it_was(name):
    """`generate` writes into the record it is given; the next call must not see that."""
    family, _, encoded = encoded_of(name)
    keep = random_keep(encoded)
    before = pruned_logits(family, encoded, keep)
    family.model.generate(
        **family.prune(encoded, keep), max_new_tokens=2, do_sample=False, num_beams=2
    )
    after = pruned_logits(family, encoded, keep)
    assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))


@every_class
def test_positions_and_a_mask_are_always_given(name):
    """Without positions the model counts what is left; without a mask it takes a gap in the
    positions for the border between two prompts. Both run, and are wrong."""
    family, _, encoded = encoded_of(name)
    for keep in (None, random_keep(encoded)):
        pruned = family.prune(encoded, keep)
        width = pruned["input_ids"].shape[1]
        assert pruned["attention_mask"].shape == (2, width)
        assert pruned["position_ids"].shape[-2:] == (2, width)


@every_class
def test_the_order_of_the_kept_set_does_not_matter(name):
    family, _, encoded = encoded_of(name)
    keep = random_keep(encoded)
    forth = family.prune(encoded, keep)
    back = family.prune(encoded, [k.sort().values for k in keep])
    assert torch.equal(forth["input_ids"], back["input_ids"])
    assert torch.equal(forth["position_ids"], back["position_ids"])


@every_class
def test_visual_tokens_are_the_rows_that_the_decoder_sees(name):
    """V by sample, against the model's own embeddings of the whole prompt."""
    family, inputs, encoded = encoded_of(name)
    seen = {}

    def catch(module, args, kwargs):
        seen["embeds"] = kwargs["inputs_embeds"]

    hook = family.model.model.language_model.register_forward_pre_hook(catch, with_kwargs=True)
    with torch.no_grad():
        family.model(**inputs)
    hook.remove()
    for sample in range(2):
        rows = seen["embeds"][sample, encoded.columns(sample)]
        assert close(rows, encoded.visual(sample), 1e-5)
        assert len(rows) > 0


@every_class
def test_placeholders_without_pixels_are_refused(name):
    family, inputs, _ = encoded_of(name)
    text = {k: inputs[k] for k in ("input_ids", "attention_mask")}
    with pytest.raises(MissingInputError, match="placeholders in the prompt, but no pixel"):
        family.encode(text)


@every_class
def test_text_alone_passes(name):
    family, _, _ = encoded_of(name)
    encoded = family.encode({"input_ids": torch.tensor([[5, 6, 7]])})
    pruned = family.prune(encoded, [torch.empty(0)])
    assert "mm_encoder_outputs" not in pruned
    with torch.no_grad():
        own = family.model(input_ids=torch.tensor([[5, 6, 7]])).logits
        assert close(family.model(**pruned).logits, own, 1e-5)


@every_class
def test_a_placeholder_too_few_or_hidden_is_refused(name):
    family, inputs, encoded = encoded_of(name)
    column = int(encoded.blocks[0][0].columns[0])
    fewer = inputs["input_ids"].clone()
    fewer[0, column] = 5
    with pytest.raises(ShapeError, match="expected as many placeholders as visual tokens"):
        family.encode(inputs | {"input_ids": fewer})
    hidden = inputs["attention_mask"].clone()
    hidden[0, column] = 0
    with pytest.raises(ShapeError, match="hides 1 placeholders"):
        family.encode(inputs | {"attention_mask": hidden})


def test_placeholders_that_match_in_sum_only_are_refused():
    """One too many here and one too few there: the model would run on shifted images."""
    family, inputs, encoded = encoded_of("llava, batch")
    shifted = inputs["input_ids"].clone()
    shifted[0, encoded.blocks[0][0].columns[0]] = 5
    shifted[1, encoded.blocks[1][0].columns[-1] + 1] = family.placeholder("image")
    with pytest.raises(ShapeError, match="meet placeholders of the prompts \\[0, 1\\]"):
        family.encode(inputs | {"input_ids": shifted})


@pytest.mark.parametrize(
    ("keep", "error"),
    [
        ([torch.tensor([0])], ShapeError),
        ([torch.tensor([0]), torch.tensor([16])], ShapeError),
        ([torch.tensor([0]), torch.tensor([-1])], ShapeError),
        ([torch.tensor([0]), torch.tensor([2, 2])], ShapeError),
        ([torch.tensor([0]), torch.tensor([0.5])], DTypeError),
        ([torch.tensor([0]), torch.ones(16, dtype=torch.bool)], DTypeError),
    ],
)
def test_kept_sets_that_make_no_sense_are_refused(keep, error):
    family, _, encoded = encoded_of("llava, batch")
    with pytest.raises(error, match="keep"):
        family.prune(encoded, keep)


def test_inputs_that_are_not_known_are_refused():
    family, inputs, _ = encoded_of("llava, batch")
    for name in ("inputs_embeds", "position_ids", "past_key_values"):
        with pytest.raises(ParameterError, match=name):
            family.encode(inputs | {name: torch.ones(2, 2)})
    with pytest.raises(DTypeError, match="input_ids"):
        family.encode({"input_ids": [[1, 2]]})
    with pytest.raises(ShapeError, match="attention_mask"):
        family.encode(inputs | {"attention_mask": torch.ones(2, 3)})
    with pytest.raises(ParameterError, match=r"positions: expected one of \['kept', 'compacted'\]"):
        family.prune(family.encode(inputs), positions="original")


def test_positions_by_hand():
    """Two words, 16 patches, one word; patches 1 and 4 kept: columns 0, 1, 3, 6, 18."""
    model = model_of("LlavaForConditionalGeneration")
    family, _, _ = encoded_of("llava")
    encoded = family.encode(tiny_inputs(model, [(2, "image", 1)]))
    keep = [torch.tensor([4, 1])]
    pruned = {p: family.prune(encoded, keep, positions=p) for p in ("kept", "compacted")}
    assert pruned["kept"]["position_ids"].tolist() == [[0, 1, 3, 6, 18]]
    assert pruned["compacted"]["position_ids"].tolist() == [[0, 1, 2, 3, 4]]
    with torch.no_grad():
        apart = [model(**p).logits[0, -1] for p in pruned.values()]
    assert (apart[0] - apart[1]).abs().max() > 0.1
    assert encoded.grid(0) == (4, 4)
    assert encoded.coords(0)[6].tolist() == [0, 0, 0, 1, 2]
