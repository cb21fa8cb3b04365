"""Batched choosing, shared by the methods: ties, sorting, rows of the cosine matrix.

Everything is ``(b, n_v)``: b samples of one shape at once. Two scores closer than rounding error
(`slack`) are a tie, and a tie goes to the lowest index: matrix products round duplicated tokens, or
the same token in a batch of another size, differently in the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..distributions import gram_of

Array = npt.NDArray[Any]

ROUNDING_UNITS = 8
BLOCK = 512  # rows of the Gram matrix at a time
UPPER = 128  # rows of its upper half at a time, on a CPU
WHOLE = 1024  # tokens up to which the whole matrix is kept
WHOLE_GPU = 8192  # likewise on a GPU: as many scores as one program of the fused loop holds
GRAM_FROM = 3  # share 1 / 3 of few tokens from which on their matrix is cheaper than its rows
MARGIN = 16  # so many more than the budget are sorted, where scores are close, before all are


@dataclass(frozen=True)
class Picks:
    """Choices of a batch.

    Parameters
    ----------
    indices, gains : (b, k), in order of choice
    evaluations : scores computed for each sample
    guarantee : as in `Selection`
    counts : (b,) how many of the k are real, where samples keep different numbers (faithful only)
    departures : as in `Selection`, for every sample alike or one tuple each
    into, merge_rule : (b, n_v) as in `Merge`
    info : one JSON-able dict each
    spent : the evaluations of each sample, where they differ
    """

    indices: Tensor
    gains: Tensor
    evaluations: int
    guarantee: str | None = None
    counts: Tensor | None = None
    departures: tuple[str, ...] | list[tuple[str, ...]] = ()
    into: Tensor | None = None
    merge_rule: str = "mean"
    info: list[dict[str, Any]] | None = None
    spent: tuple[int, ...] | None = None


def rounding_slack(x: Tensor, *, scale: float = 1.0) -> float:
    """Largest difference without meaning between scores made of numbers of size `scale`."""
    return ROUNDING_UNITS * torch.finfo(x.dtype).eps * scale


def relative_slack(x: Tensor) -> Tensor:
    """The same (b, 1) for scores (b, n) of any size, each sample by its own largest."""
    return rounding_slack(x) * x.abs().amax(-1, keepdim=True)


def first_best(scores: Tensor, open_: Tensor, slack: float | Tensor) -> Tensor:
    """Lowest open index (b,) whose score is within `slack` of the best open one.

    Examples
    --------
    >>> scores = torch.tensor([[0.1, 0.7, 0.7 + 1e-8, 0.9]])
    >>> first_best(scores, torch.tensor([[True, True, True, False]]), 1e-6)
    tensor([1])
    """
    n = scores.shape[-1]
    best = scores.masked_fill(~open_, -torch.inf).amax(-1, keepdim=True)
    tied = (scores >= best - slack) & open_
    return torch.arange(n, device=scores.device).where(tied, n).amin(-1)


def ranking(scores: Tensor, slack: float | Tensor) -> Tensor:
    """All indices (b, n) from the best score to the worst; runs closer than `slack` by index.

    Examples
    --------
    >>> ranking(torch.tensor([[0.5, 0.9 - 1e-8, 0.9, 0.5]]), 1e-6)
    tensor([[1, 2, 0, 3]])
    """
    if scores.is_cpu:
        return _ranking_by_numpy(scores.detach(), slack)
    values, order = scores.sort(dim=-1, descending=True, stable=True)
    n, run = scores.shape[-1], torch.zeros_like(order)
    run[..., 1:] = (values[..., :-1] - values[..., 1:] > slack).cumsum(-1)  # inf - inf ties
    return (run * n + order).sort(dim=-1).values % n


def _ranking_by_numpy(scores: Tensor, slack: float | Tensor) -> Tensor:
    """`ranking` on a CPU, where NumPy sorts sooner, and once if no two are close."""
    order = np.argsort(-_array(scores), axis=-1)
    found = torch.from_numpy(order)
    apart = _apart(_array(scores.gather(-1, found)), slack)
    return found if apart.all() else torch.from_numpy(_by_runs(order, _runs(apart)))


def _array(x: Tensor) -> Array:
    """`x` in NumPy, which has no bfloat16: as float32, which holds the same numbers."""
    x = x.detach().cpu()
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()


def _apart(values: Array, slack: float | Tensor) -> Array:
    """Whether each of descending values and the next are further apart than the slack."""
    limit = _array(slack) if isinstance(slack, Tensor) else slack
    with np.errstate(invalid="ignore"):  # inf - inf ties
        clear: Array = values[..., :-1] - values[..., 1:] > limit
    return clear


def _runs(apart: Array) -> Array:
    """Number of the run of near-equals that each value belongs to."""
    run = np.zeros((*apart.shape[:-1], apart.shape[-1] + 1), dtype=np.int64)
    apart.cumsum(-1, out=run[..., 1:])
    return run


def _by_runs(order: Array, run: Array) -> Array:
    """The places of descending values, those of one run ascending."""
    n = int(order.max()) + 1
    return np.sort(run * n + order, axis=-1) % n


def _leading(scores: Tensor, budget: int, slack: float | Tensor) -> tuple[Tensor, Tensor] | None:
    """The first `budget` of `ranking` and their scores, from a few of the best scores.

    None if a run of near-equals goes on beyond those few: its lowest indices may be outside.
    """
    n = scores.shape[-1]
    values, order = scores.topk(min(n, budget + MARGIN), dim=-1)
    apart = _apart(_array(values), slack)
    if apart[..., :budget].all():
        return order[..., :budget], values[..., :budget]
    run = _runs(apart)
    if values.shape[-1] < n and not (run[..., -1] > run[..., budget - 1]).all():
        return None
    chosen = torch.from_numpy(_by_runs(order.cpu().numpy(), run)[..., :budget]).to(scores.device)
    return chosen, scores.gather(-1, chosen)


def top_picks(
    scores: Tensor,
    budget: int,
    *,
    slack: float | Tensor,
    open_: Tensor | None = None,
    guarantee: str | None = "exact",
) -> Picks:
    """The `budget` best (open) scores by one sort: what greedy does where scores are fixed."""
    n = scores.shape[-1]
    if open_ is None:
        found = _leading(scores, budget, slack)
        if found is not None:
            return Picks(*found, n, guarantee)
    chosen = ranking(scores, slack)
    if open_ is not None:  # closed ones behind all others, order unchanged
        chosen = chosen.gather(1, (~open_).gather(1, chosen).byte().argsort(dim=-1, stable=True))
    chosen = chosen[:, :budget]
    return Picks(chosen, scores.gather(1, chosen), n, guarantee)


class CosineRows:
    """Rows of the Gram matrix of unit vectors ``(b, n, d)``, on demand.

    Small matrices (n ≤ 1024, or 8192 on a GPU) are kept; of large ones nothing but the rows asked
    for is ever built.
    """

    def __init__(self, unit: Tensor) -> None:
        self.unit = unit

    @cached_property
    def whole(self) -> Tensor | None:
        """The matrix (b, n, n) itself, if it is small."""
        largest = WHOLE_GPU if self.unit.is_cuda else WHOLE
        return gram_of(self.unit) if self.unit.shape[1] <= largest else None

    def row(self, j: Tensor) -> Tensor:
        """Cosine (b, n) of every token with token j (b,) of its sample."""
        samples = torch.arange(len(j), device=j.device)
        if self.whole is not None:
            return self.whole[samples, j]
        return (self.unit @ self.unit[samples, j, :, None])[..., 0]

    def only(self, count: int) -> Callable[[int], np.ndarray]:
        """Rows (n,) of the only sample on a CPU, as NumPy arrays that must not be written to;
        `count` of them, or so, will be asked for."""
        is_made = "whole" in self.__dict__ or GRAM_FROM * count > self.unit.shape[1]
        if is_made and self.whole is not None:
            return self.whole[0].numpy().__getitem__
        unit = self.unit[0].numpy()
        return lambda j: unit @ unit[j]

    def extreme(self, *, largest: bool) -> Tensor:
        """Largest or smallest cosine (b, n) of every token with another; 0 where there is none."""
        b, n, _ = self.unit.shape
        if n == 1:
            return self.unit.new_zeros(b, 1)
        hidden = -torch.inf if largest else torch.inf
        if self.whole is not None:
            diagonal = self.whole.diagonal(dim1=1, dim2=2)
            own = diagonal.clone()
            diagonal.fill_(hidden)
            out = self.whole.amax(-1) if largest else self.whole.amin(-1)
            diagonal.copy_(own)
            return out
        join = torch.maximum if largest else torch.minimum
        out = self.unit.new_full((b, n), hidden)
        for start, block in upper_blocks(self.unit):
            part = slice(start, start + block.shape[1])
            block.diagonal(dim1=1, dim2=2).fill_(hidden)
            over = block.amax(-1) if largest else block.amin(-1)
            under = block.amax(1) if largest else block.amin(1)
            out[:, part] = join(out[:, part], over)
            out[:, start:] = join(out[:, start:], under)
        return out

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """First row and content (b, rows, n) of consecutive blocks of at most 512 rows."""
        if self.whole is not None:
            yield 0, self.whole
            return
        for start in range(0, self.unit.shape[1], BLOCK):
            yield start, self.unit[:, start : start + BLOCK] @ self.unit.mT


def upper_blocks(unit: Tensor) -> Iterator[tuple[int, Tensor]]:
    """First row and content (b, rows, n − first row) of blocks that cover all pairs i ≤ j once."""
    n = unit.shape[1]
    size = min(BLOCK, UPPER) if unit.is_cpu else BLOCK
    for start in range(0, n, size):
        yield start, product(unit[:, start : start + size], unit[:, start:])


def product(x: Tensor, y: Tensor) -> Tensor:
    """x yᵀ (b, n, m); of a single sample not as a batch, which is slower."""
    return (x[0] @ y[0].T)[None] if len(x) == 1 else x @ y.mT


def rows_at(x: Tensor, index: Tensor) -> Tensor:
    """Rows (b, m, d) of x (b, n, d) at index (b, m)."""
    return x[torch.arange(len(x), device=x.device)[:, None], index]


def mark(open_: Tensor, j: Tensor) -> None:
    """Close token j (b,) of every sample, in place."""
    open_.scatter_(1, j[:, None], False)


def at(values: Tensor, j: Tensor) -> Tensor:
    """Entry j (b,) of every sample of (b, n)."""
    return values.gather(1, j[:, None])[:, 0]
