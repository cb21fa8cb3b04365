"""How far from the best a selection can be at most, told by the gains that it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..checks import check_budget
from ..errors import ParameterError, PropertyError
from ..properties import MONOTONE, SUBMODULAR
from .base import SetFunction


class Certificate(NamedTuple):
    """A value, and a number that no set of the budget's size exceeds."""

    value: float
    bound: float

    @property
    def share(self) -> float:
        """At least this share of the best is reached; nan where the bound is 0."""
        return self.value / self.bound if self.bound else float("nan")


def certificate(function: SetFunction, selected: Sequence[int], budget: int | float) -> Certificate:
    """The value of any selection, however found, and an upper bound of the best value.

    .. math:: \\max_{|O| \\le k} f(O) \\le f(S) + \\sum_{i \\in \\mathrm{top}_k} f(i \\mid S)

    as f(O) ≤ f(S ∪ O) where f is monotone, and gains given S bound those given more where it is
    submodular. Source: leskovec2007.

    Parameters
    ----------
    function : SetFunction
    selected : distinct elements
    budget : number or share of elements that the best set may have

    Raises
    ------
    PropertyError
        If the function does not declare MONOTONE and SUBMODULAR: nothing is bounded then.
    ParameterError
        If an element is selected twice, or is none of the function's.

    Examples
    --------
    >>> import torch
    >>> from mitheory.setfunctions import Modular
    >>> certificate(Modular(torch.tensor([3.0, 2.0, 1.0])), [0, 2], 2)
    Certificate(value=4.0, bound=6.0)
    """
    if not {MONOTONE, SUBMODULAR} <= function.properties:
        raise PropertyError(
            f"certificate: expected a function that declares MONOTONE and SUBMODULAR, got "
            f"{type(function).__name__} with {sorted(p.value for p in function.properties)}"
        )
    if len(set(selected)) < len(selected) or not set(selected) <= set(range(function.n)):
        raise ParameterError(
            f"certificate: expected distinct elements of range({function.n}), got {list(selected)}"
        )
    k = check_budget(budget, function.n)
    state = function.start()
    for i in selected:
        state = function.extend(state, i)
    gains = function.gains(state).clone()
    gains[list(selected)] = 0.0
    value = function.value(list(selected))
    # rounding can leave a gain just below 0
    return Certificate(value, value + float(gains.clamp(min=0).topk(k).values.sum()))
