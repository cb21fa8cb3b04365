"""`mitheory ask`: both answers, the kept set, the picture; what cannot be asked is said."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import mitheory
from analysis.cli import app
from analysis.dialogue import about_picture, about_scene, ask, drawn, views_of_sample
from analysis.dialogue.typed import parse_budget, parse_options
from mitheory.bundle import Sample
from mitheory.errors import (
    BudgetError,
    MissingInputError,
    MitheoryError,
    ParameterError,
    ShapeError,
    UnknownNameError,
)
from mitheory.models.base import Answer
from mitheory.models.fruitfly import FruitFlyAdapter, examples
from mitheory.models.resolving import load_adapter
from mitheory.testing import save_tiny


@pytest.fixture(scope="module")
def fly() -> FruitFlyAdapter:
    return FruitFlyAdapter()


def run(*words: str):
    return CliRunner().invoke(app, ["ask", *words])


def test_the_answers_are_those_of_the_adapter(fly, tmp_path):
    """Slow twin: encode, select and answer by hand, each with the library's own function."""
    example = about_scene(7)
    (sample,) = fly.encode([example])
    kept = mitheory.select(
        "mi_pruner", visual=sample.visual, text=sample.text, budget=16, temperature=0.2
    )
    picture = tmp_path / "asked.png"
    words = "--scene 7 --budget 16 --set temperature=0.2 --json --out".split()
    done = run(*words, str(picture))
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["indices"] == kept.indices.tolist()
    assert said["full"] == fly.answer([sample])[0].text
    assert said["pruned"] == fly.answer([sample], [kept.sorted])[0].text
    assert (said["tokens"], said["kept"], said["truth"]) == (144, 16, example.answer)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_scene_is_the_one_that_examples_gives():
    """Scene 3 by its number is the fourth image of the stream, with all its questions."""
    stream = list(examples("test", limit=40))
    fourth = list(dict.fromkeys(e.image_id for e in stream))[3]
    streamed = [e for e in stream if e.image_id == fourth]
    own = about_scene(3)
    assert own.image_id == fourth
    np.testing.assert_array_equal(own.image, streamed[0].image)
    for example in streamed:
        assert about_scene(3, example.question).answer == example.answer
    assert about_scene(3, "What background is in the picture?").sample_id.endswith("asked")


