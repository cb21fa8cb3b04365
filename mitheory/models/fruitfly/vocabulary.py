"""The words of the fruit-fly world: one token per word, no subwords."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...errors import ParameterError

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COLORS = ("red", "green", "blue", "yellow", "purple", "cyan", "white")
BACKGROUNDS = (
    "brick",
    "grass",
    "gravel",
    "coffee",
    "cat",
    "coins",
    "stars",
    "temple",
    "flower",
    "rocket",
)
COUNTS = (
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
)  # numerals: "how many" never collides with a digit's name
FUNCTION_WORDS = tuple(
    "<pad> ? , . what which is the of a there in this image picture please tell me color digit"
    " digits does have how many are left right above below to answer with single word"
    " (a) (b) (c) yes no background kind can you see on and".split()
)
WORDS = FUNCTION_WORDS + DIGITS + COLORS + BACKGROUNDS + COUNTS
PAD = 0
MAX_WORDS = 16  # longest question, in words

_INDEX = {word: i for i, word in enumerate(WORDS)}
DIGIT_IDS = tuple(_INDEX[w] for w in DIGITS)
COLOR_IDS = tuple(_INDEX[w] for w in COLORS)
BACKGROUND_IDS = tuple(_INDEX[w] for w in BACKGROUNDS)
CONTENT_IDS = DIGIT_IDS + COLOR_IDS + BACKGROUND_IDS


def encode(words: Iterable[str]) -> list[int]:
    """Token ids of `words`.

    Raises
    ------
    ParameterError
        If a word is not in the vocabulary (the model has no unknown-word token).

    Examples
    --------
    >>> decode(encode("what color is the four ?".split()))
    ('what', 'color', 'is', 'the', 'four', '?')
    """
    words = list(words)
    unknown = sorted({word for word in words if word not in _INDEX})
    if unknown:
        raise ParameterError(
            f"words: expected words of the fruit-fly vocabulary ({len(WORDS)} words), got {unknown}"
        )
    return [_INDEX[word] for word in words]


def decode(ids: Sequence[int]) -> tuple[str, ...]:
    """Words of token `ids`, padding left out."""
    return tuple(WORDS[i] for i in ids if i != PAD)
