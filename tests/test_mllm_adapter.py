"""A checkpoint of `transformers` as an adapter: encode, answer, extract, ablate."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from mllm_cases import LLAVA, NEXT, VIDEO, model_of

from analysis.ablation.job import BATCHES_PER_FILE, job_of
from mitheory import SELECTORS, provenance, select
from mitheory.bundle import BundleWriter
from mitheory.errors import (
    MissingDependencyError,
    MissingInputError,
    ParameterError,
    ShapeError,
    UnknownNameError,
)
from mitheory.models.base import Example, Stage
from mitheory.models.mllm import answering
from mitheory.models.mllm.adapter import MllmAdapter
from mitheory.models.mllm.options import Options
from mitheory.models.mllm.selecting import OF_ENCODER
from mitheory.models.resolving import checkpoint_identity, load_adapter, load_encoder
from mitheory.testing import save_tiny
from mitheory.testing.tokenizer import tiny_tokenizer

QUESTION = "What color is the shirt?"
SUFFIX = "\nAnswer the question using a single word or phrase."


def example(i, *, height=40, width=60, frames=0, **changes):
    image = np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8)
    metadata = {"question": QUESTION, **({"frames": frames} if frames else {})}
    fields = {"answer": "red", "question_type": "all", "metadata": metadata, **changes}
    return Example(f"s{i}", f"i{i}", image, QUESTION + SUFFIX, **fields)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {a: save_tiny(a, tmp_path_factory.mktemp("checkpoint")) for a in (LLAVA, NEXT)}


@pytest.fixture(scope="module")
def adapters(folders):
    return {a: load_adapter(folder, batch_size=2) for a, folder in folders.items()}


both = pytest.mark.parametrize("architecture", [LLAVA, NEXT])


@both
def test_a_sample_holds_what_the_decoder_is_shown(adapters, architecture):
    """V and T are rows of the embeddings that the model makes of the processor's own inputs."""
    adapter = adapters[architecture]
    asked = [example(0), example(1, height=64, width=20), example(2)]
    samples = adapter.encode(asked)
    for one, sample in zip(asked, samples, strict=True):
        text = f"USER: <image>\n{one.question} ASSISTANT:"
        inputs = adapter.processor(images=[one.image], text=[text], return_tensors="pt")
        seen = {}

        def catch(module, args, kwargs, seen=seen):
            seen["rows"] = kwargs["inputs_embeds"][0]

        hook = adapter.model.model.language_model.register_forward_pre_hook(catch, with_kwargs=True)
        with torch.no_grad():
            adapter.model(**inputs)
        hook.remove()
        spelled = adapter.processor.tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
        pieces = ["W", "hat", "▁color", "▁is", "▁the", "▁shirt", "?"]
        first = spelled.index("W")
        assert sample.tokens == tuple(spelled[first : first + len(pieces)]) == tuple(pieces)
        assert torch.allclose(sample.text, seen["rows"][first : first + len(pieces)])
        rows = seen["rows"][inputs["input_ids"][0] == adapter.family.placeholder("image")]
        newline = getattr(adapter.model.model, "image_newline", None)
        if newline is not None:
            rows = rows[~(rows == newline).all(dim=1)]
        assert torch.allclose(sample.visual, rows, atol=1e-5)
        assert sample.cls_attention.shape == (4, sample.n_v)
        assert sample.metadata["attention"] == "cls"
        assert torch.allclose(sample.received_attention, sample.cls_attention.mean(0), atol=1e-6)
        assert sample.patch_attention is None  # of n² numbers, which nobody reads
        assert torch.equal(sample.image, torch.from_numpy(one.image))
    assert [s.sample_id for s in samples] == ["s0", "s1", "s2"]
    assert samples[0].grid == ((4, 4) if architecture == LLAVA else None)
    assert json.loads(json.dumps(samples[0].metadata)) == samples[0].metadata


