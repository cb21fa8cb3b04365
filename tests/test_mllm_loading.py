"""Checkpoints on disk in the real layout, whole and for extraction, and what must not be loaded."""

from __future__ import annotations

import ast
import copy
import fnmatch
import json
import shutil
import sys
from functools import cache

import pytest
import torch
from mllm_cases import CASES, ONE_EACH, model_of
from structure import python_files

from mitheory import select
from mitheory.errors import (
    BundleError,
    MissingDependencyError,
    MissingInputError,
    ParameterError,
    UnknownNameError,
)
from mitheory.models.mllm import loading
from mitheory.models.mllm.loading import (
    INDEX,
    Loading,
    NoDecoder,
    load_model,
    load_processor,
    needed_shards,
    read_index,
)
from mitheory.models.mllm.registry import family_of
from mitheory.models.mllm.sizes import footprint
from mitheory.testing import save_tiny, tiny_inputs
from mitheory.testing.shapes import SHAPES, full_size

safetensors = pytest.importorskip("safetensors.torch")
transformers = pytest.importorskip("transformers")

CPU = Loading(device="cpu")
LLAVA, QWEN = "LlavaForConditionalGeneration", "Qwen3VLForConditionalGeneration"
LAST = [-3, -2, -1]  # words behind the image, in every prompt of the cases
every_class = pytest.mark.parametrize("architecture", ONE_EACH)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Folder of a class's checkpoint, its tensors named as on the Hub; not to be changed."""

    @cache
    def saved(architecture):
        folder = save_tiny(architecture, tmp_path_factory.mktemp(architecture))
        for tower in ("vision_tower", "image_tower", "video_tower"):
            renamed(folder, f"{tower}.", f"{tower}.vision_model.")
        return folder

    return saved


def renamed(folder, old, new):
    """Every tensor whose name begins with `old`, in the shards and in the index."""

    def name(key):
        return new + key.removeprefix(old) if key.startswith(old) else key

    for path in folder.glob("*.safetensors"):
        tensors = safetensors.load_file(path)
        safetensors.save_file({name(k): x for k, x in tensors.items()}, path, {"format": "pt"})
    weight_map = {name(k): file for k, file in read_index(folder).items()}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


@pytest.fixture
def copied(checkpoint, tmp_path):
    """A copy that may be changed."""

    def made(architecture):
        return shutil.copytree(checkpoint(architecture), tmp_path / "copy")

    return made


def inputs_of(architecture):
    return tiny_inputs(model_of(architecture), CASES[ONE_EACH[architecture]].prompts)


# --- without the decoder -------------------------------------------------------------------------


@every_class
def test_extraction_is_bit_equal_without_the_decoder(architecture, checkpoint):
    """V, T, positions and attention of encoder, projector and embeddings alone, from some shards,
    against those of the model in memory from which the checkpoint was written."""
    folder = checkpoint(architecture)
    shards = set(read_index(folder).values())
    assert 1 < len(needed_shards(read_index(folder))) < len(shards)
    part = load_model(folder, CPU, decoder=False)
    assert not part.has_decoder
    assert part.architecture == architecture
    inputs = inputs_of(architecture)
    whole, partial = family_of(model_of(architecture)), family_of(part.model)
    ours = [family.encode(inputs, attention=True) for family in (whole, partial)]
    assert torch.equal(ours[0].position_ids, ours[1].position_ids)
    for sample in range(2):
        assert len(ours[0].visual(sample)) > 0
        assert torch.equal(ours[0].visual(sample), ours[1].visual(sample))
        assert torch.equal(*(
            family.text(own, sample, torch.tensor(LAST))
            for family, own in zip((whole, partial), ours, strict=True)
        ))  # fmt: skip
        for a, b in zip(ours[0].blocks[sample], ours[1].blocks[sample], strict=True):
            assert torch.equal(a.attention.nan_to_num(-1), b.attention.nan_to_num(-1))


@every_class
def test_what_is_loaded_is_what_the_estimate_says(architecture, checkpoint):
    """Nothing of the decoder, nor of the head, takes memory; nothing of the rest is missing."""
    model = load_model(checkpoint(architecture), CPU, decoder=False).model
    config = copy.deepcopy(model_of(architecture).config)
    config.architectures = [architecture]
    estimate = footprint(config)
    loaded = sum(weight.numel() for weight in model.parameters())
    assert loaded == estimate.extraction < 0.6 * estimate.total
    assert estimate.total == sum(w.numel() for w in model_of(architecture).parameters())
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"cpu"}


