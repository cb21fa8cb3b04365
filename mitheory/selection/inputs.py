"""What comes in through the front door: shapes by name, checks, samples of one shape together.

Padding is taken out before anything is computed: samples with equally many real tokens form one
dense batch. So padding cannot influence an answer, and no method needs to know of masks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import check_finite, check_nonzero_rows, is_surely_finite
from ..distributions import ordinary_norms
from ..errors import DTypeError, EmptyInputError, ShapeError
from .columns import columns_of

Shapes = Mapping[str, tuple[str, ...]]

SHAPES: dict[str, tuple[str, ...]] = {
    "visual": ("n_v", "d"),
    "text": ("n_t", "d"),
    "cls_attention": ("heads", "n_v"),
    "patch_attention": ("heads", "n_v", "n_v"),
    "received_attention": ("n_v",),
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


SUMMED = ("patch_attention",)
"""Inputs of which methods read column sums, and little besides: far larger than those."""


@dataclass(frozen=True)
class Known:
    """What the look at the values of inputs found out besides, by name.

    Parameters
    ----------
    norms : (b, n) of rows, of those inputs of which all are ordinary (`ordinary_norms`)
    sums : (b, heads, n) of columns, of those inputs of `SUMMED` that the method asks for
    """

    norms: Mapping[str, Tensor]
    sums: Mapping[str, Tensor]

    def of(self, part: slice) -> Known:
        """Of some samples."""
        return Known(
            {name: norm[part] for name, norm in self.norms.items()},
            {name: total[part] for name, total in self.sums.items()},
        )


@dataclass(frozen=True)
class Group:
    """Samples with equally many tokens, without padding.

    `members` are their places in the batch; `places` (g, n_v) those of their tokens among the
    padded ones, or None if there is no padding.
    """

    members: Sequence[int]
    inputs: dict[str, Tensor]
    places: Tensor | None
    n_v: int

    def parts(self, size: int, known: Known) -> Iterator[tuple[Group, Known]]:
        """At most `size` samples at a time, and what is known of them."""
        if len(self.members) <= size:
            yield self, known
            return
        for start in range(0, len(self.members), size):
            part = slice(start, start + size)
            inputs = {name: x[part] for name, x in self.inputs.items()}
            places = None if self.places is None else self.places[part]
            group = Group(self.members[part], inputs, places, self.n_v)
            yield group, known.of(part)


def as_batch(inputs: Mapping[str, object]) -> dict[str, Tensor]:
    """One sample's inputs as a batch of one; whatever is no tensor is left for the checks."""
    return {
        n: x.unsqueeze(0) if isinstance(x, Tensor) else x  # type: ignore[misc]
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


def check_values(
    inputs: Mapping[str, Tensor],
    *,
    directions: Collection[str] = (),
    refused: bool = False,
    summed: Collection[str] = (),
) -> Known:
    """Finite numbers and, among `directions`, no zero rows if they are refused.

    Returns
    -------
    Known
        Norms of rows of those of `directions` that have `ordinary_norms`, and column sums of those
        `summed`: a look at them is all that these need, and whoever goes on with them need not
        compute them again.

    Raises
    ------
    NonFiniteError, ZeroNormError
    """
    found = {name: ordinary_norms(inputs[name]) for name in directions if name in inputs}
    norms = {name: norm for name, norm in found.items() if norm is not None}
    sums = {name: columns_of(inputs[name]) for name in summed if name in inputs}
    for name, x in inputs.items():
        if name in norms or not x.is_floating_point():
            continue
        if name not in sums or not is_surely_finite(sums[name]):
            check_finite(name, x)
    for name in found:
        if refused and name not in norms:
            check_nonzero_rows(name, inputs[name])
    return Known(norms, sums)


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
    present = {axis: mask for axis, mask in masks.items() if mask is not None}
    if not present:
        yield Group(range(len(first)), dict(inputs), None, n_v)
        return
    counts = zip(*(mask.sum(-1).tolist() for mask in present.values()), strict=True)
    alike: dict[tuple[int, ...], list[int]] = {}
    for member, count in enumerate(counts):
        alike.setdefault(count, []).append(member)
    behind = {axis: _is_behind(mask) for axis, mask in present.items()}
    for count, these in sorted(alike.items()):
        real = dict(zip(present, count, strict=True))
        rows = slice(these[0], these[0] + 1) if len(these) == 1 else these
        dense = {}
        for name, x in inputs.items():
            part = x[rows]
            for position, axis in enumerate(axes[name], start=1):
                if axis not in present:
                    continue
                if behind[axis]:
                    part = part.narrow(position, 0, real[axis])
                else:
                    part = _real(part, position, present[axis][rows])
            dense[name] = part.contiguous()
        places = None
        if "n_v" in present:
            places = present["n_v"][rows].nonzero()[:, 1].view(len(these), -1)
        yield Group(these, dense, places, real.get("n_v", n_v))


def _is_behind(mask: Tensor) -> bool:
    """Whether padding comes after what is real in every sample."""
    return not bool((mask[:, 1:] & ~mask[:, :-1]).any())


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