def test_every_image_is_encoded_once(adapters, monkeypatch):
    """Five questions about two images: two rows of pixels; each question has its own T."""
    adapter = adapters[LLAVA]
    asked = [
        replace(example(i % 2), sample_id=f"q{i}", question=f"{QUESTION} No {i}?", metadata={})
        for i in range(5)
    ]
    alone = [adapter.encode([one])[0] for one in asked]
    seen = []
    features = adapter.family.features
    monkeypatch.setattr(
        adapter.family,
        "features",
        lambda m, inputs: seen.append(len(inputs["pixel_values"])) or features(m, inputs),
    )
    together = adapter.encode(asked)
    assert sum(seen) == 2
    for one, other in zip(together, alone, strict=True):
        assert one.sample_id == other.sample_id
        assert one.tokens == other.tokens
        assert torch.allclose(one.text, other.text)
        assert torch.allclose(one.visual, other.visual, atol=1e-5)
    assert together[0].visual is together[2].visual


def test_views_say_where_tokens_stand(adapters):
    (sample,) = adapters[NEXT].encode([example(0)])
    views = [tuple(view.values()) for view in sample.metadata["views"]]
    assert views == [(0, 0, 1, 4, 4, 16), (0, 1, 1, 6, 8, 48)]


def test_the_scope_of_t(folders):
    """With all that the user wrote, the instruction behind the question is T too."""
    adapter = load_adapter(folders[LLAVA], text_scope="user_turn")
    (sample,) = adapter.encode([example(0)])
    spelled = adapter.processor.tokenizer.convert_tokens_to_string(list(sample.tokens))
    assert spelled == (QUESTION + SUFFIX).replace("\n", "")  # a line break alone is no word
    assert "text_scope=user_turn" in adapter.revision


@both
def test_all_tokens_give_the_models_own_answer(adapters, architecture):
    adapter = adapters[architecture]
    asked = example(3)
    (answer,) = adapter.answer(adapter.encode([asked]))
    text = f"USER: <image>\n{asked.question} ASSISTANT:"
    inputs = adapter.processor(images=[asked.image], text=[text], return_tensors="pt")
    own = adapter.model.generate(**inputs, max_new_tokens=16, do_sample=False)
    new = own[0, inputs["input_ids"].shape[1] :]
    assert answer.text == adapter.processor.tokenizer.decode(new, skip_special_tokens=True).strip()
    red = adapter.processor.tokenizer("red", add_special_tokens=False)["input_ids"]
    ids = torch.cat([inputs["input_ids"], torch.tensor([red])], dim=1)
    with torch.no_grad():
        further = {"image_sizes": inputs["image_sizes"]} if "image_sizes" in inputs else {}
        logits = adapter.model(
            input_ids=ids, pixel_values=inputs["pixel_values"], **further
        ).logits[0]
    log_p = logits[-len(red) - 1 : -1].log_softmax(-1)
    truth = sum(float(row[token]) for row, token in zip(log_p, red, strict=True))
    assert answer.log_prob_truth == pytest.approx(truth, abs=1e-3)


@both
@pytest.mark.parametrize("positions", ["kept", "compacted"])
def test_pruned_answers_do_not_depend_on_neighbors(adapters, architecture, positions):
    """Three questions in batches of two, against each alone; answers of unequal lengths."""
    adapter = adapters[architecture]
    asked = [example(i, answer=truth) for i, truth in enumerate(("red", "a very dark blue", ""))]
    samples = adapter.encode(asked)
    keep = [torch.tensor([5, 1]), torch.tensor([], dtype=torch.long), torch.arange(9)]
    together = adapter.answer(samples, keep, positions=positions)
    for i, sample in enumerate(samples):
        (alone,) = adapter.answer([sample], [keep[i]], positions=positions)
        assert alone.text == together[i].text
        assert alone.log_prob == pytest.approx(together[i].log_prob, abs=1e-3)
        if asked[i].answer:
            assert alone.log_prob_truth == pytest.approx(together[i].log_prob_truth, abs=1e-3)
        else:
            assert math.isnan(together[i].log_prob_truth)
    full = adapter.answer(samples)
    assert full[0].text != together[0].text


