"""Datasets of one form of question, taken from as many scenes as that needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from mitheory.errors import ParameterError
from mitheory.models.base import Example

Stream = Callable[..., Iterator[Example]]

CLOSED = ("scienceqa", "textvqa", "textvqa_ocr", "mme", "pope")
"""Benchmarks that the paper takes for closed-form, with λ = 1 (Sec. 4.1)."""


def form_of(benchmark: str) -> str:
    """ "closed" or "open", as the paper takes a benchmark; one's own questions are open.

    Examples
    --------
    >>> form_of("pope"), form_of("gqa"), form_of("folder")
    ('closed', 'open', 'open')
    """
    return "closed" if benchmark in CLOSED else "open"


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
