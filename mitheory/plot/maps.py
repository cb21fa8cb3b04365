"""A number for every patch, as a map over the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from ..errors import NonFiniteError
from . import inputs
from .patches import bare, frame_sheet, label
from .views import View, resolved, sheet


def score_map(
    scores: Any,
    *,
    grid: Sequence[int] | None = None,
    views: Sequence[View] | None = None,
    image: Any = None,
    alpha: float = 0.65,
    cmap: str = "cividis",
    vmin: float | None = None,
    vmax: float | None = None,
    cbar: bool = True,
    cbar_label: str = "",
    columns: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a score of every visual token where the token stands.

    Parameters
    ----------
    scores : (n,) numbers; −inf is drawn in gray
    grid, views, columns : as for `kept_patches`
    image : drawn under the scores; none without
    alpha : how much the scores cover the image
    cmap, vmin, vmax : colors, and the scores at their ends; the smallest and largest without
    cbar, cbar_label : whether there is a color bar, and what stands beside it
    ax : to draw on; the current axes without

    Returns
    -------
    Axes

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        If scores, image and grid do not belong together.
    NonFiniteError
        If a score is NaN or +inf, or none is finite.

    Examples
    --------
    >>> import matplotlib.figure
    >>> ax = matplotlib.figure.Figure().subplots()
    >>> ax = score_map([0.1, 0.9, 0.4, 0.2], grid=(2, 2), vmax=1.0, ax=ax)
    >>> ax.images[0].get_array().tolist(), ax.images[0].get_clim()
    ([[0.1, 0.9], [0.4, 0.2]], (0.1, 1.0))
    """
    values = inputs.numbers("scores", scores, 1)
    pixels = None if image is None else inputs.picture(image)
    frames = len(pixels) if pixels is not None and pixels.ndim == 4 else 0
    found = resolved(len(values), grid, views, frames)
    finite = values[np.isfinite(values)]
    if np.isnan(values).any() or (values == np.inf).any() or not finite.size:
        raise NonFiniteError("scores: expected finite numbers or -inf, some of them finite")
    low = float(finite.min()) if vmin is None else vmin
    high = float(finite.max()) if vmax is None else vmax
    norm = Normalize(low, high)
    ax = inputs.axes(ax)
    ax.set_facecolor("#bbbbbb")
    parts = [None if pixels is None else view.crop(pixels) for view in found]
    shapes = [
        view.shape if part is None else part.shape[:2]
        for view, part in zip(found, parts, strict=True)
    ]
    single = len(found) == 1
    cells = sheet(found, [h / w for h, w in shapes], columns)
    for cell, part, (height, width) in zip(cells, parts, shapes, strict=True):
        extent = (-0.5, width - 0.5, height - 0.5, -0.5) if single else cell.extent
        if part is not None:
            ax.imshow(part, interpolation="nearest", extent=extent)
        heat = np.ma.masked_invalid(cell.view.cells(values, -np.inf))
        ax.imshow(
            heat, cmap=cmap, norm=norm, interpolation="nearest", extent=extent, aspect="equal",
            alpha=1.0 if part is None else alpha,
        )  # fmt: skip
        if not single:
            label(ax, cell)
    if single:
        bare(ax)
    else:
        frame_sheet(ax, cells)
    if cbar:
        bar = ax.figure.colorbar(ScalarMappable(norm, cmap), ax=ax, fraction=0.046, pad=0.03)
        bar.outline.set_visible(False)
        bar.set_label(cbar_label)
    return ax
