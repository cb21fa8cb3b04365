"""Kept patches over the image, on any grid: the others faded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from . import inputs
from .views import Cell, View, resolved, sheet

PALE = 0.82  # share of white in a patch that is not kept


def faded(image: Any, kept: Any, grid: tuple[int, int]) -> NDArray[np.uint8]:
    """The image with every patch that is not kept faded to nearly white.

    A pixel belongs to the cell in which it lies; height and width need be no multiples of the
    grid's.

    Parameters
    ----------
    image : (height, width, 3), uint8 or floats in [0, 1]
    kept : a `Selection`, a mask (n,), or raster indices
    grid : (rows, columns)

    Returns
    -------
    (height, width, 3) uint8

    Raises
    ------
    ShapeError, DTypeError, ParameterError

    Examples
    --------
    >>> faded(np.zeros((2, 2, 3), dtype=np.uint8), [3], (2, 2))[..., 0].tolist()
    [[209, 209], [209, 0]]
    """
    rows, columns = grid
    is_kept = inputs.mask(kept, rows * columns).reshape(rows, columns)
    return _pale(inputs.picture(image), is_kept)


def _pale(image: NDArray[np.uint8], is_kept: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The image with the pixels of cells (rows, columns) that are not kept nearly white."""
    height, width = image.shape[:2]
    rows, columns = is_kept.shape
    row = np.arange(height) * rows // height
    column = np.arange(width) * columns // width
    shown = is_kept[row[:, None], column][..., None]  # (height, width, 1)
    pale = ((1 - PALE) * image + PALE * 255).astype(np.uint8)
    return np.where(shown, image, pale)


def kept_patches(
    image: Any,
    kept: Any,
    *,
    grid: Sequence[int] | None = None,
    views: Sequence[View] | None = None,
    order: bool = False,
    columns: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the image with the patches that are not kept faded.

    Several views (the whole image and its tiles, the frames of a video) stand side by side as a
    contact sheet.

    Parameters
    ----------
    image : (height, width, 3), or (frames, height, width, 3), uint8 or floats in [0, 1]; an array,
        a tensor, or an image of pillow
    kept : a `Selection`, a mask (n,), or indices of the kept tokens
    grid : (rows, columns) or (rows, columns, frames) of tokens in raster order, frames outermost
    views : where every token stands, instead of `grid`; see `View`
    order : write on every kept patch which choice it was (`kept` a selection or indices)
    columns : of the contact sheet
    ax : to draw on; the current axes without

    Returns
    -------
    Axes

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        If image, kept set and grid do not belong together.

    Examples
    --------
    >>> import matplotlib.figure
    >>> ax = matplotlib.figure.Figure().subplots()
    >>> ax = kept_patches(np.zeros((4, 6, 3)), [0, 4], grid=(2, 3), ax=ax)
    >>> ax.images[0].get_array()[:, :, 0].tolist()[0]
    [0, 0, 209, 209, 209, 209]
    """
    pixels = inputs.picture(image)
    n = _count(kept, grid, views)
    frames = len(pixels) if pixels.ndim == 4 else 0
    found = resolved(n, grid, views, frames)
    is_kept = inputs.mask(kept, n)
    shown = [_pale(view.crop(pixels), view.cells(is_kept, False)) for view in found]
    ax = inputs.axes(ax)
    cells = contact(ax, found, shown, columns)
    if order:
        _number(ax, cells, inputs.indices(kept))
    return ax


def _count(kept: Any, grid: Sequence[int] | None, views: Sequence[View] | None) -> int:
    """Tokens there are: as the selection or the mask says, else as the grid or the views do."""
    if hasattr(kept, "n_v"):
        return int(kept.n_v)
    values = inputs.array(kept)
    if values.dtype == bool:
        return int(values.size)
    if views:
        return 1 + max(int(view.tokens.max()) for view in views)
    return int(np.prod([int(n) for n in grid])) if grid is not None else 0


def contact(
    ax: Axes,
    views: Sequence[View],
    pictures: Sequence[NDArray[np.uint8]],
    columns: int | None = None,
) -> list[Cell]:
    """Draw a picture for each view, side by side, each in a thin frame; say where they stand.

    One picture alone keeps its own pixels as coordinates.
    """
    if len(views) == 1:
        show(ax, pictures[0])
        height, width = pictures[0].shape[:2]
        return [Cell(views[0], (-0.5, width - 0.5, height - 0.5, -0.5))]
    cells = sheet(views, [p.shape[0] / p.shape[1] for p in pictures], columns)
    for cell, picture in zip(cells, pictures, strict=True):
        ax.imshow(picture, interpolation="nearest", extent=cell.extent)
        label(ax, cell)
    frame_sheet(ax, cells)
    return cells


def frame_sheet(ax: Axes, cells: Sequence[Cell]) -> None:
    """Limits around all views; no ticks, no frame around the whole."""
    left, right, bottom, top = (np.array([cell.extent[i] for cell in cells]) for i in range(4))
    above = 0.16 * any(cell.view.label for cell in cells)
    ax.set_xlim(left.min() - 0.02, right.max() + 0.02)
    ax.set_ylim(bottom.max() + 0.02, top.min() - above - 0.02)
    ax.set_aspect("equal")
    ax.set_axis_off()


def label(ax: Axes, cell: Cell) -> None:
    """The label of a view over its left corner."""
    left, _, _, top = cell.extent
    if cell.view.label:
        ax.text(left, top - 0.02, cell.view.label, va="bottom", ha="left", fontsize="small")


def show(ax: Axes, image: NDArray[np.uint8]) -> None:
    """An image without ticks, in a thin frame."""
    ax.imshow(image, interpolation="nearest")
    bare(ax)


def bare(ax: Axes) -> None:
    """No ticks, no grid, a thin frame."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    for side in ax.spines.values():
        side.set(visible=True, color="#999999", linewidth=0.5)


def _number(ax: Axes, cells: Sequence[Cell], chosen: NDArray[np.int64]) -> None:
    """The number of its choice on every kept patch."""
    step = {int(token): i + 1 for i, token in enumerate(chosen)}
    for cell in cells:
        left, right, bottom, top = cell.extent
        rows, columns = cell.view.shape
        for (row, column), token in np.ndenumerate(cell.view.tokens):
            if int(token) in step:
                x = left + (column + 0.5) / columns * (right - left)
                y = top + (row + 0.5) / rows * (bottom - top)
                ax.text(
                    x, y, str(step[int(token)]), fontsize=4.6, ha="center", va="center",
                    color="white",
                    bbox={"facecolor": "black", "edgecolor": "none", "pad": 0.3, "alpha": 0.65},
                )  # fmt: skip