@both
def test_an_answer_to_averages_is_not_one_to_kept_tokens(adapters, architecture):
    """VisionZip in batches of two: `answer` with its merges is what `prune` would be told."""
    adapter = adapters[architecture]
    samples = adapter.encode([example(i) for i in range(3)])
    chosen = [
        select("visionzip", budget=6, contextual=2, **_of_encoder(s, "visionzip")) for s in samples
    ]
    keep, merges = [c.sorted for c in chosen], [c.merge for c in chosen]
    merged = adapter.answer(samples, keep, merges=merges)
    for i, sample in enumerate(samples):
        (alone,) = adapter.answer([sample], keep[i : i + 1], merges=merges[i : i + 1])
        assert alone.log_prob_truth == pytest.approx(merged[i].log_prob_truth, abs=1e-3)
        encoded = adapter.family.encode(adapter._prepared([_asked_of(sample)])[0], attention=True)
        pruned = adapter.family.prune(encoded, keep[i : i + 1], merges=merges[i : i + 1])
        truth = adapter._tokens(sample.answer)
        (own,) = answering.log_prob_of(adapter.model, pruned, [truth])
        assert alone.log_prob_truth == pytest.approx(own, abs=1e-3)
    plain = adapter.answer(samples, keep)
    assert all(
        abs(p.log_prob_truth - m.log_prob_truth) > 1e-2 for p, m in zip(plain, merged, strict=True)
    )
    with pytest.raises(ShapeError, match="one per sample"):
        adapter.answer(samples, keep, merges=merges[:1])
    with pytest.raises(ShapeError, match="beside keep"):
        adapter.answer(samples, merges=merges)


def _of_encoder(sample, method):
    names = SELECTORS[method].inputs
    return {name: x for name, x in sample.tensors().items() if name in names}


def test_what_is_said_is_as_probable_as_given(adapters):
    """The truth being what the model says, both log-probabilities are of the same tokens."""
    adapter = adapters[LLAVA]
    (sample,) = adapter.encode([example(0)])
    keep = [torch.tensor([2, 3, 11])]

    (one,) = adapter.answer([sample], keep)
    asked = [_asked_of(sample)]
    encoded = adapter.family.encode(adapter._prepared(asked)[0])
    tokens, log_probs = answering.said(
        adapter.model, adapter.family.prune(encoded, keep), adapter.generation
    )
    pruned = adapter.family.prune(encoded, keep)
    (again,) = answering.log_prob_of(adapter.model, pruned, tokens)
    assert one.log_prob == pytest.approx(log_probs[0], abs=1e-4)
    assert again == pytest.approx(log_probs[0], abs=1e-3)


def _asked_of(sample):
    from mitheory.models.mllm.prompting import Asked

    return Asked(sample.image.numpy(), sample.question, sample.metadata["question"])


def test_nothing_behind_the_end_token_counts(adapters):
    """The first token said made the end token: one token, and its log-probability alone."""
    adapter = adapters[LLAVA]
    samples = adapter.encode([example(0), example(1)])

    encoded = adapter.family.encode(adapter._prepared([_asked_of(sample) for sample in samples])[0])
    greedy, _ = answering.said(
        adapter.model, adapter.family.prune(encoded), {"max_new_tokens": 4, "do_sample": False}
    )
    adapter.model.generation_config.eos_token_id = greedy[0][1]
    try:
        tokens, log_probs = answering.said(
            adapter.model, adapter.family.prune(encoded), {"max_new_tokens": 4, "do_sample": False}
        )
    finally:
        adapter.model.generation_config.eos_token_id = None
    assert tokens == [greedy[0][:2], greedy[1]]  # the other one goes on
    pruned = adapter.family.prune(encoded)
    assert log_probs == pytest.approx(
        answering.log_prob_of(adapter.model, pruned, tokens), abs=1e-3
    )


def test_sampled_answers_can_be_had_again(folders):
    """Alone or beside others, and whatever was drawn before."""
    adapter = load_adapter(folders[LLAVA], generation={"do_sample": True, "max_new_tokens": 6})
    samples = adapter.encode([example(0), example(1)])
    together = adapter.answer(samples)
    torch.rand(3)
    state = torch.get_rng_state()
    (alone,) = adapter.answer(samples[1:])
    assert alone.text == together[1].text
    assert torch.equal(torch.get_rng_state(), state)
    assert "do_sample=True" in adapter.revision


