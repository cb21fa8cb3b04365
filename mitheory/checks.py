"""Checks of input, in one order: type, shape, finiteness, normalization, precondition."""

from __future__ import annotations

import math
import numbers

import torch
from torch import Tensor

from .errors import (
    BudgetError,
    DistributionError,
    DTypeError,
    EmptyInputError,
    NonFiniteError,
    ParameterError,
    ShapeError,
    ZeroNormError,
)
from .names import lookup as lookup  # where most look for it


def check_matrix(name: str, x: object, *, ndim: int | None = 2) -> Tensor:
    """`x` if it is a floating tensor of `ndim` axes, none of them empty; a typed error otherwise.

    With `ndim` None, two axes or more.

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError

    Examples
    --------
    >>> check_matrix("visual", torch.ones(3))
    Traceback (most recent call last):
    ...
    mitheory.errors.ShapeError: visual: expected 2 axes, got shape (3,)
    """
    if not isinstance(x, Tensor):
        raise DTypeError(f"{name}: expected a torch.Tensor, got {type(x).__name__}")
    if not x.is_floating_point():
        raise DTypeError(f"{name}: expected a floating-point tensor, got {x.dtype}")
    if x.ndim < 2 if ndim is None else x.ndim != ndim:
        axes = {None: "2 axes or more", 1: "1 axis"}.get(ndim, f"{ndim} axes")
        raise ShapeError(f"{name}: expected {axes}, got shape {tuple(x.shape)}")
    if 0 in x.shape:
        raise EmptyInputError(f"{name}: expected at least one entry, got shape {tuple(x.shape)}")
    return x


def check_pair(names: tuple[str, str], x: object, y: object) -> tuple[Tensor, Tensor]:
    """Two sets of vectors (..., n, d) if they have one dtype and one d; a typed error otherwise.

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError

    Examples
    --------
    >>> check_pair(("visual", "text"), torch.ones(4, 3), torch.ones(5, 2))
    Traceback (most recent call last):
    ...
    mitheory.errors.ShapeError: visual and text: expected one dimension d, got 3 and 2
    """
    a, b = (check_matrix(name, z, ndim=None) for name, z in zip(names, (x, y), strict=True))
    both = " and ".join(names)
    if a.dtype != b.dtype:
        raise DTypeError(f"{both}: expected one dtype, got {a.dtype} and {b.dtype}")
    if a.shape[-1] != b.shape[-1]:
        raise ShapeError(f"{both}: expected one dimension d, got {a.shape[-1]} and {b.shape[-1]}")
    return a, b


def check_mask(name: str, mask: Tensor | None, shape: tuple[int, ...]) -> Tensor | None:
    """`mask` if it is None or boolean of this shape with a True in every row; an error otherwise.

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError
    """
    if mask is None:
        return None
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        came = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise DTypeError(f"{name}: expected a boolean tensor, got {came}")
    if tuple(mask.shape) != tuple(shape):
        raise ShapeError(f"{name}: expected shape {tuple(shape)}, got {tuple(mask.shape)}")
    empty = ~mask.any(-1)
    if bool(empty.any()):
        place = tuple(int(i) for i in empty.nonzero()[0]) if empty.ndim else ()
        raise EmptyInputError(f"{name}: expected a True in every row, got none in row {place}")
    return mask


def check_finite(name: str, x: Tensor) -> Tensor:
    """`x` if it has no NaN and no infinity; NonFiniteError with the first bad place otherwise."""
    if is_surely_finite(x):
        return x
    bad = ~torch.isfinite(x)
    if bool(bad.any()):
        place = tuple(int(i) for i in bad.nonzero()[0])
        raise NonFiniteError(
            f"{name}: expected finite values, got {int(bad.sum())} that are not, "
            f"the first at {place}: {x[place].item()}"
        )
    return x


def is_surely_finite(x: Tensor) -> bool:
    """Whether the sum of `x` is finite, and with it every entry; it may overflow without one that
    is not.

    Examples
    --------
    >>> is_surely_finite(torch.ones(2)), is_surely_finite(torch.tensor([1.0, torch.inf]))
    (True, False)
    """
    return math.isfinite(x.detach().sum().item())


