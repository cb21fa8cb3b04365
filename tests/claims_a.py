"""Synthetic embeddings whose information is known: patches of a field, driven by the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from mitheory.bundle import Sample

D = 12
GRID = (5, 5)
OFFSET = 30.0  # so large that the scaling to unit norm is linear to a few per cent


def field_samples(
    n: int = 160,
    *,
    signal: float = 0.5,
    noise: float = 0.5,
    shared: bool = False,
    questions: int = 1,
    seed: int = 0,
) -> list[Sample]:
    """v_i = √signal A t + √noise e_i + offset; words B t + offset; t of two dimensions per image.

    e is white in three directions, two of them those of A. `shared`: e_i is the scaled sum of a
    2 x 2 window of white noise, so that neighbors' e have correlation 1/2; else patches are
    independent given t. With signal = noise = 1/2, in nats, -log(1 - r²)/2 per direction:

    I(V_i; T) = 2 x 0.347 = 0.693 (r² = 1/2). Not shared: I(V_i; V_j) = 2 x 0.144 = 0.288 (r = 1/2),
    excess -0.405, I(V_i; V_j | T) = 0. Shared: I(V_i; V_j) = 2 x 0.413 + 0.144 = 0.970 (r = 3/4,
    and 1/2 of the third direction), excess 0.277, I(V_i; V_j | T) = 3 x 0.144 = 0.432.
    """
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((D, D)))[0]
    a, b, away, three = basis[:, :2], basis[:, 2:4], basis[:, 4], basis[:, [0, 1, 5]]
    rows, cols = GRID
    samples = []
    for image in range(n):
        t = rng.standard_normal(2)
        white = rng.standard_normal((rows + 1, cols + 1, 3))
        if shared:
            e = (white[1:, 1:] + white[:-1, 1:] + white[1:, :-1] + white[:-1, :-1]) / 2
        else:
            e = white[1:, 1:]
        v = np.sqrt(signal) * (a @ t) + np.sqrt(noise) * e.reshape(-1, 3) @ three.T + OFFSET * away
        for question in range(questions):
            words = (b @ t) + OFFSET * (away + 0.1 * rng.standard_normal((3, 1)) * away)
            samples.append(make(f"{image}-{question}", f"image {image}", v, words, GRID))
    return samples


def make(
    name: str, image: str, visual: np.ndarray, text: np.ndarray, grid: tuple[int, ...] | None
) -> Sample:
    """A sample of these embeddings."""
    return Sample(
        sample_id=name,
        image_id=image,
        visual=torch.from_numpy(np.asarray(visual)).float(),
        text=torch.from_numpy(np.asarray(text)).float(),
        grid=grid,
        tokens=tuple("abcdefgh"[: len(text)]),
        question=f"question {name} ?",
        answer="",
        question_type="synthetic",
    )


def grouped_samples(groups: int, n: int = 30, *, seed: int = 0) -> list[Sample]:
    """36 tokens in `groups` orthogonal directions, and a word along each of the first three."""
    rng = np.random.default_rng(seed)
    samples = []
    for image in range(n):
        axes = np.linalg.qr(rng.standard_normal((40, 40)))[0]
        samples.append(
            make(f"{image}", f"image {image}", axes[np.arange(36) % groups], axes[:3], (6, 6))
        )
    return samples


def rotated(samples: Sequence[Sample], seed: int = 7) -> list[Sample]:
    """The same samples in another basis."""
    d = samples[0].visual.shape[1]
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]
    turn = torch.from_numpy(q)
    return [
        replace(s, visual=(s.visual.double() @ turn).float(), text=(s.text.double() @ turn).float())
        for s in samples
    ]


def with_noise_directions(
    samples: Sequence[Sample], d: int, rng: np.random.Generator
) -> list[Sample]:
    """The same with `d` more directions of patches that share nothing with anything."""
    wider = []
    for s in samples:
        more = torch.from_numpy(rng.standard_normal((s.n_v, d))).float() * 0.5**0.5
        none = torch.zeros(s.n_t, d)
        wider.append(
            replace(s, visual=torch.cat([s.visual, more], 1), text=torch.cat([s.text, none], 1))
        )
    return wider
