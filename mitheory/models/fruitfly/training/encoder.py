"""Stage 1: the vision encoder on dense patch labels and a bag of words on [CLS]."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..network import FruitFly
from ..vocabulary import CONTENT_IDS, WORDS
from .batches import Batch, batch
from .loop import Stage

SCENES = 48


class Heads(nn.Module):
    """Linear read-outs that exist during this stage only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.digit = nn.Linear(width, 11)
        self.color = nn.Linear(width, 8)
        self.center = nn.Linear(width, 2)
        self.background = nn.Linear(width, len(WORDS))
        self.present = nn.Linear(width, len(CONTENT_IDS))


def dense_loss(features: Tensor, heads: Heads, data: Batch) -> Tensor:
    """Patch digit, color and center, background from the mean patch, content words from [CLS]."""
    cls, patches = features[:, 0], features[:, 1:]
    digit_weight, color_weight = torch.ones(11), torch.ones(8)
    digit_weight[10], color_weight[7] = 0.1, 0.3
    digit = torch.where(data.patch_digit == -1, 10, data.patch_digit)
    color = torch.where(data.patch_color == -1, 7, data.patch_color)
    losses = (
        F.cross_entropy(
            heads.digit(patches).float().flatten(0, 1),
            digit.flatten(),
            digit_weight,
            ignore_index=-2,
        ),
        F.cross_entropy(
            heads.color(patches).float().flatten(0, 1),
            color.flatten(),
            color_weight,
            ignore_index=-2,
        ),
        F.cross_entropy(
            heads.center(patches).float().flatten(0, 1),
            data.center.flatten(),
            torch.tensor([0.3, 1.0]),
        ),
        0.3 * F.cross_entropy(heads.background(patches.mean(1)).float(), data.background),
        F.binary_cross_entropy_with_logits(heads.present(cls).float(), data.present),
    )
    return torch.stack(losses).sum()


def stage(model: FruitFly, steps: int, *, name: str = "encoder") -> Stage:
    """The encoder stage; `evaluate` reports per-patch accuracy on validation scenes."""
    heads = Heads(model.config.encoder_width)
    held_out = batch("validation", 96, 0, np.random.default_rng(11), {})

    def loss(rng: np.random.Generator) -> Tensor:
        data = batch("train", SCENES, 0, rng, {})
        return dense_loss(model.encoder(data.images), heads, data)

    @torch.no_grad()
    def evaluate() -> dict[str, float]:
        features = model.encoder(held_out.images)
        patches, is_thing = features[:, 1:], held_out.patch_digit >= 0
        hit = {
            "digit": (heads.digit(patches).argmax(-1) == held_out.patch_digit)[is_thing],
            "color": (heads.color(patches).argmax(-1) == held_out.patch_color)[is_thing],
            "center": (heads.center(patches).argmax(-1) == held_out.center)[held_out.center == 1],
            "background": heads.background(patches.mean(1)).argmax(-1) == held_out.background,
            "present": (heads.present(features[:, 0]) > 0) == (held_out.present > 0),
        }
        return {k: round(v.float().mean().item(), 4) for k, v in hit.items()}

    return Stage(
        name,
        {"encoder": model.encoder, "heads": heads},
        loss,
        evaluate,
        steps,
        learning_rate=1.5e-3,
        warmup=100,
        hold=0.3,
        weight_decay=0.03,
    )
