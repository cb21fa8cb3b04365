"""Datasets of one form of question, taken from as many scenes as that needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from mitheory.errors import ParameterError
from mitheory.models.base import Example

Stream = Callable[..., Iterator[Example]]


def only(types: Sequence[str], stream: Stream) -> Stream:
    """A dataset of the questions of these types.

    Examples
    --------
    >>> from mitheory.models.fruitfly import examples
    >>> yes_no = only(["existence"], examples)
    >>> [example.image_id for example in yes_no("test", limit=3)]
    ['test-0-00000', 'test-0-00001', 'test-0-00002']
    """

    def chosen(split: str = "test", *, limit: int = 512, seed: int = 0) -> Iterator[Example]:
        if limit < 1:
            raise ParameterError(f"limit: expected a positive number of questions, got {limit}")
        everything = stream(split, limit=sys.maxsize, seed=seed)
        return islice((e for e in everything if e.question_type in types), limit)

    return chosen