@every_class
def test_a_model_without_its_decoder_does_not_answer(architecture, checkpoint):
    model = load_model(checkpoint(architecture), CPU, decoder=False).model
    inputs = inputs_of(architecture)
    with pytest.raises(MissingInputError, match="without its decoder, and cannot answer"):
        model(**inputs)
    with pytest.raises(MissingInputError, match="decoder=True"):
        model.generate(**inputs, max_new_tokens=1)
    with pytest.raises(MissingInputError):
        NoDecoder()(torch.ones(1))


@every_class
def test_shards_that_are_not_needed_need_not_be_there(architecture, copied):
    folder = copied(architecture)
    weight_map = read_index(folder)
    needed = needed_shards(weight_map)
    for file in set(weight_map.values()) - set(needed):
        (folder / file).unlink()
    model = load_model(folder, CPU, decoder=False).model
    inputs = inputs_of(architecture)
    own = family_of(model_of(architecture)).encode(inputs).visual(0)
    assert torch.equal(family_of(model).encode(inputs).visual(0), own)
    with pytest.raises(BundleError, match="expected weights in safetensors, missing"):
        load_model(folder, CPU)
    (folder / needed[0]).unlink()
    with pytest.raises(BundleError, match=needed[0]):
        load_model(folder, CPU, decoder=False)


@every_class
@pytest.mark.parametrize("shards", [1, 4])
def test_tensors_may_have_the_librarys_own_names(architecture, shards, copied):
    """As some fine-tuned checkpoints have them, instead of the names on the Hub."""
    folder = copied(architecture)
    for path in [*folder.glob("*.safetensors"), folder / INDEX]:
        path.unlink()
    tensors = [(k, x.clone()) for k, x in model_of(architecture).state_dict().items()]
    weight_map = {}
    for i in range(shards):
        name = f"part-{i}.safetensors" if shards > 1 else "model.safetensors"
        safetensors.save_file(dict(tensors[i::shards]), folder / name, {"format": "pt"})
        weight_map |= {key: name for key, _ in tensors[i::shards]}
    if shards > 1:
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    inputs = inputs_of(architecture)
    own = family_of(model_of(architecture)).encode(inputs)
    for decoder in (True, False):
        family = family_of(load_model(folder, CPU, decoder=decoder).model)
        ours = family.encode(inputs)
        assert torch.equal(ours.visual(0), own.visual(0))
        assert torch.equal(
            family.text(ours, 0, torch.tensor(LAST)),
            family_of(model_of(architecture)).text(own, 0, torch.tensor(LAST)),
        )


@pytest.mark.parametrize(
    ("name", "total", "extraction", "head", "per_token"),
    [
        ("llava-1.5-7b", 7.06, 0.85, 0.24, 512),
        ("llava-1.5-13b", 13.35, 0.93, 0.31, 800),
        ("llava-next-7b", 7.06, 0.85, 0.24, 512),
        ("video-llava-7b", 7.37, 1.41, 0.24, 512),
        ("qwen2-vl-7b", 8.29, 2.27, 1.02, 56),
        ("qwen2.5-vl-7b", 8.29, 2.28, 1.02, 56),
        ("qwen3-vl-2b", 2.13, 1.34, 0.0, 112),
        ("qwen3-vl-8b", 8.77, 2.23, 1.16, 144),
        ("qwen3-vl-30b-a3b", 31.07, 1.58, 0.58, 96),
    ],
)
def test_all_models_of_the_paper_extract_within_three_gibibytes(
    name, total, extraction, head, per_token
):
    """In bfloat16; the head alone would take two of them over it. Billions, GiB and KiB."""
    size = footprint(full_size(name))
    assert size.total / 1e9 == pytest.approx(total, abs=0.005)
    assert size.gibibytes(size.extraction) == pytest.approx(extraction, abs=0.01)
    assert size.gibibytes(size.extraction) < 3
    assert size.gibibytes(size.head) == pytest.approx(head, abs=0.005)
    assert size.gibibytes(size.cached_per_token) * 2**20 == per_token
    assert set(SHAPES) >= {name}


