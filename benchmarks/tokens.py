"""Inputs of the contests: random tokens of given sizes, the same at every call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

DTYPES = {"float32": torch.float32, "float64": torch.float64}
D_LOW, D_HEAD, SEGMENTS = 64, 16, 2


def normal(seed: int, *shape: int, dtype: str) -> Tensor:
    """Standard normal entries."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64).to(DTYPES[dtype])


def visual_text(
    *, n_v: int, n_t: int, d: int, dtype: str = "float32", **settings: Any
) -> dict[str, Any]:
    """V and T, and whatever else the contest is about, as it is."""
    return {
        "visual": normal(0, n_v, d, dtype=dtype),
        "text": normal(1, n_t, d, dtype=dtype),
        **settings,
    }


def visual_only(*, n_v: int, d: int, dtype: str = "float32", **settings: Any) -> dict[str, Any]:
    """V alone."""
    return {"visual": normal(0, n_v, d, dtype=dtype), **settings}


def everything(
    *,
    n_v: int,
    n_t: int = 32,
    d: int = 256,
    heads: int = 8,
    dtype: str = "float64",
    only: Sequence[str] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Every input that a method of the front door may ask for, or those named."""
    names: dict[str, tuple[int, ...]] = {
        "visual": (n_v, d),
        "text": (n_t, d),
        "encoder_features": (n_v, d),
        "encoder_keys": (n_v, D_LOW),
        "clip_visual": (n_v, d),
        "clip_text": (SEGMENTS, d),
        "llm_visual_states": (n_v, d),
        "llm_text_states": (n_t, d),
        "llm_visual_keys": (heads, n_v, D_HEAD),
        "llm_text_keys": (heads, n_t, D_HEAD),
        "cls_attention": (heads, n_v),
        "patch_attention": (heads, n_v, n_v),
        "text_attention": (heads, n_t, n_v),
    }
    inputs: dict[str, Any] = {}
    for seed, (name, shape) in enumerate(names.items()):
        if only is not None and name not in only:
            continue
        x = normal(seed, *shape, dtype=dtype)
        inputs[name] = x.softmax(-1) if name.endswith("attention") else x
    if only is None or "relevant" in only:
        inputs["relevant"] = normal(99, n_v, dtype=dtype) > 0.5
    return inputs | settings