def test_what_these_models_cannot_do_is_refused(adapters):
    adapter = adapters[LLAVA]
    samples = adapter.encode([example(0)])
    with pytest.raises(ParameterError, match="words: expected None"):
        adapter.answer(samples, words=[torch.arange(3)])
    with pytest.raises(ParameterError, match="order: expected 'raster'"):
        adapter.answer(samples, order="pick")
    with pytest.raises(MissingInputError, match="'s0' holds no image"):
        adapter.answer([replace(samples[0], image=None)])
    with pytest.raises(ShapeError, match="one index tensor per sample"):
        adapter.answer(samples, [torch.arange(2)] * 2)
    none = dict.fromkeys(OF_ENCODER)
    fewer = replace(samples[0], visual=samples[0].visual[:9], grid=(3, 3), **none)
    with pytest.raises(ShapeError, match="expected 16 visual tokens under these options, got 9"):
        adapter.answer([fewer])


def test_examples_that_cannot_be_asked_are_refused(adapters):
    adapter = adapters[LLAVA]
    with pytest.raises(MissingInputError, match="is not in the prompt"):
        adapter.encode([example(0, metadata={"question": "Who?"})])
    with pytest.raises(ShapeError, match=r"expected \(h, w, 3\) uint8"):
        adapter.encode([replace(example(0), image=np.zeros((4, 4), dtype=np.uint8))])
    with pytest.raises(ParameterError, match=r"prompt: expected at most 2048 tokens, got \d{4}"):
        adapter.encode([replace(example(0), question=QUESTION + " x" * 2100)])


def test_a_question_that_spells_a_placeholder_is_one_error(adapters):
    """As a typed error: a run goes on with the next question."""
    asked = replace(example(0), question="What does <image> mean?", metadata={})
    with pytest.raises(ParameterError, match=r"the processor does not take it: .*2 <image> tokens"):
        adapters[LLAVA].encode([asked])


def test_embeddings_of_words(adapters):
    adapter = adapters[LLAVA]
    found = adapter.embed(["shirt", "red"])
    tokens = adapter.processor.tokenizer(" shirt red", add_special_tokens=False)["input_ids"]
    weights = adapter.model.get_input_embeddings().weight.detach()
    assert torch.equal(found, weights[tokens])


def test_sizes_of_the_decoder(adapters):
    adapter = adapters[LLAVA]
    assert (adapter.n_layers, adapter.decoder.width, adapter.decoder.intermediate) == (3, 64, 96)
    assert adapter.decoder.key_value_share == 0.5
    assert str(adapter.dtype) == "torch.float32"


# --- inside the decoder -----------------------------------------------------------------------


@both
def test_staged_answers_do_not_depend_on_neighbors(adapters, architecture):
    """Three questions in batches of two, with budgets of their own, against each alone; with
    everything kept, they are those of `answer`."""
    adapter = adapters[architecture]
    asked = [example(i, answer=truth) for i, truth in enumerate(("red", "a very dark blue", ""))]
    samples = adapter.encode(asked)
    stages = [Stage(1, "fastv", (3, 9, 4)), Stage(2, "mi_pruner", 2)]
    together = adapter.answer_staged(samples, stages, seed=[1, 2, 3])
    for i, sample in enumerate(samples):
        own = [replace(stages[0], budget=stages[0].budget[i]), stages[1]]
        (alone,) = adapter.answer_staged([sample], own)
        assert alone.tokens_per_layer == (sample.n_v, own[0].budget, 2)
        assert [k.tolist() for k in alone.kept] == [k.tolist() for k in together[i].kept]
        assert alone.answer.text == together[i].answer.text
        assert alone.answer.log_prob == pytest.approx(together[i].answer.log_prob, abs=1e-3)
        if asked[i].answer:
            truth = together[i].answer.log_prob_truth
            assert alone.answer.log_prob_truth == pytest.approx(truth, abs=1e-3)
    everything = adapter.answer_staged(samples, [Stage(1, "dart", 1.0)])
    for one, other in zip(everything, adapter.answer(samples), strict=True):
        assert one.answer.text == other.text
        assert one.answer.log_prob == pytest.approx(other.log_prob, abs=1e-3)
    assert together[0].answer.log_prob != pytest.approx(everything[0].answer.log_prob, abs=1e-2)


def test_t_of_a_stage_is_the_question(adapters):
    """MI-Pruner before layer 1 keeps what it keeps before the decoder."""
    adapter = adapters[LLAVA]
    (sample,) = adapter.encode([example(0)])
    (found,) = adapter.answer_staged([sample], [Stage(1, "mi_pruner", 4)])
    own = select("mi_pruner", visual=sample.visual, text=sample.text, budget=4)
    assert found.kept[0].tolist() == own.sorted.tolist()
    (found,) = adapter.answer_staged([sample], [Stage(2, "cls_attention", 4)])
    own = select(
        "cls_attention", visual=sample.visual, cls_attention=sample.cls_attention, budget=4
    )
    assert found.kept[0].tolist() == own.sorted.tolist()


