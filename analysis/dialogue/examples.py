"""From what was typed to an example: a file, or a scene of the fruit-fly's world."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from mitheory.errors import MissingInputError, ParameterError
from mitheory.models.base import Example
from mitheory.models.fruitfly import about
from mitheory.models.fruitfly.vocabulary import (
    BACKGROUNDS,
    COLORS,
    COUNTS,
    DIGITS,
    FUNCTION_WORDS,
    MAX_WORDS,
    PAD,
    WORDS,
)

from ..datasets.media import VIDEOS, read_frames, read_image

TYPE = "asked"  # question type of what nobody generated


def about_picture(path: Path, question: str, *, frames: int = 8) -> Example:
    """A question about an image, or about a video, whose frames stand below one another.

    Parameters
    ----------
    path : an image, or a video by the ending of its name
    question : as it is to be asked
    frames : of a video, spread evenly

    Raises
    ------
    ImageError
        If the file cannot be read.
    MissingInputError
        If there is no question.
    """
    if not question.strip():
        raise MissingInputError('question: expected one, such as "What color is the shirt?"')
    metadata = {}
    if path.suffix.lower() in VIDEOS:
        shots = read_frames(path, frames)
        image, metadata = np.concatenate(shots), {"frames": len(shots)}
    else:
        image = read_image(path).copy()  # torch takes no array that cannot be written
    return Example(path.stem, path.stem, image, question.strip(), "", TYPE, metadata=metadata)


def about_scene(index: int, question: str = "", *, seed: int = 0) -> Example:
    """A question about a held-out scene of the fruit-fly's world; its first own one without.

    Where it is one of the scene's own questions, the answer is known.

    Raises
    ------
    ParameterError
        If the question has words that the fruit-fly does not know, or too many.

    Examples
    --------
    >>> about_scene(0).question, about_scene(0).answer
    ('which color is the three in the image ?', 'red')
    >>> about_scene(0, "How many digits are there?").question
    'how many digits are there ?'
    """
    own = about(index, seed=seed)
    if not question.strip():
        return own[0]
    said = " ".join(words_of(question))
    known = [example for example in own if example.question == said]
    if known:
        return known[0]
    return replace(
        own[0], sample_id=f"{own[0].image_id}-{TYPE}", question=said, answer="", question_type=TYPE,
        negative=None, options=(), relevant=None,
    )  # fmt: skip


def for_fruitfly(example: Example) -> Example:
    """The example with its question in the words of the fruit-fly.

    Raises
    ------
    ParameterError
        If it has words that the fruit-fly does not know, or too many.
    """
    return replace(example, question=" ".join(words_of(example.question)))


def words_of(question: str) -> list[str]:
    """The words of a question as the fruit-fly reads them: lower case, marks apart.

    Raises
    ------
    ParameterError
        If there is none, too many, or one that it does not know; all that it knows is listed.

    Examples
    --------
    >>> words_of("What color is the four?")
    ['what', 'color', 'is', 'the', 'four', '?']
    >>> words_of("What color is the shirt?")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    mitheory.errors.ParameterError: question: the fruit-fly does not know ['shirt']; it knows ...
    """
    words = re.findall(r"\([abc]\)|\w+|[^\w\s]", question.lower())
    unknown = sorted({word for word in words if word not in WORDS[PAD + 1 :]})
    if unknown:
        raise ParameterError(f"question: the fruit-fly does not know {unknown}; {vocabulary()}")
    if not 0 < len(words) <= MAX_WORDS:
        raise ParameterError(
            f"question: expected 1 to {MAX_WORDS} words and marks, got {len(words)}"
        )
    return words


def vocabulary() -> str:
    """What the fruit-fly knows, in a line."""
    return (
        f"it knows the things {', '.join(DIGITS)}; the colors {', '.join(COLORS)}; the backgrounds "
        f"{', '.join(BACKGROUNDS)}; the numbers {', '.join(COUNTS)}; and the words "
        f"{' '.join(word for word in FUNCTION_WORDS[PAD + 1 :])}"
    )
