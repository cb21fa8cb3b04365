"""Tensors as a bundle stores them."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..errors import NonFiniteError
from .fields import FIELDS, FLOATS, STORED, check_field, is_finite
from .records import TensorEntry
from .shards import tensor_sha256


def as_stored(tensors: Mapping[str, torch.Tensor | None], dtype: str) -> dict[str, torch.Tensor]:
    """Checked copies on the CPU, floating-point ones in `dtype`; absent optional ones left out.

    Parameters
    ----------
    tensors : by field name
    dtype : {"float16", "bfloat16", "float32"}

    Raises
    ------
    NonFiniteError
        If a value is not finite, or overflows `dtype`.
    ShapeError, DTypeError, EmptyInputError
        If a tensor is not what its field needs.

    Examples
    --------
    >>> as_stored({"text": torch.tensor([[1.0, 1 / 3]]), "relevant": None}, "float16")
    {'text': tensor([[1.0000, 0.3333]], dtype=torch.float16)}
    """
    stored = {}
    for name, tensor in tensors.items():
        field = FIELDS[name]
        if tensor is None and not field.is_required:
            continue
        checked = check_field(field, tensor).detach()
        target = FLOATS[dtype] if field.kind == "float" else checked.dtype
        copy = checked.to("cpu", target, copy=True).contiguous()
        if field.kind == "float" and not is_finite(copy):
            largest = float(checked.abs().max())
            raise NonFiniteError(f"{name} must fit {dtype}; its largest magnitude is {largest:g}")
        stored[name] = copy
    return stored


def describe(tensors: Mapping[str, torch.Tensor]) -> dict[str, TensorEntry]:
    """What the index says of stored tensors.

    Examples
    --------
    >>> describe({"text": torch.zeros(1, 2)})["text"].shape
    (1, 2)
    """
    return {
        name: TensorEntry(STORED[t.dtype], tuple(t.shape), tensor_sha256(t))
        for name, t in tensors.items()
    }
