"""Attention: rank patches by the attention that other patches pay to them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor

from ..errors import MissingInputError, ParameterError, ShapeError
from .columns import columns_of
from .engine import Picks, relative_slack, top_picks
from .inputs import Shapes

ORDERS = ("grouped", "raster")
NO_SUMS: Mapping[str, Tensor] = MappingProxyType({})


def attention(
    patch_attention: Tensor | None = None,
    received_attention: Tensor | None = None,
    *,
    budget: int,
    visual: Tensor | None = None,
    grid: tuple[int, ...] | None = None,
    include_diagonal: bool = False,
    merge_size: int = 1,
    patch_order: str = "grouped",
    sums: Mapping[str, Tensor] = NO_SUMS,
) -> Picks:
    """The tokens that receive most attention: column sums of the head mean.

    Eq. (5) leaves out what a patch pays to itself; the public ports keep it (`include_diagonal`).
    Where an encoder merges m × m patches into one token (m = `merge_size`), attention is between
    the m² n_v patches before that, and a token's score is the mean over its own.

    Source: Eq. (5), right; yang2025visionzip.

    Parameters
    ----------
    patch_attention : (b, heads, n_p, n_p), row attends to column, n_p = m² n_v
    received_attention : (b, n_p), in its place: its column sums, or any other sums of attention
        that tokens receive, such as from the class token; looked at if there is no matrix
    visual : (b, n_v, d), needed with `merge_size` above 1: says how many tokens there are
    grid : (rows, cols[, frames]) of the tokens, for the order "raster"
    merge_size : 1, or 2 for a merger of 2 × 2 patches, or more
    patch_order : "grouped", the merger's own: patches i·m² to i·m² + m² − 1 are those of token i;
        or "raster": row by row over the (rows·m, cols·m) patches of each frame

    Raises
    ------
    MissingInputError
        If the order "raster" is without `grid`, or `include_diagonal` without the matrix.
    ParameterError
        If `merge_size` is no positive integer, or the order is another.
    ShapeError
        If there are not m² n_v patches, or not as many tokens as the grid has.

    Examples
    --------
    >>> import torch
    >>> heads = torch.tensor([[[[0.9, 0.1], [0.3, 0.7]]]])
    >>> attention(heads, budget=1).indices, attention(heads, budget=1).gains
    (tensor([[0]]), tensor([[0.3000]]))
    """
    size = check_merge_size(merge_size)
    if patch_order not in ORDERS:
        raise ParameterError(f"patch_order: expected one of {ORDERS}, got {patch_order!r}")
    scores = received_by(
        patch_attention, received_attention, include_diagonal=include_diagonal, sums=sums
    )
    if size > 1:
        n_v = scores.shape[1] // size**2 if visual is None else visual.shape[1]
        scores = merged_scores(scores, n_v, size, grid if patch_order == "raster" else ())
    return top_picks(scores, budget, slack=relative_slack(scores))


def received_by(
    patch_attention: Tensor | None,
    received_attention: Tensor | None,
    *,
    include_diagonal: bool = False,
    sums: Mapping[str, Tensor] = NO_SUMS,
) -> Tensor:
    """Attention (b, n_v) that every token receives: summed up, here or in `sums`, or as it is
    given.

    Source: Eq. (5).

    Raises
    ------
    MissingInputError
        If neither is given, or the diagonal is wanted and only sums are.
    """
    if patch_attention is not None:
        return column_sums(
            patch_attention, include_diagonal=include_diagonal, sums=sums.get("patch_attention")
        )
    if received_attention is None:
        raise MissingInputError("attention: needs patch_attention or received_attention")
    if include_diagonal:
        raise MissingInputError(
            "include_diagonal: needs patch_attention; received_attention is without the diagonal"
        )
    return received_attention


def column_sums(
    patch_attention: Tensor, *, include_diagonal: bool = False, sums: Tensor | None = None
) -> Tensor:
    """Attention (b, n_v) that every token receives from the others, mean over heads; `sums`
    (b, heads, n_v) are its column sums where they are known.

    Source: Eq. (5), right.

    Examples
    --------
    >>> import torch
    >>> column_sums(torch.tensor([[[[0.9, 0.1], [0.3, 0.7]]]]))
    tensor([[0.3000, 0.1000]])
    """
    received = (columns_of(patch_attention) if sums is None else sums).mean(1)
    if include_diagonal:
        return received
    return received - patch_attention.diagonal(dim1=2, dim2=3).mean(1)


def merged_scores(
    scores: Tensor, n_v: int, merge_size: int, grid: tuple[int, ...] | None = ()
) -> Tensor:
    """Mean score (b, n_v) of the `merge_size`² patches of every token.

    Source: yang2025visionzip (its ports to encoders with a merger).

    Parameters
    ----------
    scores : (b, merge_size² n_v)
    grid : of the tokens, if patches are in raster order; empty if they are grouped by token

    Raises
    ------
    MissingInputError, ShapeError

    Examples
    --------
    >>> import torch
    >>> patches = torch.tensor([[1.0, 3.0, 5.0, 7.0, 1.0, 3.0, 5.0, 7.0]])  # two rows of four
    >>> merged_scores(patches, 2, 2), merged_scores(patches, 2, 2, (1, 2))
    (tensor([[4., 4.]]), tensor([[2., 6.]]))
    """
    b, n_p = scores.shape
    m = merge_size
    if n_p != m**2 * n_v:
        raise ShapeError(
            f"patch_attention: expected {m**2} · {n_v} = {m**2 * n_v} unmerged patches, got {n_p}"
        )
    if grid is None:
        raise MissingInputError("patch_order 'raster' needs 'grid', which was not given")
    if not grid:
        return scores.view(b, n_v, m**2).mean(-1)
    if len(grid) not in (2, 3) or min(grid) < 1:
        raise ShapeError(f"grid: expected (rows, cols[, frames]), got {grid}")
    rows, cols, frames = (*grid, 1)[:3]
    if rows * cols * frames != n_v:
        raise ShapeError(f"grid: expected a product of n_v = {n_v}, got {grid}")
    return scores.view(b, frames, rows, m, cols, m).mean((3, 5)).flatten(1)


def check_merge_size(merge_size: int) -> int:
    """`merge_size` if it is a positive integer; ParameterError otherwise.

    Source: yang2025visionzip (its ports to encoders with a merger).
    """
    if isinstance(merge_size, bool) or not isinstance(merge_size, int) or merge_size < 1:
        raise ParameterError(f"merge_size: expected a positive integer, got {merge_size!r}")
    return merge_size


def attention_needs(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The matrix; with a merger also `visual`, of which the number of tokens comes.

    Source: Eq. (5), right.
    """
    return (
        "patch_attention",
        *(("visual",) if check_merge_size(options["merge_size"]) > 1 else ()),
    )


def sums_do(options: Mapping[str, Any]) -> Mapping[str, str]:
    """Without the diagonal, column sums do in place of the matrix. Source: Eq. (5), right."""
    return {} if options["include_diagonal"] else {"patch_attention": "received_attention"}


def unmerged_axes(options: Mapping[str, Any]) -> Shapes:
    """With a merger, attention is between patches and not tokens. Source: Eq. (5), right."""
    merges = check_merge_size(options["merge_size"]) > 1
    if not merges:
        return {}
    return {"patch_attention": ("heads", "n_p", "n_p"), "received_attention": ("n_p",)}
