"""Qwen3-VL and Qwen2.5-VL as adapters: from images of any size to pruned answers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mllm_cases import QWEN, model_of

import mitheory
from mitheory.errors import MissingInputError
from mitheory.models.base import Example
from mitheory.models.mllm.adapter import MllmAdapter
from mitheory.selection import select
from mitheory.testing import tiny_inputs
from mitheory.testing.qwen import FRAMES_PER_PATCH, MERGE, PATCH, SPECIAL
from mitheory.testing.tokenizer import tiny_tokenizer

transformers = pytest.importorskip("transformers")

QUESTION = "What color is the shirt?"
SUFFIX = "\nAnswer the question using a single word or phrase."
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}<|vision_start|><|image_pad|><|vision_end|>{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class Processor(transformers.ProcessorMixin):
    """Stands for Qwen's, which torchvision would be needed for; its image processor is Qwen's."""

    def __init__(self):
        from transformers.models.qwen2_vl import image_processing_pil_qwen2_vl as images

        self.tokenizer = tiny_tokenizer(SPECIAL)
        self.image_processor = images.Qwen2VLImageProcessorPil(
            patch_size=PATCH, temporal_patch_size=FRAMES_PER_PATCH, merge_size=MERGE,
            min_pixels=16 * PATCH**2, max_pixels=80 * PATCH**2,
        )  # fmt: skip
        self.image_token = "<|image_pad|>"
        self.chat_template = TEMPLATE

    all_special_multimodal_tokens = ("<|image_pad|>",)

    def apply_chat_template(self, conversation, *, add_generation_prompt):
        return self.tokenizer.apply_chat_template(
            conversation,
            chat_template=TEMPLATE,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
        )

    def __call__(self, *, text, images, return_tensors, padding, **offsets):
        found = self.image_processor(images=images, return_tensors=return_tensors)
        counts = found["image_grid_thw"].prod(-1) // MERGE**2
        written, replacements = self.get_text_with_replacements(
            list(text), [self.image_token * int(n) for n in counts]
        )
        batch = self.tokenizer(
            written, return_tensors=return_tensors, padding=padding, return_offsets_mapping=True
        )
        return {
            **{k: v for k, v in batch.items() if k != "token_type_ids"},
            **found,
            "text_replacement_offsets": replacements,
        }


def example(i, height, width):
    image = np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Example(
        f"s{i}", f"i{i}", image, QUESTION + SUFFIX, "red", "all", metadata={"question": QUESTION}
    )


ASKED = [example(0, 24, 32), example(1, 40, 16), example(2, 32, 32)]
GRIDS = [(3, 4), (5, 2), (4, 4)]


@pytest.fixture(scope="module", params=["qwen2.5", "qwen3"])
def adapter(request):
    return MllmAdapter(model_of(QWEN[request.param]), Processor(), batch_size=2)


def test_samples_of_images_of_any_size(adapter):
    samples = adapter.encode(ASKED)
    assert [sample.grid for sample in samples] == GRIDS
    for sample in samples:
        words = "".join(sample.tokens).replace("▁", "")
        assert words == "".join(QUESTION.split())
        assert sample.text.shape == (len(sample.tokens), 64)
        rows, cols = sample.grid
        assert sample.metadata["views"] == [
            {"block": 0, "view": 0, "frames": 1, "rows": rows, "cols": cols, "tokens": rows * cols}
        ]
        assert json.loads(json.dumps(dict(sample.metadata))) == sample.metadata


def test_attention_is_what_tokens_receive_and_never_a_class_tokens(adapter):
    """There is no class token; column sums are those that the family reads."""
    samples = adapter.encode(ASKED)
    inputs = adapter._prepared([_asked(one) for one in ASKED[:2]])[0]
    encoded = adapter.family.encode(inputs, attention=True)
    for i, sample in enumerate(samples[:2]):
        assert sample.cls_attention is None
        assert sample.metadata["attention"] == "received"
        assert sample.patch_attention is None  # of n² numbers, which nobody reads
        own = sample.received_attention
        torch.testing.assert_close(own, encoded.attention(i).mean(0), atol=1e-6, rtol=1e-5)
        kept = select("attention", budget=3, received_attention=own).indices
        assert kept.tolist() == encoded.attention(i).mean(0).topk(3).indices.tolist()


def _asked(one):
    from mitheory.models.mllm.prompting import Asked

    return Asked(one.image, one.question, one.metadata["question"])


def test_all_tokens_give_the_models_own_answer(adapter):
    (answer,) = adapter.answer(adapter.encode(ASKED[:1]))
    inputs = adapter._prepared([_asked(ASKED[0])])[0]
    kinds = (inputs["input_ids"] == adapter.family.placeholder("image")).long()
    said = adapter.model.generate(
        **inputs, mm_token_type_ids=kinds, max_new_tokens=16, do_sample=False
    )
    new = said[0, inputs["input_ids"].shape[1] :]
    wanted = adapter.processor.tokenizer.decode(new, skip_special_tokens=True).strip()
    assert answer.text == wanted


def test_pruned_answers_do_not_depend_on_neighbors(adapter):
    samples = adapter.encode(ASKED)
    keep = [torch.tensor([5, 1]), torch.empty(0, dtype=torch.long), torch.arange(9)]
    together = adapter.answer(samples, keep)
    for sample, kept, ours in zip(samples, keep, together, strict=True):
        (alone,) = adapter.answer([sample], [kept])
        assert alone.text == ours.text
        assert alone.log_prob == pytest.approx(ours.log_prob, abs=1e-3)
        assert alone.log_prob_truth == pytest.approx(ours.log_prob_truth, abs=1e-3)
    assert [a.text for a in adapter.answer(samples)] != [a.text for a in together]


@pytest.mark.parametrize("name", QWEN)
def test_stock_models_are_pruned_by_attention_and_refuse_a_class_tokens(name):
    model = model_of(QWEN[name])
    inputs = tiny_inputs(model, [(2, "image", 3), (1, "video", 4)])
    with mitheory.prune(model, None, method="attention", budget=3) as pruner:
        model.generate(**inputs, max_new_tokens=1)
        for i, kept in enumerate(pruner.kept):
            ranked = pruner.encoded.attention(i).mean(0).topk(3).indices
            assert sorted(kept.tolist()) == sorted(ranked.tolist())
    with (
        mitheory.prune(model, None, method="cls_attention", budget=3),
        pytest.raises(MissingInputError, match="does not have; 'attention' ranks by what tokens"),
    ):
        model.generate(**inputs, max_new_tokens=1)
