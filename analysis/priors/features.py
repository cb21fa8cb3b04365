"""What a learned prior may see of a visual token: its place and its content, never the question."""

from __future__ import annotations

import torch
from torch import Tensor

from mitheory.distributions import unit_rows
from mitheory.errors import ShapeError

TEMPERATURE = 0.1
"""Of the kernel whose row sums are a feature: the τ of the paper."""

OF_POSITION = ("row", "column", "row²", "column²", "row·column", "distance to center")
OF_CONTENT = ("log norm", "log degree", "cosine with the mean")


def names(d: int) -> tuple[str, ...]:
    """Names of the features of tokens of width d.

    Examples
    --------
    >>> names(2)[-3:]
    ('cosine with the mean', 'unit 0', 'unit 1')
    """
    return (*OF_POSITION, *OF_CONTENT, *(f"unit {k}" for k in range(d)))


def features(visual: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Features of every token, of position and of content.

    Position: row and column as fractions of the sides, about the center, their products, and the
    distance from it. Content: log norm, log degree log Σ_j exp(cos_ij / τ) less log n_v, the cosine
    with the mean token of the image, and the unit vector.

    Parameters
    ----------
    visual : (b, n_v, d)
    grid : (rows, cols)

    Returns
    -------
    (b, n_v, 9 + d) float32

    Raises
    ------
    ShapeError
        If the grid has not two sides, or its product is not n_v.

    Examples
    --------
    >>> features(torch.eye(4)[None], (2, 2)).shape
    torch.Size([1, 4, 13])
    """
    n = visual.shape[-2]
    if len(grid) != 2 or grid[0] * grid[1] != n:
        raise ShapeError(f"grid: expected two sides whose product is n_v = {n}, got {grid}")
    x = visual.double()
    unit = unit_rows("visual", x)
    mean = unit_rows("visual", unit.mean(-2, keepdim=True), zero_norm="uninformative")
    degree = (unit @ unit.mT / TEMPERATURE).logsumexp(-1) - torch.tensor(n).double().log()
    content = [x.norm(dim=-1).log(), degree, (unit * mean).sum(-1)]
    place = positions(grid).expand(len(x), -1, -1)
    return torch.cat([place, torch.stack(content, -1), unit], -1).float()


def positions(grid: tuple[int, ...]) -> Tensor:
    """Features of position (n_v, 6) float64, in raster order.

    Examples
    --------
    >>> positions((1, 2))[:, 1]
    tensor([-0.2500,  0.2500], dtype=torch.float64)
    """
    rows, cols = ((torch.arange(side).double() + 0.5) / side - 0.5 for side in grid)
    row, col = (axis.flatten() for axis in torch.meshgrid(rows, cols, indexing="ij"))
    return torch.stack([row, col, row**2, col**2, row * col, (row**2 + col**2).sqrt()], -1)
