"""Inputs of tiny models without a processor: random words around random images and videos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .checkpoints import tiny

Prompt = Sequence[int | str]
"""Numbers of random words, and "image" or "video" in between."""


def tiny_inputs(model: Any, prompts: Sequence[Prompt], *, seed: int = 0) -> dict[str, Any]:
    """What a processor would give: prompts padded on the left, placeholders, pixels.

    Parameters
    ----------
    model : of `tiny_model`
    prompts : such as ``[3, "image", 5]``: three words, an image, five words
    seed : of words and pixels

    Returns
    -------
    dict
        ``input_ids``, ``attention_mask`` and the inputs of the images and videos.

    Examples
    --------
    >>> from mitheory.testing import tiny_model
    >>> model = tiny_model("LlavaForConditionalGeneration")
    >>> inputs = tiny_inputs(model, [[3, "image", 5], [2]])
    >>> inputs["attention_mask"].sum(-1)  # 3, 16 of the image and 5; 2
    tensor([24,  2])
    """
    recipe = tiny(type(model).__name__)
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, list[torch.Tensor]] = {}
    rows: list[list[int]] = []
    count = 0
    for prompt in prompts:
        ids: list[int] = []
        for part in prompt:
            if isinstance(part, str):
                medium = recipe.medium(model.config, part, generator, count)
                count += 1
                ids += medium.tokens
                for name, tensor in medium.tensors.items():
                    tensors.setdefault(name, []).append(tensor)
            else:
                ids += torch.randint(4, 100, (part,), generator=generator).tolist()
        rows.append(ids)
    longest = max(len(ids) for ids in rows)
    padding = model.generation_config.pad_token_id
    input_ids = torch.tensor([[padding] * (longest - len(ids)) + ids for ids in rows])
    return {
        "input_ids": input_ids,
        "attention_mask": torch.tensor(
            [[0] * (longest - len(ids)) + [1] * len(ids) for ids in rows]
        ),
        **{name: recipe.collate(name, each) for name, each in tensors.items()},
        **recipe.further(model.config, input_ids),
    }
