"""Prompts for the tiny models, and slow twins of what the adapters do with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from mitheory.models.mllm.base import Family
from mitheory.models.mllm.cutting import kept_columns, shown
from mitheory.models.mllm.records import Encoded
from mitheory.models.mllm.registry import family_of
from mitheory.testing import tiny_inputs, tiny_model

LLAVA = "LlavaForConditionalGeneration"
NEXT = "LlavaNextForConditionalGeneration"
VIDEO = "VideoLlavaForConditionalGeneration"


QWEN = {
    "qwen2": "Qwen2VLForConditionalGeneration",
    "qwen2.5": "Qwen2_5_VLForConditionalGeneration",
    "qwen3": "Qwen3VLForConditionalGeneration",
    "qwen3 moe": "Qwen3VLMoeForConditionalGeneration",
}
QWEN_PROMPTS: dict[str, tuple[tuple[int | str, ...], ...]] = {
    "one": ((4, "image", 6),),
    "batch": ((4, "image", 3), (2, "image", 9)),
    "videos": ((1, "video", 5), (6, "video", 2)),
    "mixed": ((2, "image", 3, "image", 4), (1, "video", 2, "image", 5)),
}


@dataclass(frozen=True)
class Case:
    """A class of models and prompts for it: numbers of words, images and videos."""

    architecture: str
    prompts: tuple[tuple[int | str, ...], ...]


CASES = {
    "llava": Case(LLAVA, ((4, "image", 6),)),
    "llava, batch": Case(LLAVA, ((4, "image", 3), (2, "image", 9))),
    "llava, two images": Case(LLAVA, ((2, "image", 3, "image", 4), (1, "image", 5))),
    "next": Case(NEXT, ((4, "image", 6),)),
    "next, batch": Case(NEXT, ((4, "image", 3), (2, "image", 9))),
    "next, two images": Case(NEXT, ((1, "image", 5), (2, "image", 3, "image", 4))),
    "video-llava, image": Case(VIDEO, ((4, "image", 6),)),
    "video-llava, video": Case(VIDEO, ((4, "video", 6),)),
    "video-llava, both": Case(VIDEO, ((1, "video", 2, "image", 3),)),
    "video-llava, two videos": Case(VIDEO, ((2, "video", 1, "video", 4), (7, "video", 3))),
    "video-llava, image beside video": Case(VIDEO, ((4, "image", 6), (2, "video", 3))),
    "video-llava, batch": Case(VIDEO, ((4, "video", 6), (2, "video", 3))),
    **{
        f"{name}, {what}": Case(architecture, prompts)
        for name, architecture in QWEN.items()
        for what, prompts in QWEN_PROMPTS.items()
    },
}
"""Every test of what must hold of a class goes through all of these."""

ONE_EACH = {case.architecture: name for name, case in CASES.items() if name.endswith(", batch")}
"""For tests that need one case per class, with a batch of two."""


@cache
def model_of(architecture: str) -> Any:
    """Made once for all tests; nobody may change it."""
    return tiny_model(architecture)


@cache
def encoded_of(name: str) -> tuple[Family, dict[str, Any], Encoded]:
    """A case's model, inputs and encoding."""
    case = CASES[name]
    model = model_of(case.architecture)
    inputs = tiny_inputs(model, case.prompts)
    family = family_of(model)
    return family, inputs, family.encode(inputs)


def random_keep(encoded: Encoded, *, seed: int = 0) -> list[Tensor]:
    """A third of the candidates and a few more for every further sample, in no order."""
    generator = torch.Generator().manual_seed(seed)
    keep = []
    for sample in range(len(encoded)):
        total = len(encoded.columns(sample))
        keep.append(torch.randperm(total, generator=generator)[: total // 3 + sample])
    return keep


@torch.no_grad()
def masked_logits(family: Family, encoded: Encoded, keep: list[Tensor]) -> list[Tensor]:
    """Twin of pruning: the full prompt with dropped columns masked; logits of kept columns."""
    everything = family.prune(encoded, positions="kept")
    columns = kept_columns(encoded, shown(encoded, keep))
    width = everything["input_ids"].shape[1]
    everything["attention_mask"] = columns[:, -width:].long()
    logits = family.model(**everything).logits
    return [row[own[-width:]] for row, own in zip(logits, columns, strict=True)]


@torch.no_grad()
def pruned_logits(family: Family, encoded: Encoded, keep: list[Tensor] | None) -> list[Tensor]:
    """Logits of every prompt that was cut, without padding."""
    pruned = family.prune(encoded, keep)
    logits = family.model(**pruned).logits
    return [row[mask.bool()] for row, mask in zip(logits, pruned["attention_mask"], strict=True)]


def deepstack_twin(encoded: Encoded, sample: int, own: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Where visual tokens are among the columns shown, and by layer what is added to them there."""
    is_visual = torch.zeros_like(own)
    layers: dict[int, dict[int, Tensor]] = {}
    for block in encoded.blocks[sample]:
        is_visual[block.columns] = True
        for i, layer in enumerate(encoded.features[block.modality].deep):
            rows = zip(block.columns.tolist(), layer[block.index], strict=True)
            layers.setdefault(i, {}).update(rows)
    shown_columns = [c for c in own.nonzero()[:, 0].tolist() if is_visual[c]]
    deep = [torch.stack([rows[c] for c in shown_columns]) for rows in layers.values()
            if shown_columns]  # fmt: skip
    return is_visual[own], deep


@torch.no_grad()
def greedy_twin(family: Family, encoded: Encoded, keep: list[Tensor], steps: int) -> Tensor:
    """Twin of `generate`: sample by sample, everything computed anew for every token.

    Visual tokens stand in the place of the placeholders before the model sees anything, so that
    neither `mm_encoder_outputs`, nor a cache, nor padding is used.
    """
    model = family.model
    masks = shown(encoded, keep)
    columns = kept_columns(encoded, masks)
    found = []
    for sample, own in enumerate(columns):
        embedded = model.get_input_embeddings()(encoded.input_ids[sample])
        for block in encoded.blocks[sample]:
            embedded[block.columns] = block.features
        rows, positions = embedded[own], encoded.position_ids[..., sample, :][..., own]
        is_visual, deep = deepstack_twin(encoded, sample, own)
        tokens: list[int] = []
        for _ in range(steps):
            state = model.model.language_model(
                inputs_embeds=rows[None],
                attention_mask=torch.ones(1, len(rows), dtype=torch.long),
                position_ids=positions[..., None, :],
                **(
                    {}
                    if not deep
                    else {
                        "visual_pos_masks": torch.nn.functional.pad(is_visual, (0, len(tokens)))[
                            None
                        ],
                        "deepstack_visual_embeds": deep,
                    }
                ),
            ).last_hidden_state
            tokens.append(int(model.lm_head(state[0, -1]).argmax()))
            new = model.get_input_embeddings()(torch.tensor(tokens[-1:]))
            rows = torch.cat([rows, new])
            positions = torch.cat([positions, positions[..., -1:] + 1], dim=-1)
        found.append(tokens)
    return torch.tensor(found)
