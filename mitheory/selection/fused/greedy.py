"""One greedy loop on a GPU: when it can be fused, and its launches."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from ..engine import WHOLE_GPU, Picks

_TILE = 64  # tokens, and coordinates, at a time where rows are computed on the way
_MIN_CAPABILITY = (7, 0)  # what Triton compiles for
_MIN_TRITON = (3, 3)  # as in the extra `gpu`; PyTorch 2.6 brings 3.2 along


@dataclass(frozen=True, eq=False)
class Loop:
    """What the kernels need: unit rows, scores and the numbers of the penalties.

    Every token starts with the score `start`. As soon as tokens are chosen, the score of i is
    ``benefit_i`` less its joined penalties, which `kernels.penalty` makes of cosines. −∞ as benefit
    is −∞ as score.

    Parameters
    ----------
    unit : (b, n, d) float32, contiguous unit rows
    start, benefit : (b, n)
    slack : scores closer to the best than this are ties
    charge : "distance", "softmax", "minmax", "softmax_weighted" or "minmax_weighted"
    total : whether penalties add up; else the largest counts
    shift, log_scale, log_marginal : (b, n), as in `SelfPMI`; unused by "distance"
    temperature, weight : τ and 1 − λ
    rounding : a cosine above `shift` by no more equals it
    cosine : (b, n, n) if it is at hand
    """

    unit: Tensor
    start: Tensor
    benefit: Tensor
    slack: float
    charge: str
    total: bool
    shift: Tensor
    log_scale: Tensor
    log_marginal: Tensor
    temperature: float = 1.0
    weight: float = 1.0
    rounding: float = 0.0
    cosine: Tensor | None = None


def available(x: Tensor) -> bool:
    """Whether the loop over `x` can be fused: float32 on a CUDA GPU that Triton ≥ 3.3 compiles for.

    Examples
    --------
    >>> available(torch.zeros(2, 3))
    False
    """
    if not x.is_cuda or x.dtype != torch.float32 or not _has_triton():
        return False
    return torch.version.hip is None and _capability(x.device.index) >= _MIN_CAPABILITY


@cache
def _has_triton() -> bool:
    from .kernels import triton

    if triton is None:
        return False
    return tuple(int(part) for part in triton.__version__.split(".")[:2]) >= _MIN_TRITON


@cache
def _capability(index: int) -> tuple[int, int]:
    return torch.cuda.get_device_capability(index)


def fused_greedy(loop: Loop, budget: int, first: Tensor | None = None) -> Picks:
    """`budget` picks of every sample, the highest score first, ties to the lowest index.

    Up to `WHOLE_GPU` tokens: one matrix product for the cosines and one launch for all picks of all
    samples. Above: one launch a pick, without the matrix.

    Source: Algorithm 1, lines 11-19; alvar2025divprune.

    Parameters
    ----------
    loop : Loop
    budget : picks of each sample, those in `first` included
    first : (b, k_1), tokens that are chosen already; their gains are NaN

    Returns
    -------
    Picks
        Equal to those of the PyTorch loop, unless two scores differ from a tie by less than
        rounding.
    """
    b, n = loop.benefit.shape
    done = 0 if first is None else first.shape[1]
    chosen = torch.empty(b, budget, dtype=torch.int64, device=loop.unit.device)
    if first is not None:
        chosen[:, :done] = first
    gains = torch.full_like(loop.benefit, torch.nan)
    with _on(loop.unit.device):
        if n <= WHOLE_GPU:
            _launch_resident(loop, chosen, gains, done)
        else:
            _launch_streamed(loop, chosen, gains, done)
    return Picks(chosen, gains.gather(1, chosen), sum(n - t for t in range(done, budget)))


def _on(device: torch.device) -> AbstractContextManager[object]:
    """Triton launches on the current GPU, which need not be the one of the tensors."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _launch_resident(loop: Loop, chosen: Tensor, gains: Tensor, done: int) -> None:
    from . import kernels

    b, n = loop.benefit.shape
    block = max(32, _power_of_two(n))
    cosine = loop.unit @ loop.unit.mT if loop.cosine is None else loop.cosine
    kernels.resident[(b,)](
        cosine.contiguous(),
        loop.start.contiguous(),
        loop.benefit.contiguous(),
        loop.shift.contiguous(),
        loop.log_scale.contiguous(),
        loop.log_marginal.contiguous(),
        chosen,
        gains,
        n,
        chosen.shape[1],
        done,
        loop.slack,
        loop.temperature,
        loop.weight,
        loop.rounding,
        CHARGE=loop.charge,
        TOTAL=loop.total,
        BLOCK=block,
        num_warps=min(32, max(4, block // 256)),
        enable_fp_fusion=False,  # rounded as PyTorch rounds
    )


def _launch_streamed(loop: Loop, chosen: Tensor, gains: Tensor, done: int) -> None:
    from . import kernels

    b, n, d = loop.unit.shape
    blocks = -(-n // _TILE)
    running = torch.full_like(loop.benefit, 0.0 if loop.total else -torch.inf)
    scores = loop.benefit.new_empty(2, b, n)
    scores[0] = loop.start
    best = loop.benefit.new_full((2, b, blocks), torch.nan)
    padded = torch.nn.functional.pad(loop.start, (0, blocks * _TILE - n), value=-torch.inf)
    best[0] = padded.view(b, blocks, _TILE).amax(-1)
    arguments = (
        loop.unit.contiguous(),
        loop.benefit.contiguous(),
        loop.shift.contiguous(),
        loop.log_scale.contiguous(),
        loop.log_marginal.contiguous(),
        running,
        scores,
        best,
        chosen,
        gains,
    )
    for t in range(chosen.shape[1]):
        kernels.streamed[(blocks, b)](
            *arguments,
            n,
            d,
            chosen.shape[1],
            done,
            t,
            loop.slack,
            loop.temperature,
            loop.weight,
            loop.rounding,
            CHARGE=loop.charge,
            TOTAL=loop.total,
            BLOCK=_TILE,
            BLOCK_D=_TILE,
            BLOCKS=_power_of_two(blocks),
            enable_fp_fusion=False,
        )


def _power_of_two(n: int) -> int:
    """The smallest power of two that is at least `n`."""
    return 1 << (n - 1).bit_length()
