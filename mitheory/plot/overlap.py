"""Which methods keep the same tokens: a heat map of their agreement, and the tree of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from numpy.typing import NDArray

from ..errors import EmptyInputError, MissingInputError, ParameterError, ShapeError
from . import inputs
from .style import GRAY

if TYPE_CHECKING:
    import pandas as pd


def kept_overlap(kept: Mapping[str, Sequence[Any]], *, n: int | None = None) -> pd.DataFrame:
    """Mean Jaccard overlap of what every two methods keep, image by image.

    Parameters
    ----------
    kept : by method, what it keeps of each image: `Selection`, mask or indices; the same images
        in the same order for all
    n : tokens of each image; without, as the selections say

    Returns
    -------
    DataFrame
        (methods, methods), 1 on the diagonal.

    Raises
    ------
    ShapeError
        If two methods have different numbers of images.
    EmptyInputError
        If there is no method, no image, or a pair of empty sets, whose overlap is undefined.
    MissingInputError
        If there are no selections and no `n`.

    Examples
    --------
    >>> table = kept_overlap({"a": [[0, 1], [2, 3]], "b": [[1, 2], [2, 3]]}, n=4)
    >>> round(float(table.loc["a", "b"]), 3)
    0.667
    """
    import pandas as pd

    counts = {name: len(sets) for name, sets in kept.items()}
    if not counts or not min(counts.values()):
        raise EmptyInputError(f"kept: expected sets of some images for each method, got {counts}")
    if len(set(counts.values())) > 1:
        raise ShapeError(f"kept: expected as many images for each method, got {counts}")
    masks = {name: [inputs.mask(s, _among(s, n)) for s in sets] for name, sets in kept.items()}
    found = np.eye(len(masks))
    names = list(masks)
    for i, first in enumerate(names):
        for j, second in enumerate(names[:i]):
            pairs = zip(masks[first], masks[second], strict=True)
            found[i, j] = found[j, i] = np.mean([_jaccard(a, b) for a, b in pairs])
    return pd.DataFrame(found, index=names, columns=names)


def _among(kept: Any, n: int | None) -> int:
    known = getattr(kept, "n_v", n)
    if known is None:
        raise MissingInputError("n: expected the number of tokens, or selections, which know it")
    return int(known)


def _jaccard(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    union = int((a | b).sum())
    if not union:
        raise EmptyInputError("kept: expected a token in one of two sets, got two empty ones")
    return float((a & b).sum() / union)


def agreement(
    data: pd.DataFrame,
    *,
    x: str = "first",
    y: str = "second",
    value: str = "estimate",
    cluster: bool = True,
    labels: Mapping[str, str] | None = None,
    annot: bool = True,
    cmap: str = "RdBu",
    cbar: bool = False,
    size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how far every two methods agree; in per cent in every cell.

    Parameters
    ----------
    data : square, as `kept_overlap` gives it, or long with a row for each pair
    x, y, value : columns of a long table: the two methods, and their agreement in −1..1
    cluster : order the methods so that neighbors agree, by average linkage of 1 − agreement
    labels : by method, what is written; the names without
    annot : whether the numbers are written
    cmap : with white in its middle, which is 0
    cbar : whether there is a color bar
    size : of the letters, in points
    ax : to draw on; the current axes without

    Returns
    -------
    Axes

    Raises
    ------
    MissingInputError
        If a long table lacks a column, or a pair.
    ShapeError
        If rows and columns of a square table are not the same methods.
    ParameterError
        If an agreement is outside −1..1.

    Examples
    --------
    >>> import matplotlib.figure, pandas as pd
    >>> ax = matplotlib.figure.Figure().subplots()
    >>> pair = pd.DataFrame([{"first": "random", "second": "fastv", "estimate": 0.2}])
    >>> ax = agreement(pair, ax=ax)
    >>> [text.get_text() for text in ax.texts]
    ['', '20', '20', '']
    """
    square = square_of(data, x=x, y=y, value=value)
    names = clustered(square) if cluster else list(square.index)
    values = square.loc[names, names].to_numpy(float)
    if not (np.abs(values) <= 1 + 1e-9).all():
        raise ParameterError("agreement: expected numbers in -1..1, got others or NaN")
    ax = inputs.axes(ax)
    drawn = ax.imshow(values, cmap=cmap, norm=TwoSlopeNorm(0.0, vmin=-1.0, vmax=1.0), aspect="auto")
    for (i, j), share in np.ndenumerate(values if annot else np.empty((0, 0))):
        written = "" if i == j else f"{100 * share:.0f}".replace("-0", "0").replace("-", "−")
        color = "white" if abs(share) > 0.6 else "#222222"
        small = None if size is None else 0.75 * size
        ax.text(j, i, written, ha="center", va="center", fontsize=small, color=color)
    text = [(labels or {}).get(name, name) for name in names]
    ax.set_yticks(range(len(names)), text, fontsize=size)
    ax.set_xticks(range(len(names)), text, fontsize=size, rotation=90)
    ax.grid(visible=False)
    ax.tick_params(length=0)
    if cbar:
        bar = ax.figure.colorbar(drawn, ax=ax, fraction=0.046, pad=0.03)
        bar.outline.set_visible(False)
        bar.set_label("agreement")
    return ax