def test_stages_that_cannot_be_are_refused(adapters, folders):
    adapter = adapters[LLAVA]
    samples = adapter.encode([example(0)])
    with pytest.raises(ParameterError, match=r"within 1\.\.2, got \[0\]"):
        adapter.answer_staged(samples, [Stage(0, "fastv", 4)])
    with pytest.raises(ShapeError, match="seed: expected one or 1 of them"):
        adapter.answer_staged(samples, [Stage(1, "fastv", 4)], seed=[1, 2])
    encoder = load_adapter(folders[LLAVA], decoder=False)
    with pytest.raises(MissingInputError, match="without its decoder"):
        encoder.answer_staged(samples, [Stage(1, "fastv", 4)])


# --- by name ----------------------------------------------------------------------------------


def test_options_and_files_are_in_the_revision(folders, tmp_path):
    folder = shutil.copytree(folders[LLAVA], tmp_path / "copy")
    plain = load_adapter(folder).revision
    assert load_adapter(folder).revision == plain
    assert load_adapter(folder, newline="never").revision == f"{plain} newline=never"
    settings = folder / "processor_config.json"
    changed = json.loads(settings.read_text(encoding="utf-8"))
    changed["image_processor"]["do_normalize"] = False
    settings.write_text(json.dumps(changed), encoding="utf-8")
    assert load_adapter(folder).revision != plain


def test_options_may_stand_behind_the_name(folders):
    """Where only a name can be given, such as on the command line."""
    folder = folders[LLAVA]
    adapter = load_adapter(f"{folder}?newline=never&attention_layer=-1&dtype=bfloat16")
    assert (adapter.options.newline, adapter.options.attention_layer) == ("never", -1)
    assert adapter.dtype == torch.bfloat16
    given = load_adapter(folder, newline="never", attention_layer=-1, dtype="bfloat16")
    assert given.revision == adapter.revision
    with pytest.raises(ParameterError, match=r"each once, got \['newline'\]"):
        load_adapter(f"{folder}?newline=never", newline="always")
    for wrong in ("newline", "newline=", "=never", "newline=never&newline=always"):
        with pytest.raises(ParameterError, match="expected name=value"):
            load_adapter(f"{folder}?{wrong}")


def test_for_encoding_alone_no_decoder_is_loaded(folders):
    """The samples, and the revision by which answers find them, are the same."""
    folder = folders[LLAVA]
    encoder, whole = load_encoder(folder), load_adapter(folder)
    assert len(encoder.model.model.language_model.layers) == 0
    assert encoder.revision == whole.revision
    (one,), (other,) = encoder.encode([example(0)]), whole.encode([example(0)])
    assert torch.equal(one.visual, other.visual)
    assert torch.equal(one.text, other.text)
    assert len(load_encoder(f"{folder}?decoder=true").model.model.language_model.layers) == 3
    with pytest.raises(MissingInputError, match="decoder"):
        encoder.answer([one])
    assert load_encoder("fruitfly").name == "fruitfly"


def test_options_that_do_not_exist(folders):
    with pytest.raises(ParameterError, match=r"expected some of .*newline.*, got \['new_line'\]"):
        load_adapter(folders[LLAVA], new_line="never")
    with pytest.raises(ParameterError, match="options of 'fruitfly': expected none"):
        load_adapter("fruitfly", newline="never")


@pytest.mark.parametrize(("height", "width"), [(40, 61), (64, 21), (32, 32)])
def test_padded_to_a_square_as_llavas_evaluation_does(folders, adapters, height, width):
    """Pixel by pixel what the processor of LLaVA gives when it is told to pad."""
    from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

    adapter = load_adapter(folders[LLAVA], pad_to_square=True)
    one = example(0, height=height, width=width)
    own = adapter.processor.image_processor
    theirs = LlavaImageProcessorPil(**{**own.to_dict(), "do_pad": True})
    wanted = theirs(one.image, return_tensors="pt")["pixel_values"]
    (sample,) = adapter.encode([one])
    ours = adapter._prepared([_asked_of(sample)])[0]["pixel_values"]
    assert torch.equal(ours, wanted)
    cropped = adapters[LLAVA]._prepared([_asked_of(sample)])[0]["pixel_values"]
    assert torch.equal(ours, cropped) == (height == width)
    assert sample.metadata["pad_to_square"]
    assert torch.equal(sample.image, torch.from_numpy(one.image))  # as it was


