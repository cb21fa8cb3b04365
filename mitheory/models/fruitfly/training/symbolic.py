"""Stage 2: the decoder on symbolic scenes ("language-model pre-training" of the fruit-fly).

A visual token is written down from its labels, V := word(digit) + word(color) + place + noise, with
no encoder in the way. Without this stage image training sat for thousands of steps at 65%: the
decoder never looked at the digit words of a question.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..network import FruitFly
from ..scenes import GRID, N_PATCHES, Scene, Thing, digit_images, patch_labels, sample_things
from ..vocabulary import BACKGROUND_IDS, BACKGROUNDS, COLOR_IDS, DIGIT_IDS
from .batches import IGNORE, TYPES, questions
from .loop import Stage

SCENES, QUESTIONS_EACH = 24, 12
TOKENS = 64  # all patches of the things, and some of the background
WEIGHTS = {
    "color": 3.0,
    "digit": 2.5,
    "existence": 4.0,
    "multiple_choice": 2.5,
    "relation": 4.0,
    "counting": 2.0,
    "count_all": 1.0,
    "background": 0.3,
}


def place_features() -> Tensor:
    """(144, 16) sines and cosines of patch row and column, at four wavelengths."""
    at = torch.arange(GRID) / GRID
    waves = [f(2 * torch.pi * at * k / 2) for k in (0.5, 1, 2, 4) for f in (torch.sin, torch.cos)]
    one = torch.stack(waves, -1)  # (12, 8)
    rows, columns = one[:, None].expand(-1, GRID, -1), one[None].expand(GRID, -1, -1)
    return torch.cat([rows, columns], -1).reshape(N_PATCHES, -1)


class SymbolicVision(nn.Module):
    """Writes down visual tokens from labels; thrown away after this stage."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.place = nn.Linear(16, width)
        self.center = nn.Parameter(torch.randn(width) * 0.2)
        self.register_buffer("features", place_features())

    def forward(self, words: Tensor, labels: Tensor, patches: Tensor, noise: Tensor) -> Tensor:
        """labels (B, M, 3): word ids of digit and color (or background twice) and center flag."""
        visual = words[labels[..., 0]] * (labels[..., 3:] == 0) + words[labels[..., 1]]
        visual = visual + self.place(self.features)[patches] + labels[..., 2:3] * self.center
        return visual + 0.15 * noise


def symbolic_scenes(
    n: int, rng: np.random.Generator, duplicates: float
) -> tuple[list[Scene], Tensor, Tensor]:
    """Scenes without pixels, the labels (n, M, 4) of M of their patches, and the patches (n, M).

    Label columns: digit word, color word, center flag, digit-unreadable flag.
    """
    scenes, labels, patches = (
        [],
        np.zeros((n, TOKENS, 4), np.int64),
        np.zeros((n, TOKENS), np.int64),
    )
    digits = digit_images("train")
    empty = np.zeros((0, 0, 3), np.float32)
    for i in range(n):
        things = sample_things(rng, duplicates=duplicates)
        scans = [digits[t.digit][rng.integers(len(digits[t.digit]))] for t in things]
        background = int(rng.integers(len(BACKGROUNDS)))
        digit, color = patch_labels(things, scans)
        scenes.append(Scene(empty, things, background, digit, color))
        labels[i], patches[i] = _write_down(things, digit, color, background, rng)
    return scenes, torch.from_numpy(labels), torch.from_numpy(patches)


def _write_down(
    things: tuple[Thing, ...],
    digit: np.ndarray,
    color: np.ndarray,
    background: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of a random TOKENS of the 144 patches that include every patch of a thing."""
    words = np.full((N_PATCHES, 4), (BACKGROUND_IDS[background],) * 2 + (0, 1))
    seen = digit >= 0
    words[seen, 0] = np.array(DIGIT_IDS)[digit[seen]]
    words[seen, 1] = np.array(COLOR_IDS)[color[seen]]
    words[seen, 3] = rng.random(int(seen.sum())) < 0.1
    for thing in things:
        words[thing.center()] = (DIGIT_IDS[thing.digit], COLOR_IDS[thing.color], 1, 0)
        seen[thing.center()] = True
    order = np.argsort(rng.random(N_PATCHES) - seen)[:TOKENS]
    order.sort()
    return words[order], order


def answer_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the answer word."""
    return F.cross_entropy(logits.float().flatten(0, -2), targets.flatten(), ignore_index=IGNORE)


def accuracy_by_type(logits: Tensor, targets: Tensor, types: Tensor) -> dict[str, float]:
    """Share of right answers per question type."""
    right = ((logits.argmax(-1) == targets) & (targets != IGNORE)).any(-1)
    present = [t for t in range(len(TYPES)) if (types == t).any()]
    return {TYPES[t]: round(right[types == t].float().mean().item(), 3) for t in present}


def stage(
    model: FruitFly, steps: int, *, name: str = "symbolic", weights: dict[str, float] = WEIGHTS
) -> Stage:
    """The symbolic stage; `evaluate` is on fresh symbolic scenes."""
    vision = SymbolicVision(model.config.width)

    def logits(n: int, k: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        scenes, labels, patches = symbolic_scenes(n, rng, duplicates=0.2)
        tokens, targets, types = questions(scenes, k, rng, weights)
        noise = torch.from_numpy(rng.standard_normal((n, TOKENS, model.config.width), np.float32))
        visual = vision(model.decoder.words.weight, labels, patches, noise)
        text = N_PATCHES + torch.arange(tokens.shape[-1]).expand(n, -1)
        positions = torch.cat([patches, text], 1)
        return model.decoder(visual, positions, tokens), targets, types

    def loss(rng: np.random.Generator) -> Tensor:
        predicted, targets, _ = logits(SCENES, QUESTIONS_EACH, rng)
        return answer_loss(predicted, targets)

    @torch.no_grad()
    def evaluate() -> dict[str, float]:
        return accuracy_by_type(*logits(96, 12, np.random.default_rng(12)))

    return Stage(
        name,
        {"decoder": model.decoder, "vision": vision},
        loss,
        evaluate,
        steps,
        learning_rate=1.2e-3,
        hold=0.5,
    )