def agreement_tree(
    data: pd.DataFrame,
    *,
    x: str = "first",
    y: str = "second",
    value: str = "estimate",
    ax: Axes | None = None,
) -> Axes:
    """Draw the tree behind the order of `agreement`: at which agreement methods are joined.

    Drawn over the heat map, its leaves stand at the columns.

    Parameters
    ----------
    data, x, y, value : as for `agreement`
    ax : to draw on; the current axes without

    Returns
    -------
    Axes

    Raises
    ------
    MissingInputError, ShapeError
        As `agreement`.
    ParameterError
        If there are fewer than two methods.

    Examples
    --------
    Two methods that share 60% of what they keep are joined there.

    >>> import matplotlib.figure
    >>> import pandas as pd
    >>> ax = matplotlib.figure.Figure().subplots()
    >>> shared = pd.DataFrame([[1.0, 0.6], [0.6, 1.0]], index=["a", "b"], columns=["a", "b"])
    >>> (joint,) = agreement_tree(shared, ax=ax).lines
    >>> joint.get_ydata().round().tolist()
    [100.0, 60.0, 60.0, 100.0]
    """
    from scipy.cluster.hierarchy import dendrogram

    square = square_of(data, x=x, y=y, value=value)
    if len(square) < 2:
        raise ParameterError(f"data: expected two methods or more, got {list(square.index)}")
    drawn = dendrogram(tree(square.to_numpy(float)), no_plot=True)
    ax = inputs.axes(ax)
    for across, height in zip(drawn["icoord"], drawn["dcoord"], strict=True):
        up = 100 * (1 - np.asarray(height))
        ax.plot(np.asarray(across) / 10 - 0.5, up, color=GRAY, lw=0.8)
    ax.set_xlim(-0.5, len(square) - 0.5)
    ax.invert_yaxis()
    ax.set_ylabel("joined at (%)")
    ax.set_xticks([])
    ax.grid(visible=False)
    ax.spines["bottom"].set_visible(False)
    return ax


def square_of(
    data: pd.DataFrame, *, x: str = "first", y: str = "second", value: str = "estimate"
) -> pd.DataFrame:
    """Agreement of every two methods (m, m), 1 on the diagonal, from a square or a long table.

    Raises
    ------
    MissingInputError
        If a long table lacks a column, or a pair.
    ShapeError
        If rows and columns of a square table are not the same methods.
    """
    import pandas as pd

    if x not in data.columns:
        if list(data.index) != list(data.columns):
            raise ShapeError(
                f"data: expected a column {x!r}, or the same methods as rows and columns, got "
                f"{list(data.columns)}"
            )
        return data
    inputs.need(data, (y, value))
    names = list(dict.fromkeys([*data[x], *data[y]]))
    found = pd.DataFrame(np.nan, index=names, columns=names)
    for first, second, share in zip(data[x], data[y], data[value], strict=True):
        found.loc[first, second] = found.loc[second, first] = float(cast(float, share))
    for name in names:
        found.loc[name, name] = 1.0
    if gaps := int(found.isna().to_numpy().sum()) // 2:
        raise MissingInputError(f"data: expected a row for every pair, {gaps} are missing")
    return found


def tree(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average linkage of 1 − agreement; leaves ordered so that neighbors agree."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    distance = squareform(1 - values, checks=False)
    return np.asarray(linkage(distance, "average", optimal_ordering=True), dtype=np.float64)


def clustered(square: pd.DataFrame) -> list[str]:
    """The methods in the order of the tree; fewer than two as they are."""
    from scipy.cluster.hierarchy import leaves_list

    names = list(square.index)
    if len(names) < 2:
        return names
    return [names[i] for i in leaves_list(tree(square.to_numpy(float)))]
