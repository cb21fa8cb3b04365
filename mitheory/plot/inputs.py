"""What the drawing functions take in: arrays from anything, kept sets as masks, an axes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..errors import DTypeError, MissingInputError, ParameterError, ShapeError

if TYPE_CHECKING:
    import pandas as pd


def axes(ax: Axes | None) -> Axes:
    """`ax`, or the current axes."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.gca()


def need(data: pd.DataFrame, columns: Iterable[str]) -> None:
    """Refuse a table without some columns.

    Raises
    ------
    MissingInputError
        Naming them, and those that are there.
    """
    if missing := [name for name in dict.fromkeys(columns) if name not in data.columns]:
        raise MissingInputError(f"data: expected the columns {missing}, got {list(data.columns)}")


def array(x: Any) -> NDArray[Any]:
    """An array from an array, a list, an image of pillow or a tensor, on any device.

    Examples
    --------
    >>> array([[1, 2]]).shape
    (1, 2)
    """
    if hasattr(x, "detach"):  # a tensor, told without importing torch
        x = x.detach().cpu()
        x = x.float() if str(x.dtype) == "torch.bfloat16" else x  # NumPy has none
        return np.asarray(x.numpy())
    return np.asarray(x)


def numbers(name: str, x: Any, ndim: int) -> NDArray[np.float64]:
    """A float array of `ndim` axes.

    Raises
    ------
    DTypeError
        If it holds no numbers.
    ShapeError
        If it has another number of axes, or no entry.
    """
    values = array(x)
    if values.dtype.kind not in "biuf":
        raise DTypeError(f"{name}: expected numbers, got dtype {values.dtype}")
    if values.ndim != ndim or not values.size:
        raise ShapeError(f"{name}: expected {ndim} axes with entries, got shape {values.shape}")
    return values.astype(np.float64)


def mask(kept: Any, n: int) -> NDArray[np.bool_]:
    """Which of `n` tokens are kept: of a `Selection`, a boolean mask, or indices.

    Raises
    ------
    ShapeError
        If it is about another number of tokens, or an index is out of range.
    DTypeError
        If it holds neither booleans nor whole numbers.

    Examples
    --------
    >>> mask([2, 0], 4).tolist(), mask([True, False], 2).tolist()
    ([True, False, True, False], [True, False])
    """
    of = getattr(kept, "n_v", n)
    if of != n:
        raise ShapeError(f"kept: expected a selection among {n} tokens, got one among {of}")
    picked = indices(kept)
    if picked.size and not 0 <= picked.min() <= picked.max() < n:
        raise ShapeError(
            f"kept: expected indices in 0..{n - 1}, got {picked.min()}..{picked.max()}"
        )
    found = np.zeros(n, dtype=bool)
    found[picked] = True
    if (size := _length_of_mask(kept)) not in (None, n):
        raise ShapeError(f"kept: expected a mask of {n} tokens, got one of {size}")
    return found


def indices(kept: Any) -> NDArray[np.int64]:
    """Kept tokens in the order given; of a boolean mask in raster order.

    Raises
    ------
    ShapeError, DTypeError
    """
    values = array(_given(kept))
    if values.ndim != 1:
        raise ShapeError(f"kept: expected one axis, got shape {values.shape}")
    if not values.size:
        return np.empty(0, dtype=np.int64)
    if values.dtype == bool:
        return np.flatnonzero(values)
    if values.dtype.kind not in "iu":
        raise DTypeError(f"kept: expected booleans or indices, got dtype {values.dtype}")
    return values.astype(np.int64)


def _given(kept: Any) -> Any:
    """The indices of a `Selection`; what is none as it is (tensors have `indices` too)."""
    return kept.indices if hasattr(kept, "n_v") else kept


def _length_of_mask(kept: Any) -> int | None:
    values = array(_given(kept))
    return len(values) if values.dtype == bool else None


def picture(image: Any) -> NDArray[np.uint8]:
    """An image (height, width, 3), or a video's frames (frames, height, width, 3), as uint8.

    Raises
    ------
    ShapeError
        If it has another shape.
    DTypeError
        If it holds neither bytes nor floats.
    ParameterError
        If floats lie outside [0, 1].

    Examples
    --------
    >>> picture([[[0.0, 0.5, 1.0]]]).tolist()
    [[[0, 128, 255]]]
    """
    if hasattr(image, "convert"):  # pillow: palettes, gray and transparency included
        image = image.convert("RGB")
    pixels = array(image)
    if pixels.ndim not in (3, 4) or pixels.shape[-1] != 3 or not pixels.size:
        raise ShapeError(
            f"image: expected (height, width, 3) or (frames, height, width, 3), got {pixels.shape}"
        )
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind != "f":
        raise DTypeError(f"image: expected uint8 or floats in [0, 1], got dtype {pixels.dtype}")
    if not (pixels.min() >= 0 and pixels.max() <= 1):
        raise ParameterError(
            f"image: expected floats in [0, 1], got {pixels.min():g}..{pixels.max():g}"
        )
    return np.rint(255 * pixels).astype(np.uint8)
