"""Stage 3: the projector learns to write visual tokens in the decoder's own words.

`language_stage` is LLaVA's first stage: encoder and decoder frozen, language-model loss alone. A
frozen word table used as input space forces V into it; no word is ever contrasted with a patch.
`contrastive_stage` is the other way: every patch is classified among all words by cosine.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..network import FruitFly
from ..vocabulary import COLOR_IDS, DIGIT_IDS
from .batches import Batch, batch
from .loop import Stage
from .symbolic import WEIGHTS, accuracy_by_type, answer_loss

SCENES, QUESTIONS_EACH = 16, 12


@torch.no_grad()
def evaluate(model: FruitFly, data: Batch) -> dict[str, float]:
    """Accuracy by question type, and zero-shot word matching of the patches of things."""
    visual = model.visual_tokens(data.images)
    positions = torch.arange(visual.shape[1] + data.tokens.shape[-1])[None]
    parts = [
        model.decoder(visual[i : i + 32], positions, data.tokens[i : i + 32])
        for i in range(0, len(visual), 32)
    ]
    cosine = F.normalize(visual, dim=-1) @ F.normalize(model.decoder.words.weight, dim=-1).T
    is_thing = data.patch_digit >= 0
    digit = cosine[..., list(DIGIT_IDS)].argmax(-1) == data.patch_digit
    color = cosine[..., list(COLOR_IDS)].argmax(-1) == data.patch_color
    return accuracy_by_type(torch.cat(parts), data.targets, data.types) | {
        "match_digit": round(digit[is_thing].float().mean().item(), 3),
        "match_color": round(color[is_thing].float().mean().item(), 3),
    }


def held_out() -> Batch:
    """Validation scenes shared by the image stages."""
    return batch("validation", 160, 12, np.random.default_rng(13), dict.fromkeys(WEIGHTS, 1.0))


def _projector_only(
    model: FruitFly,
    name: str,
    loss: Callable[[np.random.Generator], Tensor],
    steps: int,
    *,
    learning_rate: float,
    warmup: int,
) -> Stage:
    """A stage in which encoder and decoder are frozen."""
    validation = held_out()
    return Stage(
        name,
        {"encoder": model.encoder, "projector": model.projector, "decoder": model.decoder},
        loss,
        lambda: evaluate(model, validation),
        steps,
        learning_rate=learning_rate,
        warmup=warmup,
        hold=0.2,
        weight_decay=0.0,
        scales={"encoder": 0.0, "decoder": 0.0},
    )


def language_stage(model: FruitFly, steps: int) -> Stage:
    """Projector only, language-model loss only."""

    def loss(rng: np.random.Generator) -> Tensor:
        data = batch("train", SCENES, QUESTIONS_EACH, rng, WEIGHTS, duplicates=0.15)
        return answer_loss(model(data.images, data.tokens), data.targets)

    return _projector_only(model, "aligned", loss, steps, learning_rate=3e-3, warmup=30)


def contrastive_loss(model: FruitFly, data: Batch, scale: float = 10.0) -> Tensor:
    """Cross-entropy of the cosine softmax over words, at the patch's digit, color, background."""
    visual = F.normalize(model.visual_tokens(data.images).float(), dim=-1)
    words = F.normalize(model.decoder.words.weight.float(), dim=-1)
    log_p = (scale * visual @ words.T).log_softmax(-1)
    is_thing, is_background = data.patch_digit >= 0, data.patch_digit == -1
    digit = torch.tensor(DIGIT_IDS)[data.patch_digit[is_thing]]
    color = torch.tensor(COLOR_IDS)[data.patch_color[is_thing]]
    thing = log_p[is_thing].gather(1, torch.stack([digit, color], 1)).mean()
    photo = data.background[:, None].expand(is_background.shape)[is_background]
    return -thing + 0.3 * F.nll_loss(log_p[is_background], photo)


def contrastive_stage(model: FruitFly, steps: int) -> Stage:
    """Projector only, patch-word contrastive loss only."""

    def loss(rng: np.random.Generator) -> Tensor:
        return contrastive_loss(model, batch("train", 48, 0, rng, {}))

    return _projector_only(model, "aligned-contrastive", loss, steps, learning_rate=2e-3, warmup=20)
