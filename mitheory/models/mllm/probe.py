"""Attention inside a vision encoder, of one layer, without ever holding its matrix.

An attention function of our own is registered with `transformers` and set on the vision tower for
one pass. In the layer that is watched it computes what is asked for, a few queries at a time, and
then, as in every other layer, calls the library's SDPA, so that the features are the tower's own.
The models' ``output_attentions`` is no way to get there: it keeps the matrices of all layers, and
on the towers of the Qwen family what comes back under that name is the output of the attention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ...checks import lookup
from ...errors import ParameterError, ShapeError

PROBE = "mitheory_probe"
"""The name under which `transformers` knows the attention function."""

QUERIES_AT_A_TIME = 256

Statistic = Callable[[Tensor, Tensor, float], Tensor]


def cls_row(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """What the class token pays to every patch.

    Source: Eq. (5), left.

    Parameters
    ----------
    query, key : (b, heads, 1 + n, d_head), the class token first
    scaling : factor of the scores

    Returns
    -------
    Tensor
        (b, heads, n) float32. The softmax runs over the class token too, so a row sums to one
        minus what the class token pays to itself.

    Examples
    --------
    >>> flat = torch.zeros(1, 1, 4, 2)
    >>> cls_row(flat, flat, 1.0)
    tensor([[[0.2500, 0.2500, 0.2500]]])
    """
    return _rows(query[..., :1, :], key, scaling)[..., 0, 1:]


def received(
    query: Tensor,
    key: Tensor,
    scaling: float,
    *,
    first: int = 0,
    include_diagonal: bool = False,
    size: int = QUERIES_AT_A_TIME,
) -> Tensor:
    """What every patch receives from the other patches: column sums of the attention.

    Source: Eq. (5), right.

    Parameters
    ----------
    query, key : (b, heads, n, d_head)
    scaling : factor of the scores
    first : patches begin here: 1 where a class token stands before them, which then neither pays
        nor receives but takes its part in the softmax
    include_diagonal : count what a patch pays to itself
    size : queries at a time; the memory needed is that of (b, heads, size, n) float32

    Returns
    -------
    Tensor
        (b, heads, n - first) float32.

    Examples
    --------
    >>> flat = torch.zeros(1, 1, 4, 2)
    >>> received(flat, flat, 1.0)
    tensor([[[0.7500, 0.7500, 0.7500, 0.7500]]])
    """
    n = key.shape[-2]
    total = torch.zeros(*key.shape[:2], n, dtype=torch.float32, device=key.device)
    for start in range(first, query.shape[-2], size):
        rows = _rows(query[..., start : start + size, :], key, scaling)
        total += rows.sum(-2)
        if not include_diagonal:
            end = start + rows.shape[-2]
            total[..., start:end] -= rows[..., start:end].diagonal(dim1=-2, dim2=-1)
    return total[..., first:]


def cls_row_and_keys(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """`cls_row`, and behind its heads the patches' keys, mean over heads: (b, heads + d_head, n).

    Source: Eq. (5), left; yang2025visionzip (its keys).

    Examples
    --------
    >>> flat = torch.zeros(1, 3, 4, 2)
    >>> cls_row_and_keys(flat, flat, 1.0).shape
    torch.Size([1, 5, 3])
    """
    keys = key[..., 1:, :].float().mean(1).transpose(-2, -1)
    return torch.cat([cls_row(query, key, scaling), keys], dim=1)


def _rows(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """Attention of some queries in float32: (b, heads, n_q, n)."""
    scores = query.float() @ key.float().transpose(-2, -1) * scaling
    return scores.softmax(-1)


STATISTICS: dict[str, Statistic] = {
    "cls": cls_row,
    "cls_and_keys": cls_row_and_keys,
    "received": received,
    "received_behind_cls": partial(received, first=1),
}
"""What can be asked of a layer, by name; the last where a class token stands first."""


@dataclass
class Watch:
    """What is asked of one attention module, and what it gave: one tensor per call."""

    statistic: Statistic
    seen: list[Tensor] = field(default_factory=list)


_WATCHED: WeakKeyDictionary[nn.Module, Watch] = WeakKeyDictionary()


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,  # by this name: some towers pass it by keyword
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """SDPA, and on the way what is asked of this module."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    watch = _WATCHED.get(module)
    if watch is not None:
        if attention_mask is not None:
            raise ShapeError("attention_mask: expected none in a vision tower, got a mask")
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        with torch.no_grad():
            watch.seen.append(watch.statistic(query, key, scale))
    out: tuple[Tensor, None] = sdpa_attention_forward(
        module, query, key, value, attention_mask, scaling=scaling, **kwargs
    )
    return out


