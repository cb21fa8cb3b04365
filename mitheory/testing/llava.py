"""Tiny LLaVA-1.5: a grid of 4 × 4 patches, three layers everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..models.mllm.requirements import transformers
from .checkpoints import Medium, Tiny

SIDE, PATCH = 32, 8  # of images and patches, pixels
TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() }}: "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}<{{ part['type'] }}>\n{% endif %}"
    "{% endfor %} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)  # LLaVA-1.5's, as its checkpoints have it


def vision_config() -> Any:
    """A CLIP tower: 16 patches and a class token."""
    return transformers().CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        image_size=SIDE, patch_size=PATCH, projection_dim=16, initializer_factor=8.0,
    )  # fmt: skip


def text_config(tokenizer: Any) -> Any:
    """A LLaMA of three layers."""
    return transformers().LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip


def _config(tokenizer: Any) -> Any:
    return transformers().LlavaConfig(
        vision_config=vision_config(),
        text_config=text_config(tokenizer),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(SIDE // PATCH) ** 2,
    )


def _medium(config: Any, modality: str, generator: torch.Generator, index: int) -> Medium:
    pixels = torch.randn(3, SIDE, SIDE, generator=generator)
    return Medium({"pixel_values": pixels}, (config.image_token_id,) * config.image_seq_length)


def _processor(tokenizer: Any, config: Any) -> Any:
    library = transformers()
    square = {"height": SIDE, "width": SIDE}
    return library.LlavaProcessor(
        library.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=square),
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )


def stacked(name: str, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Inputs of one size, one behind the other."""
    return torch.stack(list(tensors))


LLAVA = Tiny(("<image>",), _config, _medium, stacked, _processor)
