"""Training batches: packed questions per scene, and the labels the encoder learns from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ....errors import ParameterError
from ..questions import QUESTIONS, dress
from ..scenes import N_PATCHES, SIDE, Scene, sample_scene
from ..vocabulary import BACKGROUND_IDS, CONTENT_IDS, MAX_WORDS, encode

IGNORE = -100
VARIANTS = 20  # jittered copies of each training scan: 1,197 scans alone are memorized
TYPES = tuple(QUESTIONS)


@dataclass(frozen=True)
class Batch:
    """images (B, 3, 48, 48); tokens, targets (B, K, L), targets IGNORE but at the answer;
    types (B, K); patch_digit, patch_color, center (B, 144); background (B,);
    present (B, |CONTENT_IDS|)."""

    images: Tensor
    tokens: Tensor
    targets: Tensor
    types: Tensor
    patch_digit: Tensor
    patch_color: Tensor
    center: Tensor
    background: Tensor
    present: Tensor


def ask(
    scene: Scene, rng: np.random.Generator, weights: dict[str, float]
) -> tuple[str, list[int], int]:
    """One question that the scene admits: its type, its token ids, its answer's id."""
    p = np.array(list(weights.values()))
    for which in rng.choice(len(p), len(p), replace=False, p=p / p.sum()):
        kind = list(weights)[which]
        question = QUESTIONS[kind](scene, rng)
        if question is not None:
            question = dress(question, rng)
            return kind, encode(question.words), encode([question.answer])[0]
    raise ParameterError(f"weights: no type of {list(weights)} can be asked about {scene.things}")


def questions(
    scenes: list[Scene], k: int, rng: np.random.Generator, weights: dict[str, float]
) -> tuple[Tensor, Tensor, Tensor]:
    """tokens, targets (B, K, L) and types (B, K) of `k` questions per scene."""
    tokens = np.zeros((len(scenes), k, MAX_WORDS), np.int64)
    targets = np.full((len(scenes), k, MAX_WORDS), IGNORE, np.int64)
    types = np.zeros((len(scenes), k), np.int64)
    for i, scene in enumerate(scenes):
        for j in range(k):
            kind, ids, answer = ask(scene, rng, weights)
            tokens[i, j, : len(ids)] = ids
            targets[i, j, len(ids) - 1] = answer
            types[i, j] = TYPES.index(kind)
    return torch.from_numpy(tokens), torch.from_numpy(targets), torch.from_numpy(types)


def batch(
    split: str,
    n: int,
    k: int,
    rng: np.random.Generator,
    weights: dict[str, float],
    *,
    duplicates: float = 0.25,
) -> Batch:
    """`n` scenes of `split` with `k` questions each."""
    variants = VARIANTS if split == "train" else 0
    scenes = [sample_scene(split, rng, duplicates=duplicates, variants=variants) for _ in range(n)]
    images = np.stack([s.image for s in scenes]).transpose(0, 3, 1, 2)
    center = np.zeros((n, N_PATCHES), np.int64)
    present = np.zeros((n, len(CONTENT_IDS)), np.float32)
    for i, scene in enumerate(scenes):
        for thing in scene.things:
            center[i, thing.center()] = 1
            # a zero has a hollow middle: its center patch is labeled all the same
            scene.patch_digit[thing.center()], scene.patch_color[thing.center()] = (
                thing.digit,
                thing.color,
            )
            present[i, [thing.digit, 10 + thing.color]] = 1
        present[i, 17 + scene.background] = 1
    return Batch(
        torch.from_numpy(np.ascontiguousarray(images)).reshape(n, 3, SIDE, SIDE),
        *questions(scenes, k, rng, weights),
        torch.from_numpy(np.stack([s.patch_digit for s in scenes])),
        torch.from_numpy(np.stack([s.patch_color for s in scenes])),
        torch.from_numpy(center),
        torch.tensor([BACKGROUND_IDS[s.background] for s in scenes]),
        torch.from_numpy(present),
    )
