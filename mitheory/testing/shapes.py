"""The paper's models in full size, as configurations: for counting, and for random weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..models.mllm.requirements import transformers
from ..names import lookup

_CLIP = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16, "patch_size": 14, "projection_dim": 768,
}  # fmt: skip
_LLAMA = {
    "7b": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
           "num_attention_heads": 32},
    "13b": {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40,
            "num_attention_heads": 40},
}  # fmt: skip
_QWEN2_7B = {
    "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944,
    "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
}  # fmt: skip
_QWEN3 = {"vocab_size": 151936, "head_dim": 128}


def _llava(config: str, llama: str, image: int, **more: Any) -> tuple[str, dict[str, Any]]:
    text = {"model_type": "llama", "vocab_size": 32064, **_LLAMA[llama]}
    return config, {"vision_config": _CLIP | {"image_size": image}, "text_config": text, **more}


def _qwen(
    config: str, text: Mapping[str, Any], vision: Mapping[str, Any], **more: Any
) -> tuple[str, dict[str, Any]]:
    return config, {"text_config": dict(text), "vision_config": dict(vision), **more}


_VISION_3_SMALL = {
    "depth": 24, "hidden_size": 1024, "intermediate_size": 4096,
    "deepstack_visual_indexes": [5, 11, 17],
}  # fmt: skip

SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "llava-1.5-7b": _llava("Llava", "7b", 336),
    "llava-1.5-13b": _llava("Llava", "13b", 336),
    "llava-next-7b": _llava("LlavaNext", "7b", 336),
    "video-llava-7b": _llava("VideoLlava", "7b", 224),
    "qwen2-vl-7b": _qwen("Qwen2VL", _QWEN2_7B, {"hidden_size": 3584}),
    "qwen2.5-vl-7b": _qwen("Qwen2_5_VL", _QWEN2_7B, {"hidden_size": 1280, "out_hidden_size": 3584}),
    "qwen3-vl-2b": _qwen(
        "Qwen3VL",
        _QWEN3 | {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28,
                  "num_attention_heads": 16, "num_key_value_heads": 8},
        _VISION_3_SMALL | {"out_hidden_size": 2048},
        tie_word_embeddings=True,
    ),
    "qwen3-vl-8b": _qwen(
        "Qwen3VL",
        _QWEN3 | {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36,
                  "num_attention_heads": 32, "num_key_value_heads": 8},
        {"out_hidden_size": 4096},
    ),
    "qwen3-vl-30b-a3b": _qwen(
        "Qwen3VLMoe",
        _QWEN3 | {"hidden_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 32,
                  "num_key_value_heads": 4, "num_experts": 128, "num_experts_per_tok": 8,
                  "moe_intermediate_size": 768, "tie_word_embeddings": False},
        {"out_hidden_size": 2048},
    ),
}  # fmt: skip
"""Name -> start of the class's name, and what its configuration says."""


def full_size(name: str) -> Any:
    """The configuration of a model of the paper, in full size.

    Parameters
    ----------
    name : of `SHAPES`

    Raises
    ------
    UnknownNameError
        If it is none of them.

    Examples
    --------
    >>> full_size("llava-1.5-7b").text_config.hidden_size
    4096
    """
    start, values = lookup(name, SHAPES, "model")
    config = getattr(transformers(), f"{start}Config")(**values)
    config.architectures = [f"{start}ForConditionalGeneration"]
    return config