def test_a_picture_file_is_asked_like_its_scene(tmp_path, fly):
    scene = about_scene(7)
    path = tmp_path / "scene.png"
    Image.fromarray(scene.image).save(path)
    example = about_picture(path, "How many digits are there?")
    np.testing.assert_array_equal(example.image, scene.image)
    done = run("How many digits are there?", "--image", str(path), "--out", str(tmp_path / "a.pdf"))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (["What color is the shirt?", "--scene", "7"], ParameterError, "does not know .'shirt'"),
        (["How many digits are there?"], MissingInputError, "--image FILE, or --scene"),
        (["--scene", "1", "--image", "x.png"], ParameterError, "got both"),
        (["--scene", "1", "--budget", "many"], BudgetError, "0.25 or 64/576"),
        (["--scene", "1", "--budget", "145"], BudgetError, "145"),
        (["--scene", "1", "--method", "mi_prune"], UnknownNameError, "mi_pruner"),
        (["--scene", "1", "--set", "tau=1"], UnknownNameError, "temperature"),
        (["--scene", "1", "--method", "fastv"], MissingInputError, "before its decoder"),
        (["--scene", "1", "--out", "asked.gif"], ParameterError, "ends in"),
        (["--scene", "1", "--mode", "loose"], UnknownNameError, "faithful"),
    ],
)
def test_what_cannot_be_asked_is_said(words, error, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert isinstance(done.exception, error)
    with pytest.raises(MitheoryError, match=said):
        raise done.exception
    assert list(tmp_path.iterdir()) == []  # no picture of half an answer


def test_an_unknown_word_is_answered_with_all_known_ones():
    with pytest.raises(ParameterError, match=r"nine; .*white; .*rocket; .*right above"):
        about_scene(0, "What is on the table?")


def test_budgets_and_options_as_typed():
    assert [type(parse_budget(text)) for text in ("1", "1.0")] == [int, float]
    assert parse_options("mi_pruner", ["prior=center_biased", "self_loop=false"]) == {
        "prior": "center_biased",
        "self_loop": False,
    }


# --- where the tokens stand -------------------------------------------------------------------


def sample(n: int, *, height: int = 8, grid=None, **metadata) -> Sample:
    return Sample(
        sample_id="a", image_id="a", visual=torch.eye(n, 4) + 1, text=torch.ones(1, 4), grid=grid,
        tokens=("?",), question="?", answer="", question_type="asked",
        image=torch.zeros(height, 6, 3, dtype=torch.uint8), metadata=metadata,
    )  # fmt: skip


def view(rows: int, cols: int, tokens: int, frames: int = 1) -> dict[str, int]:
    return {"block": 0, "view": 0, "frames": frames, "rows": rows, "cols": cols, "tokens": tokens}


def test_views_of_an_image_whole_and_in_tiles():
    """4 tokens of the whole image; 2 × 3 in tiles with a token at the end of both lines."""
    found = views_of_sample(sample(12, views=[view(2, 2, 4), view(2, 3, 8)]))
    assert [v.tokens.tolist() for v in found] == [[[0, 1], [2, 3]], [[4, 5, 6], [8, 9, 10]]]
    assert [v.label for v in found] == ["view 1", "view 2"]


def test_views_of_a_video_with_class_tokens_over_runs_of_frames():
    """Two frames of a class token and 2 × 1 patches, drawn on four frames: every second one."""
    found = views_of_sample(sample(6, height=8, frames=4, views=[view(2, 1, 6, frames=2)]))
    assert [v.tokens.tolist() for v in found] == [[[1], [2]], [[4], [5]]]
    assert [v.frame for v in found] == [0, 2]
    assert [v.label for v in found] == ["frame 1", "frame 3"]


def test_a_plain_grid_needs_no_metadata():
    (found,) = views_of_sample(sample(6, grid=(2, 3)))
    assert found.tokens.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert len(views_of_sample(sample(6, grid=(1, 3, 2), frames=2))) == 2


def test_tokens_that_stand_nowhere_are_not_drawn_anyhow():
    with pytest.raises(MissingInputError, match="no grid, and no views"):
        views_of_sample(sample(6))
    with pytest.raises(ShapeError, match="6 tokens in all, got 4"):
        views_of_sample(sample(6, views=[view(2, 2, 4)]))
    with pytest.raises(ShapeError, match="tell ends of lines from class tokens"):
        views_of_sample(sample(6, views=[view(1, 2, 6, frames=2)]))
    with pytest.raises(ShapeError, match="got 5"):
        views_of_sample(sample(5, views=[view(2, 2, 5, frames=2)]))
    with pytest.raises(ShapeError, match="multiple of the grid's 2"):
        views_of_sample(sample(4, height=9, grid=(1, 2, 2), frames=3))


class Stranger:
    """Any adapter of the protocol: the fruit-fly's samples without their grid."""

    name = "stranger"

    def __init__(self, made: Sample) -> None:
        self.made = made

    def encode(self, examples):
        return [replace(self.made, image=torch.from_numpy(examples[0].image))]

    def answer(self, samples, keep=None, **further):
        return [Answer("all" if keep is None else str(len(keep[0])), 0.0, float("nan"))]


@pytest.mark.parametrize(
    "made",
    [
        sample(12, grid=(3, 4)),
        sample(12, views=[view(2, 2, 4), view(2, 3, 8)]),
        sample(6, frames=4, views=[view(2, 1, 6, frames=2)]),
    ],
    ids=["dynamic grid", "any resolution", "video"],
)
def test_any_adapter_is_asked_and_drawn(made):
    image = np.random.default_rng(0).integers(0, 200, (8, 6, 3), dtype=np.uint8)
    example = replace(about_scene(0), image=image)
    asked = ask(Stranger(made), example, "mi_pruner", budget=3)
    assert (asked.full.text, asked.pruned.text) == ("all", "3")
    left, right = drawn(asked).axes
    assert "all" in left.get_title()
    assert "3 tokens" in right.get_title()
    frames = 4 if made.metadata.get("frames") else 1
    pixels = image.reshape(frames, -1, 6, 3)
    bright = sum(
        int((np.asarray(p.get_array()) < 205).any(axis=2).sum()) for p in right.images
    )  # what is not kept is nearly white
    there = {int(t) for v in views_of_sample(made) for t in v.tokens.ravel()}
    assert bool(bright) is bool(there & set(asked.selection.indices.tolist()))
    assert left.images[0].get_array().shape == pixels[0].shape


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny("LlavaForConditionalGeneration", tmp_path_factory.mktemp("tiny"))


def test_a_checkpoint_of_transformers_is_asked_and_its_crop_is_drawn(checkpoint):
    """LLaVA-1.5 sees the square in the middle: of 48 × 96 the columns 24 to 72."""
    image = np.random.default_rng(0).integers(0, 200, (48, 96, 3), dtype=np.uint8)
    example = replace(about_scene(0), image=image, question="What color is the shirt?", metadata={})
    adapter = load_adapter(checkpoint)
    asked = ask(adapter, example, "mi_pruner", budget=4)
    assert asked.box == (0.25, 0.0, 0.75, 1.0)
    assert asked.pruned.text == adapter.answer([asked.sample], [asked.selection.sorted])[0].text
    _, right = drawn(asked).axes
    shown = np.asarray(right.images[0].get_array())
    assert shown.shape == (48, 48, 3)
    kept = (shown == image[:, 24:72]).all(axis=2)
    assert kept.mean() == pytest.approx(asked.ratio, abs=0.01)


def test_what_is_said_of_merged_tokens_is_what_was_shown(checkpoint, fly):
    """A checkpoint is shown the averages of VisionZip, the fruit-fly the kept tokens."""
    example = replace(about_scene(0), question="What color is the shirt?", metadata={})
    real = load_adapter(checkpoint)
    asked = ask(real, example, "visionzip", budget=4)
    (plain,) = real.answer([asked.sample], [asked.selection.sorted])
    assert asked.pruned.log_prob_truth != pytest.approx(plain.log_prob_truth, abs=1e-3)
    fruit = ask(fly, about_scene(0), "visionzip", budget=16)
    none = ask(real, example, "divprune", budget=4)
    said = [tuple(a.outcome()[k] for k in ("merged", "unmerged")) for a in (asked, fruit, none)]
    assert said == [(True, False), (False, True), (False, False)]


def test_tiles_of_a_checkpoint_are_drawn_beside_the_whole(tmp_path):
    """LLaVA-NeXT sees 120 × 200 whole, and larger without its padding: two views, whose kept
    patches are as many as the tokens."""
    folder = save_tiny("LlavaNextForConditionalGeneration", tmp_path)
    image = np.random.default_rng(0).integers(0, 200, (120, 200, 3), dtype=np.uint8)
    example = replace(about_scene(0), image=image, question="What color is the shirt?", metadata={})
    asked = ask(load_adapter(folder), example, "mi_pruner", budget=6)
    assert asked.sample.grid is None
    whole, tiles = views_of_sample(asked.sample)
    assert whole.tokens.shape == (4, 4)
    assert tiles.tokens.size + 16 == asked.sample.n_v
    left, right = drawn(asked).axes
    assert [text.get_text() for text in left.texts] == []
    assert {"view 1", "view 2"} <= {text.get_text() for text in right.texts}
    numbers = [text.get_text() for text in right.texts if text.get_text().isdecimal()]
    assert sorted(map(int, numbers)) == list(range(1, 7))
