"""Tiny Qwen2-VL, Qwen2.5-VL, Qwen3-VL and its mixture of experts: grids of any size, videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..models.mllm.requirements import transformers
from .checkpoints import Medium, ProcessorFiles, Tiny

PATCH, FRAMES_PER_PATCH, MERGE = 4, 2, 2
PATCH_VALUES = 3 * FRAMES_PER_PATCH * PATCH**2
GRIDS = ((4, 6), (6, 4), (6, 10), (4, 4))
"""Rows and columns of patches before the merger, from image to image."""

FRAMES = 2
"""Of a video, in pairs."""

START, END, IMAGE, VIDEO = "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"
SPECIAL = ("<|im_start|>", "<|im_end|>", START, END, IMAGE, VIDEO)

_TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "initializer_range": 0.2,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
}
_VISION = {
    "depth": 4,
    "num_heads": 2,
    "patch_size": PATCH,
    "spatial_merge_size": MERGE,
    "temporal_patch_size": FRAMES_PER_PATCH,
    "initializer_range": 0.2,
}
_VISION_2 = {"embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2}
_VISION_2_5 = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "out_hidden_size": 64,
    "window_size": 16,  # pixels: 2 × 2 tokens
    "fullatt_block_indexes": [1, 3],
    "tokens_per_second": 2,
}
_VISION_3 = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "out_hidden_size": 64,
    "num_position_embeddings": 64,
    "deepstack_visual_indexes": [0, 2],
}
_HEAD_3 = {"head_dim": 16}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}


def _config(
    name: str, vision: dict[str, Any], text: dict[str, Any] | None = None
) -> Callable[[Any], Any]:
    def config(tokenizer: Any) -> Any:
        ids = {
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
        marks = {
            "image_token_id": IMAGE,
            "video_token_id": VIDEO,
            "vision_start_token_id": START,
            "vision_end_token_id": END,
        }
        return getattr(transformers(), name)(
            text_config=_TEXT | (text or {}) | ids,
            vision_config=_VISION | vision,
            **{key: tokenizer.convert_tokens_to_ids(mark) for key, mark in marks.items()},
        )

    return config


def _medium(config: Any, modality: str, generator: torch.Generator, index: int) -> Medium:
    """An image or video of the grid that is next; videos of Qwen3-VL have words for the time."""
    rows, cols = GRIDS[index % len(GRIDS)]
    frames = FRAMES if modality == "video" else 1
    patches = torch.randn(frames * rows * cols, PATCH_VALUES, generator=generator)
    tensors = {"image": {"pixel_values": patches}, "video": {"pixel_values_videos": patches}}
    found = {**tensors[modality], f"{modality}_grid_thw": torch.tensor([frames, rows, cols])}
    start, end = config.vision_start_token_id, config.vision_end_token_id
    token = config.image_token_id if modality == "image" else config.video_token_id
    frame = [token] * (rows * cols // MERGE**2)
    if modality == "video" and hasattr(config.vision_config, "tokens_per_second"):
        found["second_per_grid_ts"] = torch.tensor(1.0)
    if modality == "image" or not hasattr(config.vision_config, "deepstack_visual_indexes"):
        return Medium(found, (start, *frame * frames, end))
    ids = [start]
    for _ in range(frames):
        time = torch.randint(4, 100, (2,), generator=generator).tolist()
        ids += [*time, start, *frame, end]
    return Medium(found, (*ids, end))


def _packed(name: str, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Patches of all images behind one another; one row of numbers for each image."""
    return torch.cat(list(tensors)) if name.startswith("pixel") else torch.stack(list(tensors))


def _kinds(config: Any, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """1 where a token of the prompt stands for an image, 2 for a video."""
    kinds = (ids == config.image_token_id).long() + 2 * (ids == config.video_token_id).long()
    return {"mm_token_type_ids": kinds}


TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}<|vision_start|><|{{ part['type'] }}_pad|><|vision_end|>{% endif %}{% endfor %}"
    "<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)  # Qwen2-VL's, without the system prompt that it adds


def _files(kind: str) -> Callable[[Any, Any], ProcessorFiles]:
    """The processor of a family, "2", "2_5_" or "3", in the files that its checkpoints have."""
    cut = {"patch_size": PATCH, "temporal_patch_size": FRAMES_PER_PATCH, "merge_size": MERGE}
    least, most = 16 * PATCH**2, 80 * PATCH**2
    images = {
        **cut,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "processor_class": f"Qwen{kind}VLProcessor",
    }

    def files(tokenizer: Any, config: Any) -> ProcessorFiles:
        found = {"chat_template.json": {"chat_template": TEMPLATE}}
        if kind != "3":  # one file says it of images and videos
            own = {"image_processor_type": "Qwen2VLImageProcessor"}
            limits = {"min_pixels": least, "max_pixels": most}
            return ProcessorFiles(
                tokenizer, found | {"preprocessor_config.json": images | own | limits}
            )
        image: dict[str, Any] = {"image_processor_type": "Qwen2VLImageProcessorFast"}
        image |= {"size": {"shortest_edge": least, "longest_edge": most}}
        video: dict[str, Any] = {"video_processor_type": "Qwen3VLVideoProcessor"}
        video |= {"size": {"shortest_edge": least, "longest_edge": 8 * most}}
        return ProcessorFiles(
            tokenizer,
            found
            | {
                "preprocessor_config.json": images | image,
                "video_preprocessor_config.json": images | video,
            },
        )

    return files


def _tiny(config: Callable[[Any], Any], kind: str) -> Tiny:
    return Tiny(SPECIAL, config, _medium, _packed, _files(kind), _kinds)


QWEN2 = _tiny(_config("Qwen2VLConfig", _VISION_2), "2")
QWEN2_5 = _tiny(_config("Qwen2_5_VLConfig", _VISION_2_5), "2_5_")
QWEN3 = _tiny(_config("Qwen3VLConfig", _VISION_3, _HEAD_3), "3")
QWEN3_MOE = _tiny(_config("Qwen3VLMoeConfig", _VISION_3, _HEAD_3 | _EXPERTS), "3")
