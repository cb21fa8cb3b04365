"""Questions about scenes, as examples: scene i of a split is the same whatever the limit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...errors import ParameterError
from ..base import Example
from .photographs import SPLITS, check_split
from .questions import NEGATIVES, QUESTIONS, Question, dress, existence
from .scenes import N_PATCHES, Scene, sample_scene

# half of the existence questions are about present things, the rest turn through the negatives
_EXISTENCE_CYCLE = (None, NEGATIVES[0], None, NEGATIVES[1], None, NEGATIVES[2])


def examples(split: str = "test", *, limit: int = 512, seed: int = 0) -> Iterator[Example]:
    """The first `limit` questions of a split: every type once per scene, where the scene admits it.

    Parameters
    ----------
    split : {"train", "validation", "test"}
        Digit images and photographs of the three are disjoint.
    limit : int
        Number of questions (about eight per scene).
    seed : int
        Another seed is another draw of scenes.

    Raises
    ------
    ParameterError
        If `split` is unknown or `limit` is not positive.

    Examples
    --------
    >>> example = next(examples("test", limit=1))
    >>> example.image.shape, example.question_type
    ((48, 48, 3), 'color')
    """
    if limit < 1:
        raise ParameterError(f"limit: expected a positive number of questions, got {limit}")
    check_split(split)
    return _stream(split, limit, seed)


def _stream(split: str, limit: int, seed: int) -> Iterator[Example]:
    made, index = 0, 0
    while made < limit:
        for example in _about(split, index, seed):
            if made < limit:
                yield example
                made += 1
        index += 1


def about(index: int, *, split: str = "test", seed: int = 0) -> list[Example]:
    """All questions about one scene, the `index`-th that `examples` gives.

    Raises
    ------
    ParameterError
        If `split` is unknown or `index` is negative.

    Examples
    --------
    >>> [example.question_type for example in about(0)][:3]
    ['color', 'digit', 'existence']
    """
    if index < 0:
        raise ParameterError(f"scene: expected 0 or more, got {index}")
    check_split(split)
    return list(_about(split, index, seed))


def _about(split: str, index: int, seed: int) -> Iterator[Example]:
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    scene = sample_scene(split, rng)
    image = np.clip(np.rint(scene.image * 255), 0, 255).astype(np.uint8)
    for kind in QUESTIONS:
        question = _ask(kind, scene, rng, index)
        if question is not None:
            yield _example(question, scene, image, f"{split}-{seed}-{index:05d}")


def _ask(kind: str, scene: Scene, rng: np.random.Generator, index: int) -> Question | None:
    if kind == "existence":
        negative = _EXISTENCE_CYCLE[index % len(_EXISTENCE_CYCLE)]
        question = existence(scene, rng, negative=negative)
    else:
        question = QUESTIONS[kind](scene, rng)
    return dress(question, rng) if question is not None else None


def _example(question: Question, scene: Scene, image: NDArray[np.uint8], image_id: str) -> Example:
    relevant = np.zeros(N_PATCHES, dtype=bool)
    for i in question.relevant:
        relevant[scene.things[i].patches()] = True
    things = [[t.digit, t.color, t.x, t.y] for t in scene.things]
    return Example(
        sample_id=f"{image_id}-{question.type}",
        image_id=image_id,
        image=image,
        question=" ".join(question.words),
        answer=question.answer,
        question_type=question.type,
        negative=question.negative,
        options=question.options,
        relevant=relevant,
        metadata={"things": things, "background": scene.background},
    )
