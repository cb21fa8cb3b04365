"""Bundles: what is written comes back, lazily, in order, whatever the form."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from bundle_samples import (
    PROVENANCE,
    assert_same_sample,
    bare_sample,
    full_sample,
    many_samples,
    write,
)
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from mitheory.bundle import Bundle, inspect
from mitheory.bundle.fields import FIELDS, FLOATS, is_finite
from mitheory.bundle.shards import MAX_OPEN
from mitheory.errors import (
    BundleError,
    DTypeError,
    EmptyInputError,
    MitheoryError,
    NonFiniteError,
    ParameterError,
    ShapeError,
)

FORMS = ("bundle", "bundle.safetensors")


# --- round trip -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_what_is_written_comes_back(tmp_path, form, dtype):
    path = write(tmp_path / form, many_samples(), dtype=dtype)
    bundle = Bundle.open(path, verify=True)
    expected = list(many_samples())
    assert len(bundle) == len(expected)
    for got, sample in zip(bundle, expected, strict=True):
        assert_same_sample(got, sample, dtype=FLOATS[dtype])
    assert bundle.provenance == PROVENANCE
    assert [p.name for p in tmp_path.iterdir()] == [form]  # nothing left beside it


@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_come_as_stored_where_asked(tmp_path, dtype):
    bundle = Bundle.open(write(tmp_path / "b", many_samples(), dtype=dtype), dtype=None)
    assert bundle[0].visual.dtype == FLOATS[dtype]
    assert torch.equal(bundle[0].visual, full_sample().visual.to(FLOATS[dtype]))
    assert Bundle.open(tmp_path / "b", dtype=torch.float64)[0].text.dtype == torch.float64
    with pytest.raises(DTypeError):
        Bundle.open(tmp_path / "b", dtype=torch.int32)


@pytest.mark.parametrize("form", FORMS)
def test_optional_fields_may_be_absent_and_mixed(tmp_path, form):
    samples = [bare_sample("a"), full_sample(), bare_sample("b")]
    bundle = Bundle.open(write(tmp_path / form, iter(samples)))
    for got, sample in zip(bundle, samples, strict=True):
        assert_same_sample(got, sample)
    assert bundle[0].image is None
    assert bundle[0].grid is None


@given(
    words=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=5, max_size=5),
    metadata=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False),
            st.lists,
            max_leaves=4,
        ),
        max_size=3,
    ),
)
def test_any_text_and_metadata_survive(tmp_path_factory, words, metadata):
    """Questions, tokens, ids and metadata come back as they were, whatever they hold."""
    name, question, answer, kind, token = words
    sample = replace(
        bare_sample(name), question=question, answer=answer, question_type=kind, tokens=(token,),
        metadata=metadata,
    )  # fmt: skip
    path = write(tmp_path_factory.mktemp("any") / "b", iter([sample]))
    assert_same_sample(Bundle.open(path)[0], sample)


def test_tensors_of_an_image_are_stored_once(tmp_path):
    path = write(tmp_path / "b", many_samples(images=2, questions=5))
    keys = []
    for shard in path.glob("*.safetensors"):
        with safe_open(shard, framework="pt") as file:
            keys += list(file.keys())
    of_image = [key for key in keys if key.startswith("image.")]
    assert len(of_image) == 2 * sum(field.per_image for field in FIELDS.values())
    assert len(keys) - len(of_image) == 10 * sum(not field.per_image for field in FIELDS.values())


# --- reading --------------------------------------------------------------------------------


def test_indexing_and_selecting(tmp_path):
    bundle = Bundle.open(write(tmp_path / "b", many_samples(images=2, questions=2)))
    assert bundle.sample_ids == ("0-0", "0-1", "1-0", "1-1")
    assert bundle[-1].sample_id == "1-1"
    assert bundle.sample("1-0").sample_id == "1-0"
    chosen = bundle.select(["1-1", "0-0"])
    assert [s.sample_id for s in chosen] == ["1-1", "0-0"]
    assert (len(chosen), chosen.image_ids) == (2, ("image 1", "image 0"))
    assert [entry.answer for entry in chosen.entries] == ["no", "yes"]
    with pytest.raises(IndexError):
        bundle[4]
    for wrong in (lambda: bundle.select(["2-0"]), lambda: chosen.select(["0-1"])):
        with pytest.raises(BundleError, match="sample_id"):
            wrong()
    with pytest.raises(BundleError, match="'9'"):
        bundle.sample("9")


def test_opening_reads_no_tensor_and_iterating_one_image_at_a_time(tmp_path, monkeypatch):
    path = write(tmp_path / "b", many_samples(images=3, questions=4), shard_size=1)
    read = []
    from mitheory.bundle.shards import Shards

    original = Shards.read
    monkeypatch.setattr(
        Shards, "read", lambda self, e, name: read.append((e.key, name)) or original(self, e, name)
    )
    bundle = Bundle.open(path)
    _ = bundle.entries, bundle.image_ids, inspect(path)
    assert read == []
    first = next(iter(bundle))
    assert {key for key, _ in read} == {"image.00000000", "sample.00000000"}
    read.clear()
    everything = list(bundle)
    assert len(read) == len(set(read))  # each tensor once, those of an image too
    assert everything[0].visual is everything[1].visual
    assert everything[0].visual is not everything[4].visual
    assert torch.equal(first.visual, everything[0].visual)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_writing_into_a_sample_changes_no_later_read(tmp_path, dtype):
    path = write(tmp_path / "b", many_samples(images=2, questions=1), dtype=dtype)
    bundle = Bundle.open(path)
    before = bundle[0].visual.clone()
    for tensor in bundle[0].tensors().values():
        tensor.zero_()
    _ = bundle[1]  # another image: the first is no longer at hand
    assert torch.equal(bundle[0].visual, before)
    Bundle.open(path, verify=True)


def test_few_shards_stay_open(tmp_path):
    path = write(tmp_path / "b", many_samples(images=12, questions=1), shard_size=1)
    bundle = Bundle.open(path)
    assert len(bundle.index.shards) == 24
    assert len(list(bundle)) == 12
    assert len(bundle._shards._open) == MAX_OPEN
    bundle.close()
    assert len(bundle._shards._open) == 0
    assert bundle[0].n_v == 4  # opens again
    with Bundle.open(path) as other:
        assert other[3].sample_id == "3-0"


def test_a_bundle_may_move(tmp_path):
    path = write(tmp_path / "b", many_samples())
    path.rename(tmp_path / "elsewhere")
    assert_same_sample(Bundle.open(tmp_path / "elsewhere", verify=True)[3], full_sample(0, 3))


# --- inspect --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_inspect_counts(tmp_path, form):
    path = write(tmp_path / form, many_samples(images=3, questions=4), dtype="float16")
    report = inspect(path, verify=True)
    json.dumps(report)  # printable
    assert (report["images"], report["samples"], report["dtype"]) == (3, 12, "float16")
    assert report["question_types"] == {"existence": 12}
    assert report["negatives"] == {"adversarial": 3, "popular": 3, "random": 3}
    assert report["grids"] == {"2x2": 3}
    text = report["tensors"]["text"]
    assert (text["count"], text["smallest"], text["largest"]) == (12, [1, 6], [3, 6])
    assert report["tensors"]["visual"]["count"] == 3
    assert report["provenance"]["seed"] == 3
    assert report["bytes"] == sum(p.stat().st_size for p in [path, *path.glob("*")] if p.is_file())


# --- samples --------------------------------------------------------------------------------

NAN = torch.tensor([[1.0, float("nan")]] * 3)
BAD_FIELDS = {
    "visual type": ({"visual": [[1.0]]}, DTypeError, "visual"),
    "visual integer": ({"visual": torch.ones(3, 2, dtype=torch.int64)}, DTypeError, "visual"),
    "visual missing": ({"visual": None}, DTypeError, "visual"),
    "visual rank": ({"visual": torch.ones(3)}, ShapeError, r"visual must be \(n_v, d\)"),
    "visual nan": ({"visual": NAN}, NonFiniteError, "visual holds 3"),
    "no visual token": ({"visual": torch.ones(0, 2)}, EmptyInputError, "visual"),
    "no text token": ({"text": torch.ones(0, 2), "tokens": ()}, EmptyInputError, "text"),
    "other d": ({"text": torch.ones(1, 3)}, ShapeError, "text must be .* d = 2"),
    "other n_v": ({"relevant": torch.ones(4, dtype=torch.bool)}, ShapeError, "relevant.* n_v = 3"),
    "relevant float": ({"relevant": torch.ones(3)}, DTypeError, "relevant must hold bool"),
    "image channels": (
        {"image": torch.ones(4, 4, 1, dtype=torch.uint8)}, ShapeError, "image.* 3 = 3",
    ),
    "not square": ({"patch_attention": torch.ones(1, 3, 4)}, ShapeError, "patch_attention"),
    "clip widths": (
        {"clip_visual": torch.ones(3, 5), "clip_text": torch.ones(1, 4)}, ShapeError, "clip_text",
    ),
    "grid product": ({"grid": (2, 2)}, ShapeError, "n_v = 3"),
    "grid list": ({"grid": [1, 3]}, DTypeError, "grid"),
    "grid float": ({"grid": (1.0, 3.0)}, DTypeError, "grid"),
    "grid rank": ({"grid": (3,)}, ShapeError, "grid"),
    "grid negative": ({"grid": (-1, -3)}, ShapeError, "grid"),
    "tokens number": ({"tokens": ("a", "b")}, ShapeError, "n_t = 1"),
    "tokens list": ({"tokens": ["a"]}, DTypeError, "tokens"),
    "options string": ({"options": "yes"}, DTypeError, "options"),
    "negative": ({"negative": "hard"}, ParameterError, "adversarial"),
    "answer type": ({"answer": 3}, DTypeError, "answer"),
    "surrogate": ({"question": "\ud800"}, ParameterError, "question"),
    "metadata tuple": ({"metadata": {"a": (1, 2)}}, ParameterError, "survive"),
    "metadata int key": ({"metadata": {1: 2}}, ParameterError, "survive"),
    "metadata nan": ({"metadata": {"a": float("nan")}}, ParameterError, "JSON"),
    "metadata object": ({"metadata": {"a": object()}}, ParameterError, "JSON"),
    "metadata list": ({"metadata": [1]}, DTypeError, "mapping"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "error", "message"), BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_a_wrong_field_is_named(change, error, message):
    with pytest.raises(error, match=message) as caught:
        replace(bare_sample(), **change)
    assert isinstance(caught.value, MitheoryError)


def test_a_video_grid_has_frames():
    sample = replace(bare_sample(), visual=torch.ones(12, 2), grid=(2, 3, 2))
    assert (sample.n_v, sample.n_t) == (12, 1)


def test_a_sample_moves_whole_to_a_device():
    moved = full_sample().to("meta")
    assert {t.device.type for t in moved.tensors().values()} == {"meta"}
    assert moved.question == full_sample().question


@pytest.mark.parametrize("dtype", [*FLOATS.values(), torch.float64])
@given(
    size=st.integers(1, 70),
    bad=st.lists(
        st.tuples(st.integers(0, 69), st.sampled_from([float("nan"), float("inf"), -float("inf")])),
        max_size=3,
    ),
)
def test_one_bad_value_anywhere_is_seen(dtype, size, bad):
    """`is_finite` agrees with `torch.isfinite` element by element, vectorized tails included."""
    tensor = torch.linspace(-3, 3, size).to(dtype)
    for i, value in bad:
        tensor[i % size] = value
    assert is_finite(tensor) == bool(torch.isfinite(tensor).all())
    assert is_finite(tensor[::2]) == bool(torch.isfinite(tensor[::2]).all())
