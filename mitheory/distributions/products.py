"""Products of rows with rows, sample by sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

KERNEL_DTYPES = torch.float32, torch.float64
SMALL = 800_000
"""Multiplications up to which OpenBLAS multiplies in place, without packing its factors first."""
ROWS = 16, 192
"""Rows of a block: fewer do not pay for the call, more gain nothing."""
SHARED = 2**25
"""Multiplications from which on several threads, where there are several, are worth waking."""
WATCHING: list[Callable[[int, int], None]] = []
"""Told the multiplications and the bytes of every product that PyTorch does not see, as it sees its
own: whoever counts operations appends itself."""
MIRRORED = 64
"""Rows at a time of a matrix whose upper half is copied below."""
BELOW = np.tri(MIRRORED, k=-1, dtype=bool)


def row_products(x: Tensor, y: Tensor) -> Tensor:
    """Products of every row of `x` with every row of `y`.

    On a CPU of one sample after the other: those of a batch take longer, and round otherwise. Where
    the second factor is small, as a prompt is, the first is taken in blocks that a library's kernel
    for small matrices takes: between 1.1 and 1.8 times as fast as the whole product.

    Parameters
    ----------
    x, y : (b, n_x, d), (b, n_y, d)

    Returns
    -------
    (b, n_x, n_y)

    Examples
    --------
    >>> row_products(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[[1.0, -1.0]]]))
    tensor([[[-1.],
             [-1.]]])
    """
    if not x.is_cpu:
        return x @ y.mT
    rows = _rows_of_block(x, y)
    if not rows:
        if len(x) == 1:
            return (x[0] @ y[0].T)[None]
        return torch.stack([a @ b.T for a, b in zip(x, y, strict=True)])
    out = x.new_empty(len(x), x.shape[1], y.shape[1])
    for sample, other, into in zip(x.numpy(), y.numpy(), out.numpy(), strict=True):
        columns = np.ascontiguousarray(other.T)
        for start in range(0, len(sample), rows):
            np.matmul(sample[start : start + rows], columns, out=into[start : start + rows])
    _tell(out.numel() * x.shape[2], x, y, out)
    return out


def _tell(multiplications: int, *moved: Tensor) -> None:
    """Whoever is watching, of one product and the tensors that it read and wrote."""
    for watcher in WATCHING:
        watcher(multiplications, sum(z.numel() * z.element_size() for z in moved))


def _rows_of_block(x: Tensor, y: Tensor) -> int:
    """Rows of `x` at a time; 0 if the whole product is to be taken at once, or is watched."""
    if x.requires_grad or y.requires_grad or x.dtype not in KERNEL_DTYPES:
        return 0
    pairs = max(1, y.shape[1] * x.shape[2])
    least, most = ROWS
    rows = min(SMALL // pairs, most) // 8 * 8
    if rows < least or (pairs * x.shape[1] > SHARED and torch.get_num_threads() > 1):
        return 0
    return rows


def gram_of(x: Tensor) -> Tensor:
    """Products of every row with every row of the same sample; on a CPU half of them.

    Parameters
    ----------
    x : (b, n, d)

    Returns
    -------
    (b, n, n)

    Examples
    --------
    >>> gram_of(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    tensor([[[ 5., 11.],
             [11., 25.]]])
    """
    if not x.is_cpu or x.requires_grad or x.dtype not in KERNEL_DTYPES:
        return row_products(x, x)
    out = x.new_empty(len(x), x.shape[1], x.shape[1])
    for sample, square in zip(x, out, strict=True):
        upper_products(sample, square)
        _mirror(square.numpy())
    return out


def upper_products(x: Tensor, out: Tensor) -> None:
    """On and above the diagonal of `out`, products of the rows of one sample on a CPU; what stands
    below stays.

    A symmetric update: half of the multiplications, which blocks of rows would exceed by the
    triangles on the diagonal.

    Parameters
    ----------
    x : (n, d)
    out : (n, n), contiguous

    Examples
    --------
    >>> out = torch.zeros(2, 2)
    >>> upper_products(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), out)
    >>> out
    tensor([[ 5., 11.],
            [ 0., 25.]])
    """
    if x.dtype not in KERNEL_DTYPES:
        out.copy_((x @ x.T).triu_() + out.tril(-1))
        return
    from scipy.linalg import blas  # on use: it takes a fifth of a second to import

    update = blas.ssyrk if x.dtype == torch.float32 else blas.dsyrk
    columns, into = x.contiguous().numpy().T, out.numpy().T  # of column-major matrices
    update(1.0, columns, trans=True, c=into, overwrite_c=True, lower=True)
    _tell(len(x) * (len(x) + 1) // 2 * x.shape[1], x, out)


def _mirror(square: npt.NDArray[np.floating]) -> None:
    """Copy what stands above the diagonal below it."""
    for start in range(0, len(square), MIRRORED):
        stop = min(len(square), start + MIRRORED)
        own, below = square[start:stop, start:stop], BELOW[: stop - start, : stop - start]
        np.copyto(own, own.T.copy(), where=below)
        square[stop:, start:stop] = square[start:stop, stop:].T
