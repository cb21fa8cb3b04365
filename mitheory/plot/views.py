"""Views: where on the picture every visual token stands.

A model sees one image on one grid; an image on a grid that follows its shape; an image twice, whole
and in tiles; or the frames of a video. Each of these is a list of views: a grid of token indices,
and the part of the picture that the grid covers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DTypeError, ParameterError, ShapeError

WHOLE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class View:
    """A grid of visual tokens over a part of a picture.

    Attributes
    ----------
    tokens : (rows, columns) int
        Index of the token in every cell, −1 where there is none.
    box : (left, top, right, bottom)
        The part of the picture that the grid covers, in shares of its width and height.
    frame : int
        Of a video; 0 of an image.
    label : str
        Written over it where several views are drawn.

    Raises
    ------
    ShapeError
        If `tokens` is no grid, or a token stands in two cells.
    ParameterError
        If the box is empty or leaves the picture.

    Examples
    --------
    The right half of a picture as a grid of one row:

    >>> View(np.array([[4, 5]]), box=(0.5, 0.0, 1.0, 1.0)).shape
    (1, 2)
    """

    tokens: NDArray[np.int64]
    box: tuple[float, float, float, float] = WHOLE
    frame: int = 0
    label: str = ""

    def __post_init__(self) -> None:
        tokens = np.asarray(self.tokens)
        if tokens.ndim != 2 or not tokens.size or tokens.dtype.kind not in "iu":
            raise ShapeError(
                f"tokens: expected (rows, columns) of indices, got {tokens.shape} {tokens.dtype}"
            )
        present = tokens[tokens >= 0]
        if len(np.unique(present)) != len(present):
            raise ShapeError("tokens: expected every token in one cell, got one in two")
        left, top, right, bottom = self.box
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise ParameterError(
                f"box: expected left < right, top < bottom in 0..1, got {self.box}"
            )
        object.__setattr__(self, "tokens", tokens.astype(np.int64))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.tokens.shape
        return rows, columns

    def cells(self, values: NDArray[Any], fill: Any) -> NDArray[Any]:
        """Values (n,) of the tokens in their cells (rows, columns), `fill` where there is none."""
        return np.where(self.tokens >= 0, values[self.tokens], fill)

    def crop(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The part of the picture, or of the video's frame, that the grid covers.

        Raises
        ------
        ParameterError
            If there is no such frame, or the part has no pixel.
        """
        frames = image if image.ndim == 4 else image[None]
        if self.frame >= len(frames):
            raise ParameterError(f"frame: expected one of {len(frames)}, got {self.frame}")
        shown = frames[self.frame]
        height, width = shown.shape[:2]
        left, top, right, bottom = self.box
        rows = slice(round(top * height), round(bottom * height))
        columns = slice(round(left * width), round(right * width))
        part = shown[rows, columns]
        if not part.size:
            raise ParameterError(
                f"box: expected a part with pixels, got {self.box} of {shown.shape}"
            )
        return part


def views_of(grid: Sequence[int], *, seconds: Sequence[float] | None = None) -> tuple[View, ...]:
    """The views of a plain grid: one for an image, one for each frame of a video.

    Parameters
    ----------
    grid : (rows, columns) or (rows, columns, frames), tokens in raster order, frames outermost
    seconds : of each frame, to be written over it; the frames are numbered without

    Raises
    ------
    ShapeError
        If the grid has another number of axes, or there are not as many seconds as frames.
    DTypeError
        If a size is not a positive whole number.

    Examples
    --------
    >>> [view.tokens.tolist() for view in views_of((1, 2, 2))]
    [[[0, 1]], [[2, 3]]]
    """
    sizes = tuple(grid)
    if len(sizes) not in (2, 3):
        raise ShapeError(f"grid: expected (rows, columns[, frames]), got {sizes}")
    if any(isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1 for n in sizes):
        raise DTypeError(f"grid: expected positive whole numbers, got {sizes}")
    rows, columns, frames = (*sizes, 1)[:3]
    if seconds is not None and len(seconds) != frames:
        raise ShapeError(f"seconds: expected one for each of {frames} frames, got {len(seconds)}")
    tokens = np.arange(math.prod(sizes)).reshape(frames, rows, columns)
    labels = [f"{s:g} s" for s in seconds] if seconds is not None else _numbers(frames)
    return tuple(
        View(cells, frame=i, label=label)
        for i, (cells, label) in enumerate(zip(tokens, labels, strict=True))
    )


