"""Queries and keys of one attention module of a decoder, read as it computes with them.

The module is given a copy of its own configuration that names an attention function of ours. It
tells what it is called with, and calls the function that the module would have called: every other
layer, and the masks that the model makes, are as they were.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from .probe import QUERIES_AT_A_TIME

NAME = "mitheory_reading"
"""The name under which `transformers` knows the attention function."""

Told = Callable[[Tensor, Tensor, float], None]
"""What is told of a call: queries (b, heads, t, d_head), keys (b, key heads, t, d_head), both after
rotary angles, and the factor of the scores."""

_READ: WeakKeyDictionary[nn.Module, tuple[Told, Callable[..., Any]]] = WeakKeyDictionary()


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any
) -> Any:
    """The module's own attention function, and on the way what it is called with."""
    told, own = _READ[module]
    scaling = kwargs.get("scaling")
    told(query, key, query.shape[-1] ** -0.5 if scaling is None else scaling)
    return own(module, query, key, value, *args, **kwargs)


@cache
def _register() -> str:
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attend)
    return NAME


@contextmanager
def reading(module: Any, told: Told) -> Iterator[None]:
    """Be told of every call of an attention module of a decoder inside the block.

    Parameters
    ----------
    module : such as ``model.model.language_model.layers[1].self_attn``
    told : called first, with what the module attends with
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    config = module.config
    eager = import_module(type(module).__module__).eager_attention_forward
    own = ALL_ATTENTION_FUNCTIONS.get_interface(config._attn_implementation, eager)
    _READ[module] = told, own
    try:
        module.config = copy.copy(config)
        module.config._attn_implementation = _register()
        yield
    finally:
        module.config = config
        del _READ[module]


def attention_rows(
    query: Tensor,
    key: Tensor,
    scaling: float,
    *,
    rows: Tensor,
    there: Tensor,
    columns: Tensor,
    size: int = QUERIES_AT_A_TIME,
) -> Tensor:
    """Causal attention of some tokens on some others: (heads, n_rows, n_columns) float32.

    Parameters
    ----------
    query : (heads, t, d_head)
    key : (key heads, t, d_head); with grouped queries, consecutive heads share one
    scaling : factor of the scores
    rows, columns : (n,) int64, places of the tokens that attend, and of those attended to
    there : (t,) bool, tokens that are no padding
    size : rows at a time; the memory needed is that of (heads, size, t) float32

    Examples
    --------
    >>> flat, last = torch.zeros(1, 4, 2), torch.tensor([3])
    >>> everyone = torch.tensor([False, True, True, True])
    >>> attention_rows(flat, flat, 1.0, rows=last, there=everyone, columns=torch.tensor([1, 2]))
    tensor([[[0.3333, 0.3333]]])
    """
    heads, length, _ = query.shape
    shared = key.float().mT[:, None]  # (key heads, 1, d_head, t)
    grouped = query.unflatten(0, (len(key), heads // len(key)))
    places = torch.arange(length, device=query.device)
    found = []
    for part in rows.split(size):
        scores = grouped[:, :, part].float() @ shared * scaling
        hidden = (places > part[:, None]) | ~there
        paid = scores.masked_fill(hidden, -torch.inf).softmax(-1)
        found.append(paid[..., columns].flatten(0, 1))
    return torch.cat(found, dim=1)