def test_padding_is_another_revision_and_of_croppers_only(folders, adapters):
    padding = load_adapter(folders[LLAVA], pad_to_square=True)
    assert padding.revision == f"{adapters[LLAVA].revision} pad_to_square=True"
    assert checkpoint_identity(folders[LLAVA], pad_to_square=True)[0] == padding.revision
    assert not adapters[LLAVA].encode([example(0)])[0].metadata["pad_to_square"]
    with pytest.raises(ParameterError, match="pad_to_square: the processor of LlavaNext"):
        load_adapter(folders[NEXT], pad_to_square=True)


def test_half_precision(folders):
    adapter = load_adapter(folders[LLAVA], dtype="bfloat16")
    (sample,) = adapter.encode([example(0)])
    assert adapter.dtype == torch.bfloat16
    assert sample.visual.dtype == sample.text.dtype == torch.float32
    assert adapter.answer([sample], [torch.arange(4)])[0].text


def test_architectures_that_are_not_known(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "bert", "architectures": ["BertModel"]}), encoding="utf-8"
    )
    with pytest.raises(UnknownNameError, match=r"'BertModel'.*Known: .*LlavaFor"):
        load_adapter(tmp_path)


def test_checkpoints_that_cannot_be_had(monkeypatch, tmp_path):
    def absent(*args, **kwargs):
        raise OSError("no such repository")

    monkeypatch.setattr("huggingface_hub.snapshot_download", absent)
    with pytest.raises(ParameterError, match="repository of the Hub, got 'nobody/nothing': no"):
        load_adapter("nobody/nothing")
    with pytest.raises(ParameterError, match=r"a folder with a config\.json or owner/name"):
        load_adapter(tmp_path)


def test_for_extraction_alone_no_decoder_is_loaded(folders, adapters):
    """The same samples, of the same revision; answering is refused."""
    adapter = load_adapter(folders[LLAVA], decoder=False)
    assert adapter.revision == adapters[LLAVA].revision
    asked = [example(0), example(1)]
    for ours, whole in zip(adapter.encode(asked), adapters[LLAVA].encode(asked), strict=True):
        assert torch.equal(ours.visual, whole.visual)
        assert torch.equal(ours.text, whole.text)
        assert torch.equal(ours.cls_attention, whole.cls_attention)
    with pytest.raises(MissingInputError, match="without its decoder, and cannot answer"):
        adapter.answer(adapter.encode(asked))


