"""Families that take videos too, with their own processors: images without torchvision, and both
where torchvision is."""

from __future__ import annotations

from pathlib import Path

import dataset_samples as files
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from analysis.cli import app
from analysis.commands import evaluate as evaluating
from mitheory.bundle import Bundle
from mitheory.errors import MissingDependencyError
from mitheory.models.base import Example
from mitheory.models.mllm import loading, prompting
from mitheory.models.mllm.adapter import MllmAdapter
from mitheory.models.mllm.images_only import NoVideos, images_only
from mitheory.models.mllm.prompting import Asked
from mitheory.models.resolving import load_adapter
from mitheory.testing import save_tiny

pytest.importorskip("transformers")
FAMILIES = {
    "qwen2": "Qwen2VLForConditionalGeneration",
    "qwen2.5": "Qwen2_5_VLForConditionalGeneration",
    "qwen3": "Qwen3VLForConditionalGeneration",
    "video_llava": "VideoLlavaForConditionalGeneration",
}
QUESTION = "What color is the shirt?"


@pytest.fixture(scope="module", params=FAMILIES)
def checkpoint(request, tmp_path_factory) -> Path:
    return save_tiny(FAMILIES[request.param], tmp_path_factory.mktemp(request.param))


@pytest.fixture
def without(monkeypatch) -> None:
    """As on a machine without torchvision, also where it is."""
    monkeypatch.setattr(loading, "_torchvision_lacks", lambda: "No module named 'torchvision'")

    def unmade(*args, **kwargs):
        raise ImportError("requires the Torchvision library")

    monkeypatch.setattr(loading.transformers().AutoProcessor, "from_pretrained", unmade)


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def about(image: np.ndarray, **metadata) -> Example:
    user = f"{QUESTION}\nAnswer the question using a single word or phrase."
    return Example("s", "i", image, user, "red", "all", metadata={"question": QUESTION, **metadata})


# --- images, without torchvision --------------------------------------------------------------


def test_an_image_becomes_the_models_own_inputs(checkpoint, without):
    """As many placeholders as the model makes features, and T is the question to the letter; the
    whole prompt is that of the processor's template."""
    adapter = load_adapter(checkpoint, dtype="float32")
    assert isinstance(adapter.processor.video_processor, NoVideos)
    (sample,) = adapter.encode([about(pixels(24, 40))])
    assert sample.grid == ((4, 4) if "video_llava" in checkpoint.name else (3, 5))
    assert "".join(sample.tokens).replace("▁", "") == QUESTION.replace(" ", "")
    answer, shown = adapter.answer([sample, sample], [torch.arange(sample.n_v), torch.arange(2)])
    inputs, _ = adapter._prepared([Asked(pixels(24, 40), sample.question, QUESTION)])
    new = adapter.model.generate(**inputs, max_new_tokens=16, do_sample=False)
    new = new[:, inputs["input_ids"].shape[1] :]
    (own,) = adapter.processor.tokenizer.batch_decode(new, skip_special_tokens=True)
    assert answer.text == own.strip()
    assert shown.text != answer.text


def test_videos_are_refused_with_what_is_missing(checkpoint, without):
    adapter = load_adapter(checkpoint, dtype="float32")
    with pytest.raises(MissingDependencyError, match=r"videos: .*torchvision.*mitheory\[mllm\]"):
        adapter.encode([about(pixels(24 * 8, 40), frames=8)])


def test_the_commands_from_files_to_scores(checkpoint, without, tmp_path, monkeypatch):
    """`ask`, `extract` and `evaluate` on the folder of a checkpoint and a folder of images."""
    root = tmp_path / "own"
    rows = [
        {"image": f"{i}.png", "question": f"What is in picture {i}?", "answer": "red"}
        for i in (0, 1, 2, 0)
    ]
    files.write_jsonl(root / "questions.jsonl", rows)
    for i in range(3):
        Image.fromarray(pixels(24 + 8 * i, 40, i)).save(root / f"{i}.png")
    model, run = str(checkpoint), CliRunner().invoke
    with_ = ["--model-dtype", "float32", "--device", "cpu"]

    picture = tmp_path / "asked.png"
    ask = ["ask", QUESTION, "--model", f"{model}?dtype=float32", "--image", str(root / "0.png")]
    done = run(app, [*ask, "--budget", "4", "--out", str(picture)])
    assert done.exit_code == 0, done.output
    assert picture.stat().st_size > 1000

    folder = ["--model", model, "--dataset", "folder", "--root", str(root), *with_]
    done = run(app, ["extract", *folder, "--out", str(tmp_path / "bundle")])
    assert done.exit_code == 0, done.output
    bundle = Bundle.open(tmp_path / "bundle")
    assert len(bundle) == 4
    assert len({s.grid for s in bundle}) == (1 if "video_llava" in checkpoint.name else 3)

    monkeypatch.setattr(evaluating, "figures", lambda out, force: {"page": out})
    methods = ["--method", "mi_pruner,random", "--budget", "4"]
    done = run(app, ["evaluate", *folder, *methods, "--out", str(tmp_path / "scores")])
    assert done.exit_code == 0, done.output
    table = pd.read_parquet(tmp_path / "scores" / "results.parquet")
    assert table.error.isna().all(), table.error.tolist()
    assert table.groupby("method").n_kept.max().drop("full").tolist() == [4, 4]
    assert table.groupby("sample_id").prediction.nunique().max() > 1


