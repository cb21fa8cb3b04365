"""A model that sees no more than the mean colors of an image's quarters: small enough for any test.

It takes images of any size, answers yes or no by the red of what it is shown, and refuses prompts
that are too long. Known to `load_adapter` as "seeing:Seeing".
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import torch
from torch import Tensor

from mitheory.bundle import Sample
from mitheory.errors import ParameterError
from mitheory.models.base import Answer, Example

LONGEST = 24  # words
RED = 128


class Seeing:
    """An adapter of four visual tokens in three dimensions."""

    def __init__(self, *, device: str = "cpu") -> None:
        self.name, self.revision, self.device = "seeing", "1", torch.device(device)
        self.batch_size = 2
        self.batches: list[list[str]] = []

    def embed(self, words: Sequence[str]) -> Tensor:
        rows = [torch.Generator().manual_seed(crc32(word.encode())) for word in words]
        return torch.stack([torch.randn(3, generator=rng) for rng in rows])

    def encode(self, examples: Sequence[Example]) -> list[Sample]:
        self.batches.append([example.sample_id for example in examples])
        return [self._sample(example) for example in examples]

    def _sample(self, example: Example) -> Sample:
        words = tuple(example.question.split())
        if len(words) > LONGEST:
            raise ParameterError(f"question: expected {LONGEST} words at most, got {len(words)}")
        image = torch.from_numpy(example.image.copy()).float()
        halves = [part for half in image.chunk(2) for part in half.chunk(2, dim=1)]
        return Sample(
            sample_id=example.sample_id,
            image_id=example.image_id,
            visual=torch.stack([part.mean((0, 1)) for part in halves]) + 1,
            text=self.embed(words),
            grid=(2, 2),
            tokens=words,
            question=example.question,
            answer=example.answer,
            question_type=example.question_type,
            options=example.options,
            metadata=example.metadata,
        )

    def answer(
        self,
        samples: Sequence[Sample],
        keep: Sequence[Tensor] | None = None,
        *,
        words: Sequence[Tensor] | None = None,
        positions: str = "kept",
        order: str = "raster",
    ) -> list[Answer]:
        """Yes, if what is shown of the image is red enough; no, if nothing is shown."""
        shown = keep or [torch.arange(s.n_v) for s in samples]
        found = []
        for sample, index in zip(samples, shown, strict=True):
            red = float(sample.visual[index, 0].mean()) - 1 if len(index) else 0.0
            found.append(Answer("yes" if red >= RED else "no", -0.5, -1.0))
        return found
