"""PMI of every patch with every word, or with every other patch, as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..errors import NonFiniteError, ParameterError, ShapeError
from . import inputs

SATURATED = 0.01  # share of entries beyond the ends of the colors


def pmi_matrix(
    pmi: Any,
    *,
    words: Sequence[str] | None = None,
    kept: Any = None,
    limit: float | None = None,
    cmap: str = "PuOr_r",
    cbar: bool = True,
    unit: str = "nats",
    ax: Axes | None = None,
) -> Axes:
    """Draw a matrix of PMI: white is 0, both signs have colors of their own.

    Parameters
    ----------
    pmi : (n_v, n_t) or (n_v, n_v), nats; −inf is drawn in gray
    words : of the columns; the columns are patches without
    kept : patches that are marked at the left edge: a `Selection`, a mask, or indices
    limit : at which the colors end, on both sides; without, the 1% farthest from 0 saturate
    cmap : with white in its middle
    cbar, unit : whether there is a color bar, and what stands under it
    ax : to draw on; the current axes without

    Returns
    -------
    Axes

    Raises
    ------
    ShapeError
        If it is no matrix, or there are not as many words as columns.
    NonFiniteError
        If an entry is NaN or +inf, or none is finite.
    ParameterError
        If `limit` is not positive.

    Examples
    --------
    >>> import matplotlib.figure
    >>> ax = matplotlib.figure.Figure().subplots()
    >>> ax = pmi_matrix([[0.5, -0.2]], words=["red", "dog"], limit=1.0, ax=ax)
    >>> [t.get_text() for t in ax.get_xticklabels()], ax.images[0].get_clim()
    (['red', 'dog'], (-1.0, 1.0))
    """
    values = inputs.numbers("pmi", pmi, 2)
    if np.isnan(values).any() or (values == np.inf).any() or not np.isfinite(values).any():
        raise NonFiniteError("pmi: expected finite numbers or -inf, some of them finite")
    if words is not None and len(words) != values.shape[1]:
        raise ShapeError(f"words: expected {values.shape[1]}, one a column, got {len(words)}")
    if limit is not None and not limit > 0:
        raise ParameterError(f"limit: expected a positive number, got {limit}")
    end = limit if limit is not None else saturation(values)
    ax = inputs.axes(ax)
    heat(ax, values, title="", unit=unit, cmap=cmap, ends=(-end, end), cbar=cbar)
    ax.set_ylabel("patch")
    if words is None:
        ax.set_xlabel("patch")
    else:
        ax.set_xticks(range(len(words)), list(words), rotation=90)
    if kept is not None:
        rows = np.flatnonzero(inputs.mask(kept, len(values)))
        ax.plot(
            np.full(len(rows), -0.012), rows, marker=">", markersize=3, linestyle="",
            color="#222222", clip_on=False, transform=ax.get_yaxis_transform(),
        )  # fmt: skip
    return ax


def saturation(values: NDArray[np.float64]) -> float:
    """The size that all but the 1% farthest from 0 stay within; 1 of a matrix of zeros.

    Examples
    --------
    >>> saturation(np.array([[0.0, -2.0]])), saturation(np.zeros((1, 1)))
    (1.98, 1.0)
    """
    return float(np.quantile(np.abs(values[np.isfinite(values)]), 1 - SATURATED)) or 1.0


def heat(
    ax: Axes,
    values: NDArray[np.float64],
    *,
    title: str,
    unit: str,
    cmap: str,
    ends: tuple[float, float],
    cbar: bool = True,
    small: float | None = None,
) -> None:
    """A matrix with its color bar on top; `small` is the size of the numbers on both."""
    low, high = ends
    shown = np.ma.masked_invalid(values)
    drawn = ax.imshow(shown, cmap=cmap, vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    ax.set_facecolor("#bbbbbb")
    ax.grid(visible=False)
    if small is not None:
        ax.tick_params(labelsize=small)
    if not cbar:
        ax.set_title(title)
        return
    bar = ax.figure.colorbar(drawn, ax=ax, location="top", fraction=0.05, pad=0.02, aspect=18)
    bar.outline.set_visible(False)
    if small is not None:
        bar.ax.tick_params(labelsize=small - 0.5, length=1.5, pad=1)
    size: dict[str, Any] = {} if small is None else {"fontsize": small - 0.5}
    bar.ax.set_xlabel(unit, labelpad=1, **size)
    bar.ax.xaxis.set_label_position("bottom")
    if title:
        size = {} if small is None else {"fontsize": small + 1.1}
        bar.ax.set_title(title, fontweight="bold", loc="left", pad=9, **size)