class Recording:
    """A processor that says what it was called with."""

    chat_template = None

    def __call__(self, **given):
        self.given = given
        raise ValueError("enough")


def test_frames_are_not_chosen_a_second_time():
    """Qwen3-VL's processor takes pre-chosen frames for a video of 24 frames a second and would keep
    four of eight."""
    processor = Recording()
    video = Asked(pixels(16, 4), QUESTION, QUESTION, frames=8)
    with pytest.raises(prompting.ParameterError, match="enough"):
        prompting.prepared(processor, [video], "question")
    assert processor.given["videos_kwargs"] == {"do_sample_frames": False}
    with pytest.raises(prompting.ParameterError):
        prompting.prepared(processor, [Asked(pixels(4, 4), QUESTION, QUESTION)], "question")
    assert "videos_kwargs" not in processor.given


# --- with torchvision -------------------------------------------------------------------------


@pytest.fixture
def whole(checkpoint) -> MllmAdapter:
    pytest.importorskip("torchvision")
    adapter = load_adapter(checkpoint, dtype="float32")
    assert not isinstance(adapter.processor.video_processor, NoVideos)
    return adapter


def test_every_frame_of_a_video_is_encoded(whole):
    """Eight frames: of Video-LLaVA eight grids, of the others four, one for each pair; what was
    shown first stands first."""
    (sample,) = whole.encode([about(pixels(24 * 8, 40), frames=8)])
    is_llava = "VideoLlava" in type(whole.model).__name__
    assert sample.grid == ((4, 4, 8) if is_llava else (3, 5, 4))
    assert "".join(sample.tokens).replace("▁", "") == QUESTION.replace(" ", "")
    other = pixels(24 * 8, 40)
    other[24 * 6 :] = 0  # the last two frames
    (changed,) = whole.encode([about(other, frames=8)])
    places = sample.n_v // sample.grid[2]
    last = 2 * places if is_llava else places
    assert torch.allclose(sample.visual[:-last], changed.visual[:-last], atol=1e-4)
    assert not torch.allclose(sample.visual[-last:], changed.visual[-last:], atol=1e-2)
    full, few = whole.answer([sample, sample], [torch.arange(sample.n_v), torch.arange(3)])
    assert full.text != few.text


def test_videos_from_files_to_scores(whole, checkpoint, tmp_path, monkeypatch):
    """TGIF-QA as GIFs, graded by exact match."""
    monkeypatch.setattr(evaluating, "figures", lambda out, force: {"page": out})
    files.videos(tmp_path / "tgif")
    arguments = ["evaluate", "--model", str(checkpoint), "--dataset", "tgif", "--budget", "5"]
    arguments += ["--root", str(tmp_path / "tgif"), "--convention", "exact-match"]
    done = CliRunner().invoke(
        app, [*arguments, "--model-dtype", "float32", "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    table = pd.read_parquet(tmp_path / "out" / "results.parquet")
    assert table.error.isna().all(), table.error.tolist()
    assert set(table[table.method == "mi_pruner"].n_kept) == {5}


def test_both_processors_say_the_same_of_an_image(whole, checkpoint):
    """Pillow and torchvision resize alike up to rounding; the prompts are equal."""
    asked = [Asked(pixels(33, 47), QUESTION, QUESTION)]
    alone = images_only(checkpoint)
    alone.tokenizer.padding_side = "left"
    one, columns = prompting.prepared(whole.processor, asked, "question")
    two, others = prompting.prepared(alone, asked, "question")
    assert torch.equal(columns[0], others[0])
    assert set(one) == set(two)
    for name, value in one.items():
        if value.is_floating_point():
            assert float((value - two[name]).abs().mean()) < 0.02
        else:
            assert torch.equal(value, two[name])
