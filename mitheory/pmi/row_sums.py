"""Row sums of exp(cos / τ) from half of the cosine matrix, one tile at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..distributions import upper_products

PANEL = 128  # rows at a time of a matrix that is kept
TILE = 512  # rows and columns of V V^T that exist at a time: one megabyte, what a cache holds
SAFE_EXPONENT = 60.0  # e^60 and sums of billions of them are within single precision
RESOLUTION = 64  # rounding units of a cosine that have to stay below the temperature


def is_resolved(temperature: float, dtype: torch.dtype) -> bool:
    """Whether a diagonal that is 1 up to rounding stays close to 1 / τ as a logit.

    Examples
    --------
    >>> is_resolved(0.1, torch.float32), is_resolved(1e-6, torch.float32)
    (True, False)
    """
    return temperature > RESOLUTION * torch.finfo(dtype).eps


def half_products(unit: Tensor, temperature: float, *, keep: bool) -> tuple[Tensor, Tensor | None]:
    """`log_row_sums` of every sample, and the cosines if they are to be kept: the half on and above
    the diagonal; what stands below means nothing.

    One sample after the other: a product of a batch rounds otherwise than that of one.

    Source: Eq. (16), the denominator.

    Parameters
    ----------
    unit : (..., n_v, d)
        Rows of norm 1, or 0.
    temperature : float > 0, resolved (`is_resolved`)
    keep : bool

    Returns
    -------
    (..., n_v) nats, (..., n_v, n_v) or None

    Examples
    --------
    >>> sums, cosine = half_products(torch.eye(2)[None], 1.0, keep=True)
    >>> sums, cosine.triu()
    (tensor([[1.3133, 1.3133]]), tensor([[[1., 0.],
             [0., 1.]]]))
    """
    n = unit.shape[-2]
    sums = torch.empty_like(unit[..., 0])
    samples, rows = unit.reshape(-1, *unit.shape[-2:]), sums.view(-1, n)
    if not keep:
        for sample, own in zip(samples, rows, strict=True):
            own.copy_(log_row_sums(sample, temperature))
        return sums, None
    cosine = unit.new_empty(*unit.shape[:-1], n)
    for sample, own, square in zip(samples, rows, cosine.view(-1, n, n), strict=True):
        own.copy_(kept_cosines(sample, temperature, square))
    return sums, cosine


def log_row_sums(unit: Tensor, temperature: float) -> Tensor:
    r"""Log of ``Σ_j exp(cos_ij / τ)`` for every row of one sample, the diagonal included.

    The kernel is symmetric: a tile above the diagonal is added to its rows *and*, transposed, to
    its columns. So it takes half of the products and half of the exponentials, N² / 2 each up to
    the tiles on the diagonal, and O(N) memory beyond one tile.

    Source: Eq. (16), the denominator.

    Parameters
    ----------
    unit : (n_v, d)
        Rows of norm 1, or 0.
    temperature : float > 0, resolved (`is_resolved`)

    Returns
    -------
    (n_v,), nats

    Examples
    --------
    >>> log_row_sums(torch.eye(2), 1.0)  # log(e + 1)
    tensor([1.3133, 1.3133])
    """
    n = len(unit)
    largest = 1 / temperature  # the logit of a token with itself
    down = max(0.0, largest - SAFE_EXPONENT)
    sums, ones = unit.new_zeros(n), unit.new_ones(min(n, TILE))
    buffer = unit.new_empty(min(n, TILE) ** 2)
    for rows, below in tiles(n):
        left = unit[rows] * (largest / math.log(2))
        for columns in [rows, *below]:
            right = unit[columns]
            tile = buffer[: len(left) * len(right)].view(len(left), len(right))
            torch.mm(left, right.T, out=tile)
            if down:
                tile.sub_(down / math.log(2))
            tile.exp2_()
            sums[rows].addmv_(tile, ones[: len(right)])
            if columns is not rows:
                sums[columns].addmv_(tile.T, ones[: len(left)])
    log_sums = sums.log_().add_(down)
    return _of_zero_rows(log_sums, largest, n)


def kept_cosines(unit: Tensor, temperature: float, out: Tensor) -> Tensor:
    """`log_row_sums` of one sample, and the cosines on and above the diagonal into `out`.

    Source: Eq. (16), the denominator.

    Parameters
    ----------
    unit : (n_v, d)
        Rows of norm 1, or 0.
    temperature : float > 0, resolved (`is_resolved`)
    out : (n_v, n_v)

    Returns
    -------
    (n_v,), nats

    Examples
    --------
    >>> cosine = torch.zeros(2, 2)
    >>> kept_cosines(torch.eye(2), 1.0, cosine), cosine
    (tensor([1.3133, 1.3133]), tensor([[1., 0.],
            [0., 1.]]))
    """
    n, largest = len(unit), 1 / temperature
    down = max(0.0, largest - SAFE_EXPONENT)
    upper_products(unit, out)
    size = min(n, PANEL)
    sums, ones, buffer = unit.new_zeros(n), unit.new_ones(n), unit.new_empty(size * n)
    for start in range(0, n, PANEL):
        panel = out[start : start + PANEL, start:]
        height, width = panel.shape
        weights = buffer[: panel.numel()].view(height, width)
        torch.mul(panel, largest / math.log(2), out=weights)
        if down:
            weights.sub_(down / math.log(2))
        own = weights.exp2_()[:, :height].triu_()  # below the diagonal is nothing that was computed
        sums[start:].addmv_(weights.T, ones[:height])
        own.fill_diagonal_(0)
        sums[start : start + height].addmv_(weights, ones[:width])
    return _of_zero_rows(sums.log_().add_(down), largest, n)


def _of_zero_rows(log_sums: Tensor, largest: float, n: int) -> Tensor:
    """Log of n where the sum lacks a diagonal of e^(1/τ), however small the addends became.

    A row of norm 1 has its diagonal in the sum; one without is zero, and so are all its logits.
    """
    return torch.where(log_sums < largest - 1, math.log(n), log_sums)


def tiles(n: int, size: int | None = None) -> Iterator[tuple[slice, list[slice]]]:
    """Blocks of rows, each with the blocks of columns to the right of the diagonal.

    `size` rows at a time, by default `TILE`.

    Examples
    --------
    >>> [(rows.start, [c.start for c in columns]) for rows, columns in tiles(1100)]
    [(0, [512, 1024]), (512, [1024]), (1024, [])]
    """
    size = size or TILE
    blocks = [slice(i, min(n, i + size)) for i in range(0, n, size)]
    for place, rows in enumerate(blocks):
        yield rows, blocks[place + 1 :]


def pairs_of_tiles(n: int, *, keep: bool = False) -> int:
    """How many exponentials of cosines of n tokens `half_products` takes; where the cosines are not
    kept, it computes as many of them.

    Examples
    --------
    >>> pairs_of_tiles(2), pairs_of_tiles(1024)  # three of four tiles
    (4, 786432)
    """
    blocks = tiles(n, PANEL if keep else TILE)
    return sum((rows.stop - rows.start) * (n - rows.start) for rows, _ in blocks)