# --- whole ---------------------------------------------------------------------------------------


@every_class
def test_a_whole_model_answers_as_the_one_that_was_saved(architecture, checkpoint):
    loaded = load_model(checkpoint(architecture), CPU)
    inputs = inputs_of(architecture)
    with torch.no_grad():
        assert torch.equal(loaded.model(**inputs).logits, model_of(architecture)(**inputs).logits)
    assert not loaded.model.training
    assert not any(weight.requires_grad for weight in loaded.model.parameters())


def test_one_file_of_weights_serves_as_well(tmp_path):
    model_of(LLAVA).save_pretrained(tmp_path)
    assert not (tmp_path / INDEX).exists()
    model = load_model(tmp_path, CPU, decoder=False).model
    inputs = inputs_of(LLAVA)
    own = family_of(model_of(LLAVA)).encode(inputs).visual(1)
    assert torch.equal(family_of(model).encode(inputs).visual(1), own)


@pytest.mark.parametrize("decoder", [True, False])
def test_half_precision_is_of_the_model_and_not_of_pmi(decoder, checkpoint):
    """Scores of bfloat16 embeddings are those of the same numbers in float32."""
    model = load_model(
        checkpoint(QWEN), Loading(dtype="bfloat16", device="cpu"), decoder=decoder
    ).model  # fmt: skip
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    family = family_of(model)
    encoded = family.encode(inputs_of(QWEN))
    v, t = encoded.visual(0), family.text(encoded, 0, torch.tensor(LAST))
    assert v.dtype == torch.bfloat16
    half, full = (
        select("mi_pruner", visual=a, text=b, budget=3) for a, b in ((v, t), (v.float(), t.float()))
    )
    assert half.indices.tolist() == full.indices.tolist()
    assert half.gains.dtype == torch.float32
    assert torch.equal(half.gains, full.gains)


@pytest.mark.parametrize("decoder", [True, False])
def test_a_device_map_needs_accelerate(decoder, checkpoint, monkeypatch):
    pytest.importorskip("accelerate")
    mapped = Loading(device_map="cpu", attn_implementation="eager")
    model = load_model(checkpoint(QWEN), mapped, decoder=decoder).model
    assert model.model.visual.config._attn_implementation == "eager"
    inputs = inputs_of(QWEN)
    own = family_of(model_of(QWEN)).encode(inputs).visual(0)
    ours = family_of(model).encode(inputs).visual(0)
    torch.testing.assert_close(ours, own, atol=1e-4, rtol=0)  # eager, not SDPA
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingDependencyError, match="accelerate"):
        load_model(checkpoint(QWEN), mapped, decoder=decoder)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dtype": "int8"}, "dtype: expected one of"),
        ({"attn_implementation": "flash"}, "attn_implementation: expected one of"),
        ({"device": "cpu", "device_map": "auto"}, "device: expected 'auto' beside a device_map"),
    ],
)
def test_ways_of_loading_are_checked(wrong, message):
    with pytest.raises(ParameterError, match=message):
        Loading(**wrong)


def test_the_librarys_verbosity_is_left_as_it_was(checkpoint):
    before = transformers.utils.logging.get_verbosity()
    load_model(checkpoint(LLAVA), CPU, decoder=False)
    assert transformers.utils.logging.get_verbosity() == before


# --- from the Hub --------------------------------------------------------------------------------


@pytest.fixture
def hub(checkpoint, tmp_path, monkeypatch):
    """A Hub of one repository; what was asked of it, and fetched, is on record."""
    calls = []

    def snapshot_download(repo_id, *, revision=None, allow_patterns):
        if repo_id != "lab/tiny":
            raise OSError(f"no repository {repo_id}")
        cache = tmp_path / "models--lab--tiny" / "snapshots" / "0123abcd"
        cache.mkdir(parents=True, exist_ok=True)
        for path in checkpoint(QWEN).iterdir():
            if any(fnmatch.fnmatch(path.name, pattern) for pattern in allow_patterns):
                shutil.copy(path, cache)
        calls.append(revision)
        return str(cache)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    return calls


