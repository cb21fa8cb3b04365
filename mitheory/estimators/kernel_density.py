r"""Mutual information from kernel estimates of the densities, each row left out of its own.

With one Gaussian product kernel for the joint density and for the marginals, its constants cancel:

.. math:: \hat I = \frac1n \sum_i \log \frac{(n-1) \sum_{j \ne i} k(x_i, x_j)\, k(y_i, y_j)}
    {\sum_{j \ne i} k(x_i, x_j) \sum_{j \ne i} k(y_i, y_j)}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from ..checks import check_temperature, lookup
from .inputs import Floats, check_varies, tables
from .records import Estimate

BLOCK_ENTRIES = 1_000_000  # log kernels held at a time, per side

Block = tuple[int, ...]


def kernel_density_mi(x: ArrayLike, y: ArrayLike, *, bandwidth: str | float = "scott") -> Estimate:
    """I(X;Y) of the kernel estimates of the densities.

    Source: moon1995; silverman1986, Sec. 4.3 for the bandwidths.

    Parameters
    ----------
    x : (n, d_x) or (n,)
    y : (n, d_y) or (n,)
    bandwidth : {"scott", "silverman"} or float
        In standard deviations of each column.

    Returns
    -------
    Estimate
        Biased toward 0, the more the higher the dimension: a wide kernel smooths dependence away,
        and in a narrow one a row left out finds nobody near (see `sensitivity`).

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError
        If an array is not as said.
    ParameterError
        If a column is constant or the bandwidth not positive.
    UnknownNameError
        If there is no such rule.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal(1000)
    >>> y = x + np.random.default_rng(1).standard_normal(1000)
    >>> kernel_density_mi(x, y).value  # the truth is log(2)/2 = 0.347
    0.3
    """
    sides = tables(x=x, y=y)
    check_varies(x=sides[0], y=sides[1])
    return _estimate(sides, ((0, 1), ()), ((0,), (1,)), bandwidth)


def kernel_density_cmi(
    x: ArrayLike, y: ArrayLike, z: ArrayLike, *, bandwidth: str | float = "scott"
) -> Estimate:
    """I(X;Y|Z) of the kernel estimates of the densities.

    Parameters
    ----------
    x, y, z : (n, d) or (n,)
    bandwidth : as in `kernel_density_mi`

    Returns
    -------
    Estimate

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError, ParameterError, UnknownNameError
        As `kernel_density_mi`.
    """
    sides = tables(x=x, y=y, z=z)
    check_varies(x=sides[0], y=sides[1], z=sides[2])
    return _estimate(sides, ((0, 1, 2), (2,)), ((0, 2), (1, 2)), bandwidth)


def _estimate(
    sides: Sequence[Floats],
    plus: tuple[Block, Block],
    minus: tuple[Block, Block],
    bandwidth: str | float,
) -> Estimate:
    """Log densities of the blocks in `plus` less those in `minus`, row by row."""
    n, dims = len(sides[0]), tuple(side.shape[1] for side in sides)
    if isinstance(bandwidth, str):
        width = lookup(bandwidth, BANDWIDTHS, "rule for the bandwidth")(n, sum(dims))
    else:
        width = check_temperature(bandwidth, "bandwidth")
    scaled = [side / side.std(0) / width for side in sides]
    size = max(1, BLOCK_ENTRIES // n)
    rows = np.concatenate(
        [_rows(scaled, np.arange(i, min(i + size, n)), plus, minus) for i in range(0, n, size)]
    )
    return Estimate(
        value=float(rows.mean()),
        estimator="kernel_density",
        n=n,
        dims=dims,
        pointwise=rows,
        diagnostics={"bandwidth": bandwidth, "bandwidth_in_deviations": width},
    )


def _rows(
    sides: Sequence[Floats],
    rows: np.ndarray,
    plus: tuple[Block, Block],
    minus: tuple[Block, Block],
) -> Floats:
    """As many logarithms of n − 1 are added as taken away, but for the block of no sides."""
    logs = [-cdist(side[rows], side, "sqeuclidean") / 2 for side in sides]
    own = (np.arange(len(rows)), rows)
    total = np.zeros(len(rows))
    for sign, blocks in ((1.0, plus), (-1.0, minus)):
        for block in blocks:
            if not block:
                total += sign * np.log(len(sides[0]) - 1)
                continue
            kernel = np.sum([logs[i] for i in block], axis=0)
            kernel[own] = -np.inf
            top = kernel.max(1)  # far from all others every kernel would round to 0
            total += sign * (top + np.log(np.exp(kernel - top[:, None]).sum(1)))
    return total


def _scott(n: int, d: int) -> float:
    return float(n ** (-1 / (d + 4)))


def _silverman(n: int, d: int) -> float:
    return float((n * (d + 2) / 4) ** (-1 / (d + 4)))


BANDWIDTHS: Mapping[str, Callable[[int, int], float]] = {
    "scott": _scott,
    "silverman": _silverman,
}
