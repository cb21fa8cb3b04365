"""Cosine similarity over temperature: the logits of every conditional."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from ..checks import check_nonzero_rows, check_pair, check_temperature
from ..errors import ParameterError
from .products import row_products

ZERO_NORM = ("error", "uninformative")
NO_NORMS: Mapping[str, Tensor] = MappingProxyType({})
"""Norms of inputs by name, where none are known."""


def unit_rows(
    name: str,
    x: Tensor,
    *,
    zero_norm: str = "error",
    mask: Tensor | None = None,
    norm: Tensor | None = None,
) -> Tensor:
    """Rows of `x` scaled to norm 1; zero rows are an error, or stay zero if "uninformative".

    Rows whose squares might overflow or underflow are first divided by their largest entry. Rows
    hidden by `mask` become zero, whatever stands in them. `norm` is what `ordinary_norms` gives,
    where it is known.

    Raises
    ------
    ParameterError
        If `zero_norm` is neither "error" nor "uninformative".
    ZeroNormError
        If it is "error" and a row that is not hidden is zero.

    Examples
    --------
    >>> unit_rows("visual", torch.tensor([[3e30, 4e30], [0.0, 0.0]]), zero_norm="uninformative")
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    if zero_norm not in ZERO_NORM:
        raise ParameterError(f"zero_norm: expected one of {list(ZERO_NORM)}, got {zero_norm!r}")
    if mask is not None:
        x, norm = x.masked_fill(~mask.unsqueeze(-1), 0.0), None
    if norm is None:
        norm = ordinary_norms(x)
    if norm is not None:
        return x / norm.unsqueeze(-1)
    if zero_norm == "error":
        check_nonzero_rows(name, x, mask=mask)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    low, high = _ordinary(x.dtype)
    safe = (norm > low) & (norm < high)
    unit = x / torch.where(safe, norm, 1.0)
    extreme = ~safe.squeeze(-1)
    return unit.index_put((extreme,), _extreme_rows(x[extreme]))


def ordinary_norms(x: Tensor) -> Tensor | None:
    """Norms (...) of rows whose squares are sure not to overflow or underflow; None if one is not.

    So there are norms only if all numbers are finite and no row is zero.

    Examples
    --------
    >>> ordinary_norms(torch.tensor([[3.0, 4.0]])), ordinary_norms(torch.tensor([[0.0], [1.0]]))
    (tensor([5.]), None)
    """
    norm = torch.linalg.vector_norm(x, dim=-1)
    if not norm.numel():
        return norm
    low, high = _ordinary(x.dtype)
    least, most = norm.detach().aminmax()
    return norm if least.item() > low and most.item() < high else None


def _ordinary(dtype: torch.dtype) -> tuple[float, float]:
    """Between which numbers a norm is ordinary."""
    limits = torch.finfo(dtype)
    return 1e4 * limits.tiny**0.5, limits.max**0.5


def unit_products(
    name: str, x: Tensor, y: Tensor, *, zero_norm: str = "error", norm: Tensor | None = None
) -> Tensor:
    """Products of the rows of `x`, scaled to norm 1, with those of `y`, without a copy of `x`.

    Parameters
    ----------
    x, y : (b, n_x, d), (b, n_y, d)
    zero_norm : as in `unit_rows`
    norm : (b, n_x), `ordinary_norms` of x where they are known

    Returns
    -------
    (b, n_x, n_y)

    Raises
    ------
    ParameterError, ZeroNormError
        As `unit_rows`.

    Examples
    --------
    >>> unit_products("x", torch.tensor([[[3.0, 4.0]]]), torch.tensor([[[1.0, 0.0]]]))
    tensor([[[0.6000]]])
    """
    if norm is None:
        norm = ordinary_norms(x)
    if norm is None or not x.is_cpu:
        return row_products(unit_rows(name, x, zero_norm=zero_norm, norm=norm), y)
    return row_products(x, y) / norm.unsqueeze(-1)


def unit_cosines(
    visual: Tensor, text: Tensor, *, zero_norm: str, norms: Mapping[str, Tensor] = NO_NORMS
) -> Tensor:
    """Cosine (b, n_v, n_t) of every token with every word, `unit_products` with unit words.

    Examples
    --------
    >>> v, t = torch.tensor([[[3.0, 4.0]]]), torch.tensor([[[2.0, 0.0]]])
    >>> unit_cosines(v, t, zero_norm="error")
    tensor([[[0.6000]]])
    """
    words = unit_rows("text", text, zero_norm=zero_norm, norm=norms.get("text"))
    return unit_products("visual", visual, words, zero_norm=zero_norm, norm=norms.get("visual"))


def _extreme_rows(x: Tensor) -> Tensor:
    """Rows (n, d) of any size scaled to norm 1; zero rows stay zero."""
    largest = x.abs().amax(-1, keepdim=True)
    scaled = x / torch.where(largest > 0, largest, 1.0)
    norm = scaled.norm(dim=-1, keepdim=True)
    return scaled / torch.where(norm > 0, norm, 1.0)


def cosine_similarity(x: Tensor, y: Tensor, *, zero_norm: str = "error") -> Tensor:
    """Cosine of every row of `x` with every row of `y`.

    Parameters
    ----------
    x : (..., n_x, d)
    y : (..., n_y, d)
    zero_norm : {"error", "uninformative"}
        What a zero row is: an error, or a row with cosine 0 with everything.

    Returns
    -------
    (..., n_x, n_y)

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError
        If they are not floating tensors of one dtype and one dimension d, with a row each.
    ZeroNormError
        If a row is zero and `zero_norm` is "error".

    Examples
    --------
    >>> cosine_similarity(torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    tensor([[1., 0.]])
    """
    check_pair(("x", "y"), x, y)
    a = unit_rows("x", x, zero_norm=zero_norm)
    b = unit_rows("y", y, zero_norm=zero_norm)
    return a @ b.transpose(-1, -2)


def similarity(x: Tensor, y: Tensor, *, temperature: float, zero_norm: str = "error") -> Tensor:
    r"""Cosine similarity over temperature, the logits of every conditional.

    .. math:: \rho_{ij} = \tilde v_i^\top \tilde x_j / \tau

    Source: Eq. (15).

    Parameters
    ----------
    x, y : (..., n_x, d), (..., n_y, d)
    temperature : float > 0
    zero_norm : {"error", "uninformative"}

    Returns
    -------
    (..., n_x, n_y)

    Raises
    ------
    ParameterError
        If the temperature is not positive.
    DTypeError, ShapeError, EmptyInputError, ZeroNormError
        As `cosine_similarity`.

    Examples
    --------
    >>> similarity(torch.eye(2), torch.eye(2), temperature=0.1)
    tensor([[10.,  0.],
            [ 0., 10.]])
    """
    return cosine_similarity(x, y, zero_norm=zero_norm) / check_temperature(temperature)
