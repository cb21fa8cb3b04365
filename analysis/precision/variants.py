"""One choice under one precision of the inputs and one of the arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mitheory import SELECTORS, select_batch
from mitheory.errors import MitheoryError

HALF = ("float16", "bfloat16")


@dataclass(frozen=True)
class Variant:
    """Precision of the inputs (what they are rounded to) and of everything computed from them.

    `select` computes in float32 or float64. A half-precision arithmetic is therefore run below it,
    on the method itself.
    """

    inputs: str
    arithmetic: str

    @property
    def name(self) -> str:
        """Of both, inputs first.

        Examples
        --------
        >>> Variant("float16", "float32").name
        'float16 in float32'
        """
        return f"{self.inputs} in {self.arithmetic}"


@dataclass(frozen=True)
class Refused:
    """A method that has no answer in this precision, with the reason."""

    reason: str


def rounded(x: Tensor, variant: Variant) -> Tensor:
    """Numbers rounded to the precision of the inputs, held in that of the arithmetic.

    Examples
    --------
    >>> rounded(torch.tensor([1 / 3]), Variant("bfloat16", "float64"))
    tensor([0.3340], dtype=torch.float64)
    """
    if not x.is_floating_point():
        return x
    return x.to(getattr(torch, variant.inputs)).to(getattr(torch, variant.arithmetic))


def kept(
    method: str,
    inputs: Mapping[str, Tensor],
    variant: Variant,
    *,
    budget: int,
    seeds: Sequence[int],
    grid: tuple[int, ...],
) -> Tensor | Refused:
    """Mask (b, n_v) of what is kept of every sample of one shape, mode "exact"."""
    own = SELECTORS[method]
    given: dict[str, Any] = {
        n: rounded(x, variant) for n, x in inputs.items() if n in {*own.inputs, "visual"}
    }
    b, n_v = given["visual"].shape[:2]
    if variant.arithmetic not in HALF:
        found = select_batch(method, **given, budget=budget, seed=list(seeds), grid=grid)
        return torch.stack([selection.mask for selection in found])
    context: dict[str, Any] = {
        "budget": budget, "seeds": list(seeds), "grid": grid, "zero_norm": "uninformative",
        "mode": "exact", "norms": {},
    }  # fmt: skip
    try:
        picks = own.fn(
            **{n: x for n, x in given.items() if n in own.inputs},
            **{n: context[n] for n in own.context},
        )
    except (RuntimeError, TypeError, MitheoryError) as error:  # of torch, of NumPy, ours
        return Refused(str(error).splitlines()[0])
    return torch.zeros(b, n_v, dtype=torch.bool).scatter_(1, picks.indices, True)
