"""A class for each method, with its options as parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..selection import SELECTORS
from .base import TokenPruner
from .names import CLASSES

DEFAULTS: dict[str, Any] = {
    "budget": 0.25, "order": "raster", "seed": 0, "grid": None, "zero_norm": "error",
    "mode": "exact",
}  # fmt: skip
"""Parameters that every class has, with their defaults."""


def estimator(name: str, method: str) -> type[TokenPruner]:
    """The class of a method; its parameters are `DEFAULTS` and the options of the method.

    Examples
    --------
    >>> estimator("MIPruner", "mi_pruner")(budget=64, temperature=0.2).get_params()["temperature"]
    0.2
    """
    parameters = {**DEFAULTS, **SELECTORS[method].defaults}
    kinds = inspect.Parameter
    signature = inspect.Signature(
        [
            kinds("self", kinds.POSITIONAL_OR_KEYWORD),
            *(kinds(key, kinds.KEYWORD_ONLY, default=value) for key, value in parameters.items()),
        ]
    )
    space = {
        "__module__": __name__,
        "__doc__": _text(method),
        "__init__": _init(name, parameters, signature),
        "method": method,
    }
    return type(name, (TokenPruner,), space)


def _init(
    name: str, parameters: dict[str, Any], signature: inspect.Signature
) -> Callable[..., None]:
    def __init__(self: TokenPruner, **given: Any) -> None:
        if unknown := sorted(set(given) - set(parameters)):
            raise TypeError(f"{name} got unexpected parameters {unknown}; it has {[*parameters]}")
        for key, default in parameters.items():
            setattr(self, key, given.get(key, default))

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


def _text(method: str) -> str:
    entry = SELECTORS[method]
    needs = ", ".join(f"{name}=" for name in entry.requires if name != "visual") or "nothing"
    own = (inspect.getdoc(entry.fn) or "").partition("\n")[0]
    return f"""The method `{method}` as an estimator: {own}

    `fit` needs {needs}.

    Parameters
    ----------
    budget : tokens to keep, or a ratio of them in (0, 1]
    order : "raster", or "pick", the order of choice
    seed, grid, zero_norm, mode : as of `mitheory.select`
    {", ".join(entry.defaults) or "no further ones"} : options of the method
    """


globals().update({name: estimator(name, method) for name, method in CLASSES.items()})
