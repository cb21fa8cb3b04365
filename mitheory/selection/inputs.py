"""What comes in through the front door: shapes by name, checks, samples of one shape together.

Padding is taken out before anything is computed: samples with equally many real tokens form one
dense batch. So padding cannot influence an answer, and no method needs to know of masks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import check_finite, check_nonzero_rows
from ..errors import DTypeError, EmptyInputError, ShapeError

Shapes = Mapping[str, tuple[str, ...]]

SHAPES: dict[str, tuple[str, ...]] = {
    "visual": ("n_v", "d"),
    "text": ("n_t", "d"),
    "cls_attention": ("heads", "n_v"),
    "patch_attention": ("heads", "n_v", "n_v"),
    "encoder_features": ("n_v", "d_encoder"),
    "encoder_keys": ("n_v", "d_key"),
    "clip_visual": ("n_v", "d_clip"),
    "clip_text": ("n_segments", "d_clip"),
    "text_attention": ("llm_heads", "n_t", "n_v"),
    "llm_visual_states": ("n_v", "d_llm"),
    "llm_text_states": ("n_t", "d_llm"),
    "llm_visual_keys": ("llm_heads", "n_v", "d_llm_key"),
    "llm_text_keys": ("llm_heads", "n_t", "d_llm_key"),
    "relevant": ("n_v",),
}
"""Axes of every input of one sample; axes of one name have one size."""

NORMALIZED = ("visual", "text", "clip_visual", "clip_text")
"""Inputs whose rows are divided by their norm, and that share one precision."""

DIRECTIONS = (
    *NORMALIZED, "encoder_features", "encoder_keys", "llm_visual_states", "llm_text_states"
)  # fmt: skip
"""Inputs that enter cosines, in methods that take `zero_norm`."""


@dataclass(frozen=True)
class Group:
    """Samples with equally many tokens, without padding.

    `members` (g,) are their places in the batch; `places` (g, n_v) those of their tokens among the
    padded ones, or None if there is no padding.
    """

    members: Tensor
    inputs: dict[str, Tensor]
    places: Tensor | None
    n_v: int


def as_batch(inputs: Mapping[str, object]) -> dict[str, Tensor]:
    """One sample's inputs as a batch of one; whatever is no tensor is left for the checks."""
    return {
        n: x[None] if isinstance(x, Tensor) else x  # type: ignore[misc]
        for n, x in inputs.items()
    }


def sizes_of(inputs: Mapping[str, Tensor], shapes: Shapes = SHAPES) -> dict[str, int]:
    """The size of every named axis of checked inputs."""
    named = ((("batch", *shapes[name]), x.shape) for name, x in inputs.items())
    return {axis: size for axes, shape in named for axis, size in zip(axes, shape, strict=True)}


def checked(inputs: Mapping[str, Tensor], shapes: Shapes = SHAPES) -> dict[str, Tensor]:
    """The inputs with type and shape checked, half precision raised to float32.

    `shapes` names their axes; where a method reads an input otherwise, other ones than usual.

    Raises
    ------
    DTypeError
        If one is no tensor, or not of its kind, or V and T differ in precision.
    ShapeError
        If one has the wrong rank, or two disagree on a size.
    EmptyInputError
        If one has an axis of size 0.
    """
    sizes: dict[str, tuple[int, str]] = {}
    out = {}
    for name, x in inputs.items():
        _check_kind(name, x)
        axes = ("batch", *shapes[name])
        if x.ndim != len(axes):
            wanted = ", ".join(shapes[name])
            raise ShapeError(
                f"{name}: expected ({wanted}) for every sample, got {tuple(x.shape[1:])}"
            )
        if 0 in x.shape:
            raise EmptyInputError(f"{name}: expected at least one of each axis, got {_shape(x)}")
        for axis, size in zip(axes, x.shape, strict=True):
            known, where = sizes.setdefault(axis, (size, name))
            if size != known:
                raise ShapeError(f"{name}: expected {axis} = {known} as in {where}, got {size}")
        out[name] = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    kinds = {n: x.dtype for n, x in out.items() if n in NORMALIZED}
    if len(set(kinds.values())) > 1:
        raise DTypeError(f"visual, text: expected one floating dtype, got {kinds}")
    return out


def check_values(inputs: Mapping[str, Tensor], *, nonzero: Collection[str] = ()) -> None:
    """Finite numbers and, in the inputs named `nonzero`, rows that can be normalized."""
    normal = [name for name in nonzero if name in inputs and _is_normal(inputs[name])]
    rest = {name: x for name, x in inputs.items() if name not in normal}
    for name, x in rest.items():
        if x.is_floating_point():
            check_finite(name, x)
    for name in nonzero:
        if name in rest:
            check_nonzero_rows(name, rest[name])


def _is_normal(x: Tensor) -> bool:
    """Whether every row has a positive finite norm, which needs finite numbers: one look at x."""
    norm = torch.linalg.vector_norm(x, dim=-1)
    return bool(((norm > 0) & (norm < torch.inf)).all())


def check_mask(name: str, mask: Tensor | None, shape: tuple[int, int]) -> Tensor | None:
    """A boolean mask of that shape with a token in every sample; None if nothing is padding.

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError
    """
    if mask is None:
        return None
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        came = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise DTypeError(f"{name}: expected a boolean tensor, got {came}")
    if mask.shape != shape:
        raise ShapeError(f"{name}: expected {shape}, got {_shape(mask)}")
    empty = (~mask.any(-1)).nonzero()
    if len(empty):
        raise EmptyInputError(f"{name}: expected a token in every sample, got none in {empty[0]}")
    return None if bool(mask.all()) else mask


def groups(
    inputs: Mapping[str, Tensor],
    axes: Mapping[str, tuple[str, ...]],
    masks: Mapping[str, Tensor | None],
    n_v: int,
) -> Iterator[Group]:
    """Dense batches of the samples that have equally many real tokens on every masked axis."""
    first = next(iter(inputs.values()))
    members = torch.arange(len(first), device=first.device)
    present = {axis: mask for axis, mask in masks.items() if mask is not None}
    if not present:
        yield Group(members, dict(inputs), None, n_v)
        return
    counts = torch.stack([mask.sum(-1) for mask in present.values()], 1)  # (b, masked axes)
    for count in counts.unique(dim=0):
        these = members[(counts == count).all(1)]
        dense = {}
        for name, x in inputs.items():
            part = x[these]
            for position, axis in enumerate(axes[name], start=1):
                if axis in present:
                    part = _real(part, position, present[axis][these])
            dense[name] = part
        places, real = None, n_v
        if "n_v" in present:
            places = present["n_v"][these].nonzero()[:, 1].view(len(these), -1)
            real = places.shape[1]
        yield Group(these, dense, places, real)


def _real(x: Tensor, position: int, mask: Tensor) -> Tensor:
    """x without the padding of one axis, equally much of it in every sample."""
    first = x.movedim(position, 1)
    kept = first[mask].view(len(x), -1, *first.shape[2:])
    return kept.movedim(1, position)


def _check_kind(name: str, x: object) -> None:
    if not isinstance(x, Tensor):
        raise DTypeError(f"{name}: expected a torch.Tensor, got {type(x).__name__}")
    boolean = name == "relevant"
    if (x.dtype == torch.bool) != boolean or (not boolean and not x.is_floating_point()):
        kind = "boolean" if boolean else "floating-point"
        raise DTypeError(f"{name}: expected a {kind} tensor, got {x.dtype}")


def _shape(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape)