@cache
def register() -> str:
    """Tell `transformers` of the attention function, once; gives its name.

    Its masks are those of SDPA: a decoder on which it is set by mistake stays causal.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(PROBE, _attend)
    AttentionMaskInterface.register(PROBE, sdpa_mask)
    return PROBE


@contextmanager
def probing(tower: Any, module: nn.Module, statistic: str = "cls") -> Iterator[list[Tensor]]:
    """Watch one attention module of a vision tower during the passes inside the block.

    Parameters
    ----------
    tower : the tower, a `PreTrainedModel` of `transformers`; its attention function is ours inside
        the block and what it was behind it, also after an error
    module : the attention module to be watched, one of the tower's
    statistic : a name of `STATISTICS`

    Yields
    ------
    list of Tensor
        Filled by the passes: one tensor (b, heads, n) for each call of the module. CLIP towers call
        it once a pass with all images as the batch, the towers of the Qwen family once per image
        or frame.

    Raises
    ------
    ParameterError
        If the module is none of the tower's, or is being watched already.
    UnknownNameError
        If there is no such statistic.
    """
    chosen = lookup(statistic, STATISTICS, "statistic")
    if all(module is not own for own in tower.modules()):
        raise ParameterError(f"module: expected one of {type(tower).__name__}'s, got another")
    if module in _WATCHED:
        raise ParameterError("module: expected one that is not being watched, got it twice")
    before = {id(config): (config, config._attn_implementation) for config in _configs(tower)}
    watch = Watch(chosen)
    _WATCHED[module] = watch
    try:
        tower.set_attn_implementation(register())
        yield watch.seen
    finally:
        del _WATCHED[module]
        for config, implementation in before.values():
            config._attn_implementation = implementation


def _configs(tower: Any) -> list[Any]:
    from transformers import PreTrainedModel

    return [part.config for part in tower.modules() if isinstance(part, PreTrainedModel)]


def by_token(seen: list[Tensor], merge: int) -> Tensor:
    """Mean over the patches that a merger makes one token, for every head.

    Parameters
    ----------
    seen : what `probing` saw in one pass of a tower that packs images behind one another:
        (1, heads, n_patches) per segment
    merge : patches per token; they stand beside one another

    Returns
    -------
    Tensor
        (heads, tokens) float32, in the order in which the layer saw them.

    Raises
    ------
    ShapeError
        If the patches are no multiple of `merge`.

    Examples
    --------
    >>> by_token([torch.tensor([[[1.0, 3.0, 5.0, 7.0]]]), torch.tensor([[[2.0, 4.0]]])], 2)
    tensor([[2., 6., 3.]])
    """
    flat = torch.cat([segment[0] for segment in seen], dim=-1)
    if flat.shape[-1] % merge:
        raise ShapeError(f"patches: expected a multiple of {merge}, got {flat.shape[-1]}")
    return flat.unflatten(-1, (-1, merge)).mean(-1)


def window_order(grid_thw: Tensor, vision_config: Any) -> Tensor:
    """Places (tokens,) in raster order of the tokens as the window layers of Qwen2.5-VL see them.

    Its vision tower permutes patches into windows before the first layer, and its merged tokens
    back after the last.
    """
    from transformers.vision_utils import get_vision_window_index

    index, _ = get_vision_window_index(
        grid_thw.cpu(),
        spatial_merge_size=vision_config.spatial_merge_size,
        window_size=vision_config.window_size,
        patch_size=vision_config.patch_size,
    )
    order: Tensor = index
    return order


def unwindowed(scores: Tensor, grid_thw: Tensor, vision_config: Any) -> Tensor:
    """Scores (..., tokens) in raster order, of scores in the order of the windows."""
    order = window_order(grid_thw, vision_config).to(scores.device)
    out = torch.empty_like(scores)
    out[..., order] = scores
    return out
