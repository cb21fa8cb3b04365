"""Tiny LLaVA-1.5, LLaVA-NeXT and Video-LLaVA: a grid of 4 × 4 patches, three layers everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import pad

from ..models.mllm.requirements import transformers
from .checkpoints import Medium, ProcessorFiles, Tiny

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


# --- LLaVA-NeXT -------------------------------------------------------------------------------

PINPOINTS = [[32, 64], [64, 32], [64, 64]]
SIZES = ((40, 60), (64, 20), (33, 64), (50, 50))  # of images: height, width


def _next_config(tokenizer: Any) -> Any:
    return transformers().LlavaNextConfig(
        vision_config=vision_config(),
        text_config=text_config(tokenizer),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=PINPOINTS,
    )


def _next_medium(config: Any, modality: str, generator: torch.Generator, index: int) -> Medium:
    from transformers.models.llava_next import modeling_llava_next as library

    size = SIZES[index % len(SIZES)]
    views = library.image_size_to_num_patches(list(size), PINPOINTS, SIDE)
    rows, cols = library.get_anyres_image_grid_shape(list(size), PINPOINTS, SIDE)
    side = SIDE // PATCH
    large = library.unpad_image(torch.empty(1, rows * side, cols * side), list(size))
    count = side * side + large.shape[1] * (large.shape[2] + 1)
    pixels = torch.randn(views, 3, SIDE, SIDE, generator=generator)
    tensors = {"pixel_values": pixels, "image_sizes": torch.tensor(size)}
    return Medium(tensors, (config.image_token_id,) * count)


def _padded_views(name: str, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Images of unequal numbers of views, filled up with zeros, as the processor does."""
    if name != "pixel_values":
        return torch.stack(list(tensors))
    most = max(len(views) for views in tensors)
    return torch.stack([pad(views, (0,) * 7 + (most - len(views),)) for views in tensors])


def _next_processor(tokenizer: Any, config: Any) -> Any:
    library = transformers()
    square = {"height": SIDE, "width": SIDE}
    return library.LlavaNextProcessor(
        library.LlavaNextImageProcessor(
            size={"shortest_edge": SIDE}, crop_size=square, image_grid_pinpoints=PINPOINTS
        ),
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )


LLAVA_NEXT = Tiny(("<image>",), _next_config, _next_medium, _padded_views, _next_processor)

# --- Video-LLaVA ------------------------------------------------------------------------------

FRAMES = 3


def _video_config(tokenizer: Any) -> Any:
    patches = (SIDE // PATCH) ** 2
    return transformers().VideoLlavaConfig(
        vision_config=vision_config(),
        text_config=text_config(tokenizer),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_seq_length=patches,
        video_seq_length=FRAMES * (patches + 1),
    )


def _video_medium(config: Any, modality: str, generator: torch.Generator, index: int) -> Medium:
    if modality == "image":
        return _medium(config, modality, generator, index)
    pixels = torch.randn(FRAMES, 3, SIDE, SIDE, generator=generator)
    tokens = (config.video_token_id,) * config.video_seq_length
    return Medium({"pixel_values_videos": pixels}, tokens)


def _video_files(tokenizer: Any, config: Any) -> ProcessorFiles:
    square = {"height": SIDE, "width": SIDE}
    named = {"processor_class": "VideoLlavaProcessor"}
    own = {
        "image_processor_type": "VideoLlavaImageProcessor",
        "video_processor_type": "VideoLlavaVideoProcessor",
        "size": {"shortest_edge": SIDE},
        "crop_size": square,
    }
    whole = {
        "patch_size": PATCH,
        "vision_feature_select_strategy": config.vision_feature_select_strategy,
        "num_additional_image_tokens": 1,
        "image_token": "<image>",
        "video_token": "<video>",
    }
    return ProcessorFiles(
        tokenizer,
        {
            "preprocessor_config.json": named | own,
            "processor_config.json": named | whole,
            "chat_template.json": {"chat_template": TEMPLATE},
        },
    )


VIDEO_LLAVA = Tiny(("<image>", "<video>"), _video_config, _video_medium, stacked, _video_files)
