"""What counts as T: the words of the prompt that relevance is measured against.

The model is always asked the whole prompt; a scope only chooses which words the selector sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from mitheory.bundle import Sample
from mitheory.errors import EmptyInputError

INSTRUCTION = ("answer", "with", "a", "single", "word", ".")
"""The fixed sentence of LLaVA's prompts, as far as the vocabulary of the fruit-fly has it."""

FILLERS = frozenset(
    "please tell me can you see the is are of a there in this image picture does have which what "
    "how on many and to answer with single word ? , . (a) (b) (c)".split()
)
"""Words that name nothing in a picture."""


class Words(Protocol):
    """A model whose word embeddings can be asked for."""

    def embed(self, words: Sequence[str]) -> Tensor:
        """Embeddings (n, d) of words of its vocabulary."""
        ...


def _without_options(sample: Sample) -> list[int]:
    """Places of the words before the options and without the fixed sentence."""
    words = list(sample.tokens)
    end = next((i for i, word in enumerate(words) if word == "(a)"), len(words))
    if "answer" in words:
        end = min(end, words.index("answer"))
    return list(range(end))


def _content(sample: Sample) -> list[int]:
    return [i for i, word in enumerate(sample.tokens) if word not in FILLERS]


SCOPES: dict[str, Callable[[Sample], list[int]] | None] = {
    "prompt": lambda sample: list(range(sample.n_t)),  # as it is asked, with options if there are
    "question": _without_options,
    "content": _content,
    "prompt+instruction": None,  # the prompt and the fixed sentence
}


def text_of(sample: Sample, scope: str, model: Words) -> Tensor:
    """T (n_t, d) of a sample under a scope.

    Raises
    ------
    EmptyInputError
        If no word is left.
    """
    places = SCOPES[scope]
    if places is None:
        fixed = model.embed(INSTRUCTION).to(sample.text)
        return torch.cat([sample.text, fixed])
    chosen = places(sample)
    if not chosen:
        raise EmptyInputError(f"scope {scope!r}: no word is left of {' '.join(sample.tokens)!r}")
    return sample.text[chosen]
