"""Mutual information of numbers cut into bins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ..checks import lookup
from ..errors import ParameterError
from .inputs import Floats, Integers, check_count, check_varies, tables
from .plug_in import plug_in_mi
from .records import Estimate

ROWS_PER_CELL = 5  # on average, where the number of bins is not given


def histogram_mi(
    x: ArrayLike,
    y: ArrayLike,
    *,
    bins: int | None = None,
    edges: str = "equal_frequency",
    correction: str = "miller_madow",
) -> Estimate:
    """I between the bins of X and the bins of Y, less a named estimate of its bias.

    Binning is processing: the information of the bins is at most that of the numbers.

    Parameters
    ----------
    x : (n, d_x) or (n,)
    y : (n, d_y) or (n,)
    bins : int, optional
        Of each column. Without it as many as leave five rows to a joint cell, 2 at least.
    edges : {"equal_frequency", "equal_width"}
    correction : as in `plug_in_mi`

    Returns
    -------
    Estimate

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError
        If an array is not as said.
    ParameterError
        If there are fewer rows than joint cells, fewer than 2 bins, or a column falls into one.
    UnknownNameError
        If there are no such edges or no such correction.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal(2000)
    >>> y = x + np.random.default_rng(1).standard_normal(2000)
    >>> histogram_mi(x, y).value  # the truth is log(2)/2 = 0.347
    0.3
    """
    cut = lookup(edges, EDGES, "rule for edges")
    sides = tables(x=x, y=y)
    check_varies(x=sides[0], y=sides[1])
    n, d = len(sides[0]), sum(side.shape[1] for side in sides)
    if bins is None:
        size = max(2, int((n / ROWS_PER_CELL) ** (1 / d) + 1e-9))  # 125 ** (1/3) is 4.999...
    else:
        size = check_count("bins", bins)
    if size < 2:
        raise ParameterError("bins must be 2 or more; got 1")
    if d * np.log(size) > np.log(n) + 1e-9:
        raise ParameterError(
            f"{size} bins in {d} columns are {size}^{d} cells for {n} rows: less than one row "
            "each; reduce the columns (mi_reduced), or the bins"
        )
    one, other = (_codes(name, side, size, cut) for name, side in zip("xy", sides, strict=True))
    found = plug_in_mi(one, other, correction=correction)
    return replace(
        found,
        estimator="histogram",
        diagnostics={"bins": size, "edges": edges, **found.diagnostics},
    )


def _codes(name: str, side: Floats, bins: int, cut: Callable[[Floats, int], Floats]) -> Integers:
    """(n, d) number of the bin of each entry."""
    inner = [cut(column, bins) for column in side.T]
    codes = [np.searchsorted(at, column) for at, column in zip(inner, side.T, strict=True)]
    for i, column in enumerate(codes):
        if np.ptp(column) == 0:
            raise ParameterError(
                f"{name}: column {i} falls into one bin, most rows having its largest value; "
                "use edges='equal_width', or 'plug_in' if these are labels"
            )
    return np.stack(codes, 1).astype(np.int64)


def _equal_frequency(column: Floats, bins: int) -> Floats:
    """Inner edges, the largest values of their bins: increasing maps move no row to another."""
    levels = np.arange(1, bins) / bins
    return np.unique(np.quantile(column, levels, method="inverted_cdf"))


def _equal_width(column: Floats, bins: int) -> Floats:
    return np.linspace(column.min(), column.max(), bins + 1)[1:-1]


EDGES: Mapping[str, Callable[[Floats, int], Floats]] = {
    "equal_frequency": _equal_frequency,
    "equal_width": _equal_width,
}
