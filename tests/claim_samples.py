"""Samples that the tests of claims and of the audit share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from bundle_samples import PROVENANCE

from mitheory.bundle import Bundle, BundleWriter, Sample


def gaussian_samples(
    images: int = 12, questions: int = 2, *, rows: int = 4, n_t: int = 5, d: int = 8, seed: int = 0
) -> list[Sample]:
    """Independent normal embeddings on a square grid: no structure whatever."""
    made = []
    for image in range(images):
        of_image = torch.Generator().manual_seed(1000 * seed + image)
        visual = torch.randn(rows * rows, d, generator=of_image)
        relevant = torch.rand(questions, rows * rows, generator=of_image) < 0.3
        for question in range(questions):
            made.append(
                Sample(
                    sample_id=f"{image}-{question}",
                    image_id=f"image {image}",
                    visual=visual,
                    text=torch.randn(n_t, d, generator=of_image),
                    grid=(rows, rows),
                    tokens=tuple(f"word{j}" for j in range(n_t)),
                    question=" ".join(f"word{j}" for j in range(n_t)),
                    answer=("yes", "no")[(image + question) % 2],
                    question_type="existence",
                    relevant=relevant[question],
                )
            )
    return made


def on_disk(path: Path, samples: Iterable[Sample]) -> Bundle:
    """A finished bundle of these samples; no model made it."""
    nobody = replace(PROVENANCE, model=None)
    with BundleWriter(path, nobody, dtype="float32") as writer:
        for sample in samples:
            writer.add(sample)
    return Bundle.open(path)


def rotated(samples: Iterable[Sample], seed: int = 0) -> list[Sample]:
    """The same samples in a space turned by a random rotation."""
    samples = list(samples)
    d = samples[0].visual.shape[1]
    rng = torch.Generator().manual_seed(seed)
    q, _ = torch.linalg.qr(torch.randn(d, d, generator=rng, dtype=torch.float64))
    return [
        replace(s, visual=(s.visual.double() @ q).float(), text=(s.text.double() @ q).float())
        for s in samples
    ]
