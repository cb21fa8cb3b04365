"""Tiny random models of the Qwen-VL family and inputs for them, without weights or a processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..names import lookup

IMAGE, VIDEO, VISION_START, VISION_END = 150, 151, 152, 153
TURN_START, TURN_END, PAD = 154, 155, 156
N_WORDS, VOCABULARY = 150, 160
PATCH, FRAMES_PER_PATCH, MERGE = 4, 2, 2

_SPECIAL = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": VISION_START,
    "vision_end_token_id": VISION_END,
}
_TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "initializer_range": 0.2,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": PAD,
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
    "window_size": 16,  # pixels: 2 x 2 tokens
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
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}

_CONFIGS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "Qwen2VLForConditionalGeneration": ("Qwen2VLConfig", {}, _VISION_2),
    "Qwen2_5_VLForConditionalGeneration": ("Qwen2_5_VLConfig", {}, _VISION_2_5),
    "Qwen3VLForConditionalGeneration": ("Qwen3VLConfig", {"head_dim": 16}, _VISION_3),
    "Qwen3VLMoeForConditionalGeneration": (
        "Qwen3VLMoeConfig",
        {"head_dim": 16, **_EXPERTS},
        _VISION_3,
    ),
}

NAMES = tuple(_CONFIGS)
"""Names of the classes that `tiny_qwen` knows."""


class Vision(NamedTuple):
    """An image or a video of a prompt: its kind, and its grid of patches before the merger.

    `kind` is "image" or "video"; `grid` is (frames, rows, cols), rows and cols even. A video's
    frames are pairs of frames.
    """

    kind: str
    grid: tuple[int, int, int]


Part = int | Vision
"""A part of a prompt: so many words, or an image or video."""


def tiny_qwen(name: str, *, seed: int = 0) -> Any:
    """A random model of a class of the Qwen-VL family, small and decisive: float32, eval, CPU.

    Its logits have a spread of about 1.5, so that a mistake anywhere shows in them, and it never
    ends an answer of itself.

    Parameters
    ----------
    name : one of `NAMES`
    seed : of the weights

    Raises
    ------
    UnknownNameError
        If the class is none of them.

    Examples
    --------
    >>> tiny_qwen("Qwen3VLForConditionalGeneration").config.text_config.hidden_size
    64
    """
    import transformers

    config_name, text, vision = lookup(name, _CONFIGS, "class")
    config = getattr(transformers, config_name)(
        text_config={**_TEXT, **text}, vision_config={**_VISION, **vision}, **_SPECIAL
    )
    config.architectures = [name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, name)(config).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(1.5 / 64**0.5 / model.lm_head.weight.std())
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = PAD
    return model


def qwen_inputs(
    model: Any, prompts: Sequence[Sequence[Part]], *, seed: int = 0
) -> dict[str, Tensor | list[float]]:
    """What the processor of the model would give for some prompts: left-padded, random content.

    Parameters
    ----------
    model : of the Qwen-VL family
    prompts : their parts in order; a number stands for so many random words
    seed : of words and pixels

    Returns
    -------
    dict
        ``input_ids``, ``attention_mask``, ``mm_token_type_ids`` (b, s), and as far as there are
        any ``pixel_values``, ``image_grid_thw``, ``pixel_values_videos``, ``video_grid_thw``, and
        for Qwen2.5-VL ``second_per_grid_ts``.

    Examples
    --------
    >>> model = tiny_qwen("Qwen2VLForConditionalGeneration")
    >>> inputs = qwen_inputs(model, [[3, Vision("image", (1, 4, 6)), 4]])
    >>> inputs["input_ids"].shape, inputs["pixel_values"].shape
    (torch.Size([1, 17]), torch.Size([24, 96]))
    """
    rng = torch.Generator().manual_seed(seed)
    has_timestamps = "Qwen3" in type(model).__name__
    rows = [_ids(prompt, has_timestamps, rng) for prompt in prompts]
    width = max(len(row) for row in rows)
    ids = torch.tensor([[PAD] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    inputs: dict[str, Tensor | list[float]] = {
        "input_ids": ids,
        "attention_mask": mask,
        "mm_token_type_ids": (ids == IMAGE).long() + 2 * (ids == VIDEO).long(),
    }
    for kind, pixels, grids in (
        ("image", "pixel_values", "image_grid_thw"),
        ("video", "pixel_values_videos", "video_grid_thw"),
    ):
        found = [p.grid for row in prompts for p in row if isinstance(p, Vision) and p.kind == kind]
        if found:
            grid = torch.tensor(found)
            size = 3 * FRAMES_PER_PATCH * PATCH**2
            inputs[pixels] = torch.randn(int(grid.prod(-1).sum()), size, generator=rng)
            inputs[grids] = grid
    if "video_grid_thw" in inputs and "Qwen2_5" in type(model).__name__:
        inputs["second_per_grid_ts"] = [1.0] * len(inputs["video_grid_thw"])
    return inputs


def _ids(prompt: Sequence[Part], has_timestamps: bool, rng: torch.Generator) -> list[int]:
    def words(n: int) -> list[int]:
        return torch.randint(0, N_WORDS, (n,), generator=rng).tolist()

    ids = [TURN_START]
    for part in prompt:
        if isinstance(part, int):
            ids += words(part)
            continue
        frames, rows, cols = part.grid
        per_frame = rows * cols // MERGE**2
        token = IMAGE if part.kind == "image" else VIDEO
        if part.kind == "video" and has_timestamps:
            blocks = [
                id_
                for _ in range(frames)
                for id_ in [*words(2), VISION_START, *[token] * per_frame, VISION_END]
            ]
            ids += [VISION_START, *blocks, VISION_END]
        else:
            ids += [VISION_START, *[token] * (frames * per_frame), VISION_END]
    return [*ids, TURN_END]
