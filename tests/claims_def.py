"""Planted embeddings: cosines of patches with words are exactly those that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from mitheory.bundle import Sample

WORDS = 6
SPARE = 24  # directions beside the words, in which patches differ
SIDE = 8
N_V = SIDE * SIDE
LOW = 0.1  # cosine of a patch with a word that it does not match


def from_cosines(cosine: np.ndarray, spare: np.ndarray) -> np.ndarray:
    """Unit vectors (n_v, n_t + spare) with these cosines (n_v, n_t) to the first n_t axes."""
    rest = np.sqrt(1 - (cosine**2).sum(1, keepdims=True))
    return np.c_[cosine, rest * spare / np.linalg.norm(spare, axis=1, keepdims=True)]


def made(
    name: str, image: str, cosine: np.ndarray, spare: np.ndarray, relevant: np.ndarray | None
) -> Sample:
    """A sample on an 8 x 8 grid whose words are the first axes."""
    n_t = cosine.shape[1]
    visual = from_cosines(cosine, spare)
    return Sample(
        sample_id=name,
        image_id=image,
        visual=torch.from_numpy(visual).float(),
        text=torch.eye(n_t, visual.shape[1]),
        grid=(SIDE, SIDE),
        tokens=tuple("abcdefgh"[:n_t]),
        question=f"question {name} ?",
        answer="",
        question_type="planted",
        relevant=None if relevant is None else torch.from_numpy(relevant),
    )


def background(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cosines (n_v, n_t) and directions (n_v, spare) of patches that match no word."""
    cosine = LOW + 0.02 * rng.standard_normal((N_V, WORDS))
    return cosine, rng.standard_normal((N_V, SPARE))


Plan = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def planted(plan: Plan, n: int = 40, *, masks: bool = True, seed: int = 0) -> list[Sample]:
    """One question per image; `plan` writes cosines in place and returns the relevant patches."""
    samples = []
    for i in range(n):
        rng = np.random.default_rng((seed, i))
        cosine, spare = background(rng)
        relevant = np.zeros(N_V, dtype=bool)
        relevant[plan(rng, cosine)] = True
        samples.append(made(f"{i}", f"image {i}", cosine, spare, relevant if masks else None))
    return samples


def anywhere(rows: range = range(SIDE)) -> Plan:
    """Four patches of a 2 x 2 block, on the torus, match word 0 at 0.5; its corner is in `rows`."""

    def plan(rng: np.random.Generator, cosine: np.ndarray) -> np.ndarray:
        row, col = rng.choice(rows), rng.integers(SIDE)
        cells = [(row + a) % SIDE * SIDE + (col + b) % SIDE for a in (0, 1) for b in (0, 1)]
        cosine[cells, 0] = 0.5
        return np.array(cells)

    return plan


def words_matched(
    relevant: int, other: int, *, strength: float = 0.5, more: float = 0.0, noise: float = 0.0
) -> Plan:
    """Seven patches match `relevant` of the first two words, seven match `other` of them.

    `more` is added to the cosines of the latter, `noise` to those of patches that match nothing.
    """

    def plan(rng: np.random.Generator, cosine: np.ndarray) -> np.ndarray:
        cosine += noise * rng.standard_normal(cosine.shape)
        places = rng.permutation(N_V)[:14]
        for part, n, c in ((places[:7], relevant, strength), (places[7:], other, strength + more)):
            for k, patch in enumerate(part):
                for word in range(n):
                    cosine[patch, (k + word) % 2] = c
        return places[:7]

    return plan


def asked(n: int = 40, *, aware: bool, questions: int = 3, seed: int = 0) -> list[Sample]:
    """Three things of three patches and a question about each: the thing's name and two fillers.

    Aware: a thing matches its own name, which is one axis per thing. Not: all things match every
    name and nothing tells them apart, but they differ from background.
    """
    samples = []
    for i in range(n):
        rng = np.random.default_rng((seed, i))
        cosine, spare = background(rng)
        things = rng.permutation(N_V)[:9].reshape(3, 3)
        names = rng.permutation(WORDS - 2)[:3]
        for thing, name in zip(things, names, strict=True):
            matched = [name] if aware else list(range(WORDS - 2))
            cosine[np.ix_(thing, matched)] += 0.4 if aware else 0.2
        whole = made(f"{i}", f"image {i}", cosine, spare, None)
        for q in range(questions):
            relevant = np.zeros(N_V, dtype=bool)
            relevant[things[q]] = True
            words = [int(names[q]), WORDS - 2, WORDS - 1]
            samples.append(
                replace(
                    whole,
                    sample_id=f"{i}-{q}",
                    text=whole.text[words],
                    tokens=("name", "of", "the"),
                    relevant=torch.from_numpy(relevant),
                )
            )
    return samples


def red_fours(n: int = 20, *, alike: bool, seed: int = 0) -> list[Sample]:
    """A red four, a red one and a blue four on a 12 x 12 grid, and the question "is a red four ?".

    Alike: the target's patches match "red" and "four" at 0.5 each, the others' one of them at 0.5.
    Else the target matches "red" alone and the others "four" alone: there is no competition to
    suffer from, and the rarer word has the larger PMI. All matches vary by 0.1.
    """
    boxes = [(4, 0, 0, 0), (1, 0, 20, 20), (4, 2, 36, 36)]  # digit, color, x, y: 2 x 2 patches each
    words = ((2, 3), (2,), (3,)) if alike else ((2,), (3,), (3,))
    tokens = ("is", "a", "red", "four", "?")
    samples = []
    for i in range(n):
        rng = np.random.default_rng((seed, i))
        cosine = LOW + 0.02 * rng.standard_normal((144, 5))
        for (_, _, x, y), matched in zip(boxes, words, strict=True):
            cells = [(y // 4 + a) * 12 + x // 4 + b for a in (0, 1) for b in (0, 1)]
            for word in matched:
                cosine[cells, word] = 0.5 + 0.1 * rng.standard_normal(4).clip(-1.5, 1.5)
        visual = torch.from_numpy(from_cosines(cosine, rng.standard_normal((144, SPARE)))).float()
        relevant = torch.zeros(144, dtype=torch.bool)
        relevant[[0, 1, 12, 13]] = True
        samples.append(
            Sample(
                sample_id=f"{i}",
                image_id=f"image {i}",
                visual=visual,
                text=torch.eye(5, visual.shape[1]),
                grid=(12, 12),
                tokens=tokens,
                question=" ".join(tokens),
                answer="yes",
                question_type="existence",
                relevant=relevant,
                metadata={"things": [list(b) for b in boxes], "background": 0},
            )
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
