"""Packages that offer names of their modules and import each when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def on_use(
    package: str, home: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package whose names are imported on use.

    Parameters
    ----------
    package : its ``__name__``
    home : name -> module of the package that defines it

    Examples
    --------
    >>> get, _ = on_use("mitheory", {"MitheoryError": "errors"})
    >>> get("MitheoryError").__name__
    'MitheoryError'
    >>> get("nothing")
    Traceback (most recent call last):
    AttributeError: module 'mitheory' has no attribute 'nothing'
    """

    def get(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f".{home[name]}", package), name)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home})

    return get, names