def views_at(coords: Any) -> tuple[View, ...]:
    """The views of tokens that stand anywhere: an image whole and in tiles, several images, frames.

    Each view is taken to cover its whole picture; pictures are numbered over blocks and frames, as
    they stand in the image that is drawn.

    Parameters
    ----------
    coords : (n, 5) whole numbers: block (image or video of the prompt), view, frame, row and column
        of each token; negative where it stands nowhere, such as at the end of a line

    Returns
    -------
    tuple of View

    Raises
    ------
    ShapeError
        If it has another shape, or two tokens stand in one place.

    Examples
    --------
    One image whole, as one token, and in two columns whose line ends with a token of its own:

    >>> whole, tiles = views_at(
    ...     [[0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 1], [0, 1, 0, 0, -1]]
    ... )
    >>> whole.tokens.tolist(), tiles.tokens.tolist(), tiles.label
    ([[0]], [[1, 2]], 'view 2')
    """
    places = np.asarray(coords)
    if places.ndim != 2 or places.shape[1] != 5 or places.dtype.kind not in "iu":
        raise ShapeError(f"coords: expected (n, 5) whole numbers, got {places.shape}")
    standing = (places >= 0).all(axis=1)
    pictures = _ranks(places[standing][:, [0, 2]])
    keys = list(dict.fromkeys(map(tuple, places[standing][:, :3].tolist())))
    found = []
    for key in keys:
        own = np.flatnonzero(standing & (places[:, :3] == key).all(axis=1))
        rows, columns = places[own, 3], places[own, 4]
        tokens = np.full((rows.max() + 1, columns.max() + 1), -1)
        tokens[rows, columns] = own
        if int((tokens >= 0).sum()) != len(own):
            raise ShapeError(f"coords: expected one token in every place, got two in view {key}")
        frame = pictures[key[0], key[2]]
        found.append(View(tokens, frame=frame, label=_label(key, keys)))
    return tuple(found)


def _ranks(pairs: NDArray[np.int64]) -> dict[tuple[int, int], int]:
    """The place of every (block, frame) among all of them."""
    ordered = sorted({(int(block), int(frame)) for block, frame in pairs})
    return {pair: i for i, pair in enumerate(ordered)}


def _label(key: tuple[int, ...], keys: Sequence[tuple[int, ...]]) -> str:
    """Of block, view and frame those that there are several of."""
    names = ("image", "view", "frame")
    said = [
        f"{name} {own + 1}"
        for name, own, seen in zip(names, key, zip(*keys, strict=True), strict=True)
        if len(set(seen)) > 1
    ]
    return ", ".join(said)


def _numbers(n: int) -> list[str]:
    return [""] if n == 1 else [f"frame {i + 1}" for i in range(n)]


def resolved(
    n: int, grid: Sequence[int] | None, views: Sequence[View] | None, frames: int = 0
) -> tuple[View, ...]:
    """The views of `n` tokens from a grid or from views, whichever is given.

    `frames` is the number of frames of the video that is drawn, 0 without one. A video whose grid
    has fewer frames than the video (several frames to a token) shows the first frame of each run.

    Raises
    ------
    ParameterError
        If both are given, or neither; or the frames of the video do not divide among the grid's.
    ShapeError
        If they hold another number of tokens, or a token twice.
    """
    if (grid is None) == (views is None):
        raise ParameterError("grid, views: expected one of the two, got both or neither")
    found = tuple(views) if views is not None else views_of(grid or ())
    if grid is not None and math.prod(grid) != n:
        raise ShapeError(f"grid: expected {n} cells, one for each token, got {tuple(grid)}")
    placed = np.concatenate([view.tokens.ravel() for view in found])
    placed = placed[placed >= 0]
    if len(placed) and placed.max() >= n:
        raise ShapeError(f"views: expected tokens in 0..{n - 1}, got {placed.max()}")
    if len(np.unique(placed)) != len(placed):
        raise ShapeError("views: expected every token in one cell, got one in two")
    if grid is not None and frames > len(found):
        return _strided(found, frames)
    return found


def _strided(views: tuple[View, ...], frames: int) -> tuple[View, ...]:
    """The views over the first frame of each run of frames that share their tokens."""
    run, left = divmod(frames, len(views))
    if left:
        raise ParameterError(
            f"image: expected a multiple of the grid's {len(views)} frames, got {frames}"
        )
    return tuple(
        View(view.tokens, view.box, i * run, f"frame {i * run + 1}") for i, view in enumerate(views)
    )


@dataclass(frozen=True)
class Cell:
    """Where a view is drawn on the sheet: (left, right, bottom, top), as `imshow` takes it."""

    view: View
    extent: tuple[float, float, float, float]


def sheet(views: Sequence[View], aspects: Sequence[float], columns: int | None) -> list[Cell]:
    """Places of views side by side, row by row; each cell is one unit wide, y running down.

    Parameters
    ----------
    views, aspects : the views, and height over width of what each shows
    columns : of the sheet; as square as possible without

    Raises
    ------
    ParameterError
        If `columns` is not positive.
    """
    if columns is not None and columns < 1:
        raise ParameterError(f"columns: expected a positive number, got {columns}")
    tallest = max(aspects)
    wide = columns or math.ceil(math.sqrt(len(views) * tallest))
    gap_x, gap_y = 0.05, 0.05 + 0.16 * any(view.label for view in views)
    cells = []
    for i, (view, aspect) in enumerate(zip(views, aspects, strict=True)):
        row, column = divmod(i, min(wide, len(views)))
        left, top = column * (1 + gap_x), row * (tallest + gap_y)
        cells.append(Cell(view, (left, left + 1, top + aspect, top)))
    return cells
