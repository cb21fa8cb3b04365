"""Packages that offer names of their modules and import each when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import Any


def on_use(
    package: str, home: Mapping[str, str], *, modules: Collection[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package whose names are imported on use.

    Parameters
    ----------
    package : its ``__name__``
    home : name -> module of the package that defines it
    modules : of the package, to be had as its attributes

    Examples
    --------
    >>> get, _ = on_use("mitheory", {"MitheoryError": "errors"}, modules=["errors"])
    >>> get("MitheoryError").__name__
    'MitheoryError'
    >>> get("errors").__name__
    'mitheory.errors'
    >>> get("nothing")
    Traceback (most recent call last):
    AttributeError: module 'mitheory' has no attribute 'nothing'
    """

    def get(name: str) -> Any:
        if name in home:
            return getattr(import_module(f".{home[name]}", package), name)
        if name in modules:
            return import_module(f".{name}", package)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home})

    return get, names