@pytest.mark.parametrize("decoder", [True, False])
def test_only_needed_shards_are_fetched(hub, decoder, checkpoint):
    loaded = load_model("lab/tiny", Loading(device="cpu", revision="v2"), decoder=decoder)
    weight_map = read_index(checkpoint(QWEN))
    wanted = set(weight_map.values()) if decoder else set(needed_shards(weight_map))
    assert {path.name for path in loaded.folder.glob("*.safetensors")} == wanted
    assert set(hub) == {"v2"}
    assert loaded.revision == "0123abcd"
    inputs = inputs_of(QWEN)
    own = family_of(model_of(QWEN)).encode(inputs).visual(0)
    assert torch.equal(family_of(loaded.model).encode(inputs).visual(0), own)


def test_a_revision_is_known_without_weights(hub, checkpoint, copied, tmp_path):
    """What `load_model` would say, of the Hub and of folders; of the Hub no weights are fetched."""
    assert loading.revision_of("lab/tiny", revision="v2") == "0123abcd"
    assert not list(tmp_path.rglob("*.safetensors"))
    assert load_model("lab/tiny", CPU).revision == "0123abcd"
    folder = checkpoint(QWEN)
    assert loading.revision_of(folder) == load_model(folder, CPU).revision
    with pytest.raises(ParameterError, match="got 'lab/no'"):
        loading.revision_of("lab/no")
    strange = copied(QWEN)
    config = json.loads((strange / "config.json").read_text(encoding="utf-8"))
    text = json.dumps(config | {"architectures": ["BertModel"]})
    (strange / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(UnknownNameError, match="'BertModel'"):
        loading.revision_of(strange)


def test_what_the_hub_does_not_have_is_said(hub):
    with pytest.raises(ParameterError, match="a folder or a repository of the Hub, got 'lab/no'"):
        load_model("lab/no", CPU)


def test_a_folder_has_no_revision(checkpoint):
    with pytest.raises(ParameterError, match="revision: a folder has none, got 'main'"):
        load_model(checkpoint(QWEN), Loading(device="cpu", revision="main"))


# --- what must not be loaded ---------------------------------------------------------------------


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_unknown_class_is_answered_with_the_known_ones(copied):
    folder = copied(QWEN)
    edit_config(folder, architectures=["BertForMaskedLM"])
    with pytest.raises(UnknownNameError, match=r"unknown architecture 'BertForMaskedLM'.*Qwen3VL"):
        load_model(folder, CPU)
    edit_config(folder, architectures=[])
    with pytest.raises(ParameterError, match="expected the model's class as 'architectures'"):
        load_model(folder, CPU)


def test_code_beside_the_weights_is_never_run(copied, tmp_path, monkeypatch):
    """Neither of a class that is not known, nor in the place of one that is."""
    folder, witness = copied(QWEN), tmp_path / "ran"
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    code = f"open({str(witness)!r}, 'w')\nclass Mine: pass\n"
    (folder / "modeling_mine.py").write_text(code)
    named = {"AutoConfig": "modeling_mine.Mine", "AutoModel": "modeling_mine.Mine"}
    edit_config(folder, auto_map=named)
    for decoder in (True, False):
        assert type(load_model(folder, CPU, decoder=decoder).model).__name__ == QWEN
    edit_config(folder, architectures=["Mine"], model_type="mine")
    with pytest.raises(UnknownNameError, match="Mine"):
        load_model(folder, CPU)
    assert not witness.exists()


def trusting(source):
    """Lines of calls that pass `trust_remote_code` as anything but False.

    >>> trusting("f(trust_remote_code=False)" + chr(10) + "f(trust_remote_code=x)")
    [2]
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        named = [k.value for k in getattr(node, "keywords", []) if k.arg == "trust_remote_code"] + [
            value
            for key, value in zip(getattr(node, "keys", []), getattr(node, "values", []))  # noqa: B905
            if isinstance(key, ast.Constant) and key.value == "trust_remote_code"
        ]
        found += [
            value.lineno
            for value in named
            if not (isinstance(value, ast.Constant) and value.value is False)
        ]
    return found


@pytest.mark.parametrize(
    "source",
    ["f(trust_remote_code=True)", "f(**{'trust_remote_code': True})", "f(trust_remote_code=x)"],
)
def test_the_rule_on_trust_itself(source):
    assert trusting(source) == [1]
    assert trusting("f(trust_remote_code=False)") == []


def test_no_call_of_the_repository_trusts_remote_code():
    files = python_files("mitheory", "analysis", "paper_figures", "benchmarks", "docs", "notebooks")
    assert len(files) > 300
    found = {path.name: trusting(path.read_text(encoding="utf-8")) for path in files}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_pickled_weights_are_refused(copied):
    folder = copied(LLAVA)
    for path in [*folder.glob("*.safetensors"), folder / INDEX]:
        path.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    for decoder in (True, False):
        with pytest.raises(BundleError, match="expected weights in safetensors"):
            load_model(folder, CPU, decoder=decoder)


@pytest.mark.parametrize("decoder", [True, False])
def test_a_tensor_that_is_missing_is_no_random_one(decoder, copied):
    folder = copied(QWEN)
    weight_map = read_index(folder)
    name = next(name for name in weight_map if "visual.blocks.0.attn.qkv.weight" in name)
    path = folder / weight_map[name]
    tensors = safetensors.load_file(path)
    del tensors[name], weight_map[name]
    safetensors.save_file(tensors, path, {"format": "pt"})
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    with pytest.raises(BundleError, match=r"1 tensors of Qwen3VL.* not there"):
        load_model(folder, CPU, decoder=decoder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected an index of shards"),
        ("[]", "expected an index of shards"),
        ('{"weight_map": {"visual.a": "../a.safetensors"}}', r"got '\.\./a\.safetensors'"),
        ('{"weight_map": {"visual.a": "a.bin"}}', "names of safetensors files, got 'a.bin'"),
        ('{"weight_map": {"bert.a": "a.safetensors"}}', "tensors of a vision encoder"),
    ],
)
def test_an_index_that_is_none_is_refused(text, message, copied):
    folder = copied(QWEN)
    (folder / INDEX).write_text(text)
    with pytest.raises(BundleError, match=message):
        load_model(folder, CPU, decoder=False)


def test_other_weights_of_one_name_have_another_revision(copied):
    folder = copied(LLAVA)
    before = load_model(folder, CPU, decoder=False).revision
    assert load_model(folder, CPU).revision == before
    path = sorted(folder.glob("*.safetensors"))[-1]
    tensors = safetensors.load_file(path)
    safetensors.save_file({k: x + 1 for k, x in tensors.items()}, path, {"format": "pt"})
    assert load_model(folder, CPU).revision != before


# --- processors ----------------------------------------------------------------------------------


def test_a_processor_pads_on_the_left(checkpoint):
    assert load_processor(checkpoint(LLAVA)).tokenizer.padding_side == "left"


def test_a_processor_without_torchvision_names_it(checkpoint, monkeypatch):
    """What the library says itself is an AttributeError about a mapping."""

    def broken(*args, **kwargs):
        assert kwargs["trust_remote_code"] is False
        raise AttributeError("module has no attribute 'VIDEO_PROCESSOR_MAPPING'")

    def unmade(folder):
        raise ValueError("no images without it either")

    monkeypatch.setattr(transformers.AutoProcessor, "from_pretrained", broken)
    monkeypatch.setattr(loading, "images_only", unmade)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingDependencyError, match="torchvision, from the same index as torch"):
        load_processor(checkpoint(LLAVA))


def test_parts_of_a_checkpoint_by_name():
    """Names on the Hub of all families, by hand."""
    needed = [
        "vision_tower.vision_model.encoder.layers.3.mlp.fc1.bias",
        "image_tower.vision_model.post_layernorm.weight",
        "video_tower.vision_model.embeddings.class_embedding",
        "multi_modal_projector.linear_1.weight",
        "image_newline",
        "visual.merger.mlp.0.weight",
        "model.visual.deepstack_merger_list.0.norm.weight",
        "model.embed_tokens.weight",
        "language_model.model.embed_tokens.weight",
        "model.language_model.embed_tokens.weight",
    ]
    other = [
        "lm_head.weight",
        "language_model.lm_head.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "language_model.model.norm.weight",
        "model.language_model.layers.3.mlp.experts.down_proj",
    ]
    assert [bool(loading.EXTRACTION.search(name)) for name in needed] == [True] * len(needed)
    assert [bool(loading.EXTRACTION.search(name)) for name in other] == [False] * len(other)