def check_nonzero_rows(name: str, x: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """`x` if no (unmasked) row is zero; ZeroNormError with the first such row otherwise."""
    if bool((torch.linalg.vector_norm(x, dim=-1) > 0).all()):
        return x
    zero = (x == 0).all(-1)  # a norm may underflow
    if mask is not None:
        zero = zero & mask
    if bool(zero.any()):
        place = tuple(int(i) for i in zero.nonzero()[0])
        raise ZeroNormError(
            f"{name}: expected rows of positive norm, got {int(zero.sum())} zero rows, the first "
            f"at {place}; zero_norm='uninformative' gives them cosine 0 with everything"
        )
    return x


def check_temperature(temperature: float, name: str = "temperature") -> float:
    """`temperature` if it is a positive finite number; ParameterError otherwise."""
    return _check_number(name, temperature, low=0.0, high=math.inf, open_low=True)


def check_relevance_weight(relevance_weight: float) -> float:
    """λ if it lies in [0, 1]; ParameterError otherwise."""
    return _check_number("relevance_weight", relevance_weight, low=0.0, high=1.0)


def check_share(name: str, value: float) -> float:
    """`value` if it lies in [0, 1]; ParameterError otherwise."""
    return _check_number(name, value, low=0.0, high=1.0)


def check_count(name: str, value: int, *, least: int = 0) -> int:
    """`value` if it is a whole number of at least `least`; ParameterError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ParameterError(f"{name}: expected a whole number of at least {least}, got {value!r}")
    return value


def check_finite_number(name: str, value: float) -> float:
    """`value` if it is a finite number; ParameterError otherwise."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise ParameterError(f"{name}: expected a finite number, got {value!r}")
    return float(value)


def check_flag(name: str, value: bool) -> bool:
    """`value` if it is True or False; ParameterError otherwise."""
    if not isinstance(value, bool):
        raise ParameterError(f"{name}: expected True or False, got {value!r}")
    return value


def _check_number(
    name: str, value: float, *, low: float, high: float, open_low: bool = False
) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ParameterError(f"{name}: expected a number, got {value!r}")
    inside = (value > low if open_low else value >= low) and value <= high and value != math.inf
    if not inside:
        bracket = "(" if open_low else "["
        upper = "inf)" if high == math.inf else f"{high}]"
        raise ParameterError(f"{name}: expected a number in {bracket}{low}, {upper}, got {value!r}")
    return float(value)


def check_budget(budget: float, n_v: int) -> int:
    """Number of tokens to keep: an int as it is, a float as a ratio of `n_v`.

    A ratio in (0, 1] is rounded half up, to one token at least. So 1 is one token and 1.0 is all.

    Raises
    ------
    BudgetError
        If the budget is not in 1 .. n_v, or the ratio not in (0, 1], or it is no number.

    Examples
    --------
    >>> check_budget(64, 576), check_budget(0.25, 10), check_budget(1, 576), check_budget(1.0, 576)
    (64, 3, 1, 576)
    """
    if isinstance(budget, bool) or not isinstance(budget, numbers.Real):
        raise BudgetError(f"budget: expected an int or a ratio in (0, 1], got {budget!r}")
    if not isinstance(budget, numbers.Integral):
        if not 0 < budget <= 1:
            raise BudgetError(f"budget: expected a ratio in (0, 1], got {budget!r}")
        return max(1, math.floor(float(budget) * n_v + 0.5))
    if not 1 <= budget <= n_v:
        raise BudgetError(f"budget: expected 1 to {n_v} tokens, got {budget}")
    return int(budget)


def check_log_distribution(name: str, log_p: Tensor, *, tolerance: float | None = None) -> Tensor:
    """`log_p` if it log-sum-exps to 0 over its last axis; DistributionError otherwise."""
    if bool(torch.isnan(log_p).any()) or bool((log_p == math.inf).any()):
        raise DistributionError(f"{name}: expected log-probabilities, got NaN or +inf")
    allowed = tolerance or (1e-9 if log_p.dtype == torch.float64 else 1e-4)
    off = log_p.logsumexp(-1).abs().max()
    if not bool(off <= allowed):
        raise DistributionError(
            f"{name}: expected rows that log-sum-exp to 0 within {allowed:g}, got {off:g}"
        )
    return log_p