def test_a_processor_that_needs_torchvision_says_so(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torchvision", None)
    folder = save_tiny(LLAVA, tmp_path)
    (folder / "processor_config.json").unlink()
    import transformers

    def broken(*args, **kwargs):
        raise AttributeError("VIDEO_PROCESSOR_MAPPING")

    monkeypatch.setattr(transformers.AutoProcessor, "from_pretrained", broken)
    with pytest.raises(MissingDependencyError, match=r"needs torchvision.*mitheory\[mllm\]"):
        load_adapter(folder)


# --- videos -----------------------------------------------------------------------------------


class VideoProcessor:
    """Stands for Video-LLaVA's, which torchvision would be needed for."""

    chat_template = None

    def __init__(self):
        self.tokenizer = tiny_tokenizer(("<image>", "<video>"))

    def __call__(self, *, text, videos, return_tensors, padding, **offsets):
        rows, replacements = [], []
        for prompt in text:
            at = prompt.index("<video>")
            long = "<video>" * 51
            rows.append(prompt.replace("<video>", long))
            span = {"span": (at, at + 7), "new_span": (at, at + len(long)), "replacement": long}
            replacements.append([span])
        batch = self.tokenizer(rows, return_tensors="pt", padding=True, return_offsets_mapping=True)
        pixels = [torch.from_numpy(video).permute(0, 3, 1, 2) / 255 for video in videos]
        return {
            **{k: v for k, v in batch.items() if k != "token_type_ids"},
            "pixel_values_videos": torch.stack(pixels),
            "text_replacement_offsets": replacements,
        }


def test_videos_are_frames_below_one_another():
    model = model_of(VIDEO)
    adapter = MllmAdapter(model, VideoProcessor(), options=Options(), batch_size=2)
    asked = [example(i, height=96, width=32, frames=3) for i in range(2)]
    samples = adapter.encode(asked)
    assert samples[1].grid == (4, 4, 3)
    assert samples[1].metadata["views"][0]["frames"] == 3
    pixels = torch.from_numpy(asked[1].image).view(3, 32, 32, 3).permute(0, 3, 1, 2)[None] / 255
    with torch.no_grad():
        own = model.model.get_video_features(pixels, return_dict=True).pooler_output[:, 1:]
    assert torch.allclose(samples[1].visual, own.flatten(0, 1), atol=1e-5)
    answers = adapter.answer(samples, [torch.arange(5), torch.arange(40, 48)])
    assert len({a.text for a in answers}) == 2
    with pytest.raises(ShapeError, match="expected 5 frames below one another"):
        adapter.encode([example(0, height=96, width=32, frames=5)])


# --- through the commands ---------------------------------------------------------------------


def test_a_checkpoint_through_extract_and_ablate(folders, tmp_path):
    """The commands that run on the fruit-fly run on a checkpoint by its folder alone."""
    import pandas as pd
    from typer.testing import CliRunner

    from analysis.cli import app

    folder = str(folders[LLAVA])
    run = CliRunner().invoke
    done = run(app, ["extract", "--model", folder, "--limit", "4", "--out", str(tmp_path / "b")])
    assert done.exit_code == 0, done.output
    from mitheory.bundle import Bundle

    bundle = Bundle.open(tmp_path / "b")
    assert len(bundle) == 4
    assert bundle[0].metadata["pruning"]["text_scope"] == "question"
    args = ["--set", "method=mi_pruner,cls_attention", "--set", "budget=4", "--limit", "16"]
    out = ["--reference", "method=mi_pruner", "--jobs", "1", "--out", str(tmp_path / "a")]
    done = run(app, ["ablate", "--model", folder, *args, *out])
    assert done.exit_code == 0, done.output
    (results,) = {p.parent for p in (tmp_path / "a").rglob("results/*.parquet")}
    table = pd.concat([pd.read_parquet(p) for p in results.glob("*.parquet")])
    assert len(table) == 32
    assert table.error.isna().all()
    assert set(table.n_kept) == {4}
    assert table.prediction.str.len().gt(0).all()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"newline": "never", "batch_size": 3, "dtype": "bfloat16"},
        {"generation": {"num_beams": 2}, "positions": "compacted", "attention_layer": -1},
    ],
)
def test_a_job_knows_its_model_without_loading_it(folders, tmp_path, monkeypatch, options):
    """What names the files of a grid is what the loaded model says of itself."""
    loaded = load_adapter(folders[NEXT], **options)
    bundle = tmp_path / "bundle"
    with BundleWriter(bundle, provenance.collect("test", seed=0)) as writer:
        for sample in loaded.encode([example(0)]):
            writer.add(sample)

    def forbidden(*args, **kwargs):
        raise AssertionError("weights were loaded")

    with monkeypatch.context() as without:
        without.setattr("mitheory.models.mllm.adapter.load_model", forbidden)
        job = job_of(bundle, tmp_path, str(folders[NEXT]), seed=0, loading=options)
        assert checkpoint_identity(folders[NEXT], **options) == (
            loaded.revision,
            loaded.batch_size,
        )
        assert job.per_file == BATCHES_PER_FILE * loaded.batch_size
        others = ({"newline": "always"}, {"generation": {"max_new_tokens": 3}})
        names = {
            job_of(bundle, tmp_path, str(folders[NEXT]), seed=0, loading=o).common for o in others
        }
        assert len(names | {job.common}) == 3
        with pytest.raises(ParameterError, match="options of a checkpoint"):
            job_of(bundle, tmp_path, str(folders[NEXT]), seed=0, loading={"newlines": "always"})
        with pytest.raises(ParameterError, match="each once"):
            job_of(bundle, tmp_path, f"{folders[NEXT]}?seed=1", seed=0, loading={"seed": 1})
