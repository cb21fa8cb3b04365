"""The fruit-fly's scenes and questions: what they promise, checked against what was drawn."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from mitheory.errors import ParameterError
from mitheory.models.fruitfly.dataset import examples
from mitheory.models.fruitfly.photographs import STRIPS, area_resize, crops
from mitheory.models.fruitfly.questions import QUESTIONS, dress, existence
from mitheory.models.fruitfly.scenes import (
    DIGIT_SIDE,
    N_PATCHES,
    SIDE,
    Scene,
    Thing,
    digit_images,
    sample_scene,
)
from mitheory.models.fruitfly.vocabulary import COLORS, DIGITS, MAX_WORDS, WORDS, decode, encode


def blank(*things: Thing) -> Scene:
    """A scene of these things without pixels."""
    labels = np.full(N_PATCHES, -1)
    return Scene(np.zeros((SIDE, SIDE, 3), np.float32), things, 0, labels, labels)


def test_splits_share_no_digit_and_no_photograph_column() -> None:
    """A leak of training digits into the test split would make every accuracy meaningless."""
    scans = {
        split: {image.tobytes() for group in digit_images(split) for image in group}
        for split in STRIPS
    }
    assert not scans["train"] & scans["test"]
    assert not scans["train"] & scans["validation"]
    assert not scans["validation"] & scans["test"]
    bounds = sorted(STRIPS.values())
    assert all(a[1] <= b[0] for a, b in pairwise(bounds))


def test_things_do_not_overlap_and_stay_inside() -> None:
    """Boxes of 8 x 8 pixels are disjoint: otherwise labels and counts would be ambiguous."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        things = sample_scene("test", rng).things
        ink = np.zeros((SIDE, SIDE), int)
        for t in things:
            ink[t.y : t.y + DIGIT_SIDE, t.x : t.x + DIGIT_SIDE] += 1
        assert ink.max() == 1
        assert ink.sum() == len(things) * DIGIT_SIDE**2


def test_patch_labels_agree_with_the_boxes() -> None:
    """A labeled patch is touched by a thing of that kind; an untouched one is background."""
    scene = sample_scene("validation", np.random.default_rng(3))
    for patch in range(N_PATCHES):
        owners = [t for t in scene.things if patch in t.patches()]
        if scene.patch_digit[patch] >= 0:
            pair = (scene.patch_digit[patch], scene.patch_color[patch])
            assert pair in {(t.digit, t.color) for t in owners}
        assert (scene.patch_digit[patch] == -1) == (not owners)


def test_area_resize_keeps_the_mean_and_halves_exactly() -> None:
    """Averaging by overlap: 4 -> 2 is the mean of 2 x 2 blocks, and any size keeps the mean."""
    image = np.random.default_rng(0).random((4, 4, 3))
    np.testing.assert_allclose(
        area_resize(image, 2), image.reshape(2, 2, 2, 2, 3).mean((1, 3)), atol=1e-12
    )
    odd = np.random.default_rng(0).random((7, 7, 3))
    np.testing.assert_allclose(area_resize(odd, 3).mean((0, 1)), odd.mean((0, 1)), atol=1e-12)


def test_crops_are_deterministic() -> None:
    """Two calls and two processes see the same backgrounds."""
    first = crops("test", SIDE)
    crops.cache_clear()
    np.testing.assert_array_equal(first, crops("test", SIDE))


@pytest.mark.parametrize("kind", QUESTIONS)
def test_questions_are_in_the_vocabulary_and_short(kind: str) -> None:
    """Every template of every type encodes, with its answer, into at most MAX_WORDS words."""
    rng = np.random.default_rng(1)
    asked = 0
    for _ in range(150):
        question = QUESTIONS[kind](sample_scene("validation", rng), rng)
        if question is not None:
            asked += 1
            words = dress(question, rng).words
            assert len(words) <= MAX_WORDS
            assert decode(encode(words)) == words
            assert question.answer in WORDS
    assert asked > 20


