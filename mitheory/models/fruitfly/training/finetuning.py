"""Stage 4: joint visual question answering with all tokens, all weights (encoder at a fifth)."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ..network import FruitFly
from .alignment import QUESTIONS_EACH, SCENES, contrastive_loss, evaluate, held_out
from .batches import batch
from .loop import Stage
from .symbolic import WEIGHTS, answer_loss

# by then the other types are near their ceiling, and relations are not
RELATIONS_FIRST = WEIGHTS | {"relation": 11.0, "counting": 3.0, "count_all": 1.5}


def stage(
    model: FruitFly,
    steps: int,
    *,
    name: str,
    weights: dict[str, float] = WEIGHTS,
    hold: float = 0.4,
    contrastive_weight: float = 0.0,
) -> Stage:
    """Joint fine-tuning; `contrastive_weight` keeps the patch-word loss on beside it."""
    validation = held_out()

    def loss(rng: np.random.Generator) -> Tensor:
        data = batch("train", SCENES, QUESTIONS_EACH, rng, weights)
        language = answer_loss(model(data.images, data.tokens), data.targets)
        if contrastive_weight:
            return language + contrastive_weight * contrastive_loss(model, data)
        return language

    return Stage(
        name,
        {"encoder": model.encoder, "projector": model.projector, "decoder": model.decoder},
        loss,
        lambda: evaluate(model, validation),
        steps,
        learning_rate=1e-3,
        hold=hold,
        scales={"encoder": 0.2},
    )