def test_answers_by_hand() -> None:
    """A red four left of a blue two, and a second red thing below: answers read off the scene."""
    scene = blank(Thing(4, 0, 4, 4), Thing(2, 2, 14, 5), Thing(7, 0, 30, 30))
    rng = np.random.default_rng(0)
    for _ in range(40):
        relation = QUESTIONS["relation"](scene, rng)
        assert relation is not None
        if "right" in relation.words:  # right of the red four
            assert relation.answer in ("two", "blue")
            assert {"red", "four"} <= set(relation.words)
        else:  # left of the blue two
            assert "left" in relation.words
            assert relation.answer in ("four", "red")
        counting = QUESTIONS["counting"](scene, rng)
        assert counting is not None
        color = next(w for w in counting.words if w in COLORS)
        assert counting.answer == {"red": "2", "blue": "1"}.get(color, "0")
        count_all = QUESTIONS["count_all"](scene, rng)
        assert count_all is not None
        assert count_all.answer == "3"
        digit = QUESTIONS["digit"](scene, rng)  # red is not unique, so only blue can be asked
        assert digit is not None
        assert (digit.answer, "blue" in digit.words) == ("two", True)


@pytest.mark.parametrize("negative", ["random", "popular", "adversarial"])
def test_negatives_are_absent_and_as_named(negative: str) -> None:
    """random: neither part present; popular: a popular digit; adversarial: both, but apart."""
    rng = np.random.default_rng(2)
    for _ in range(60):
        scene = sample_scene("test", rng)
        question = existence(scene, rng, negative=negative)
        if question is None:
            continue
        color = next(COLORS.index(w) for w in question.words if w in COLORS)
        digit = next(DIGITS.index(w) for w in question.words if w in DIGITS)
        pairs = {(t.digit, t.color) for t in scene.things}
        assert (digit, color) not in pairs
        assert question.answer == "no"
        both = (digit in {d for d, _ in pairs}, color in {c for _, c in pairs})
        if negative == "random":
            assert both == (False, False)
        elif negative == "adversarial":
            assert both == (True, True)
        else:
            assert digit in (1, 2, 3)


def test_multiple_choice_answer_points_at_the_truth() -> None:
    """The letter names the option that is true of the scene, and all letters occur."""
    rng = np.random.default_rng(5)
    letters: Counter[str] = Counter()
    for _ in range(120):
        scene = sample_scene("test", rng)
        question = QUESTIONS["multiple_choice"](scene, rng)
        if question is None:
            continue
        thing = scene.things[question.relevant[0]]
        option = question.options["abc".index(question.answer[1])]
        assert option in (COLORS[thing.color], DIGITS[thing.digit])
        letters[question.answer] += 1
    assert set(letters) == {"(a)", "(b)", "(c)"}


def test_example_does_not_depend_on_the_limit() -> None:
    """Scene i is the same in a short and in a long run; another seed is another draw."""
    short = list(examples("test", limit=5, seed=1))
    long = list(examples("test", limit=20, seed=1))[:5]
    assert [e.question for e in short] == [e.question for e in long]
    np.testing.assert_array_equal(short[0].image, long[0].image)
    other = next(examples("test", limit=1, seed=2))
    assert (other.image != short[0].image).any()


def test_existence_is_balanced() -> None:
    """Half of the yes/no questions are true, as on POPE: a constant answer scores one half."""
    answers = Counter(
        e.answer for e in examples("test", limit=960) if e.question_type == "existence"
    )
    assert abs(answers["yes"] / answers.total() - 0.5) < 0.02


def test_bad_input_is_named() -> None:
    """Unknown split, non-positive limit and unknown words are errors that quote what came."""
    with pytest.raises(ParameterError, match="'tset'"):
        examples("tset")
    with pytest.raises(ParameterError, match="got 0"):
        examples("test", limit=0)
    with pytest.raises(ParameterError, match="banana"):
        encode(["banana"])
