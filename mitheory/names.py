"""Entries of tables by name, and what is said of a name that is none of them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

from .errors import UnknownNameError

T = TypeVar("T")


def lookup(name: str, table: Mapping[str, T], family: str) -> T:
    """The entry of `table` called `name`; UnknownNameError with the known and near names otherwise.

    Examples
    --------
    >>> lookup("meam", {"mean": 1, "max": 2}, "rule")
    Traceback (most recent call last):
    ...
    mitheory.errors.UnknownNameError: unknown rule 'meam'; did you mean 'mean'? Known: max, mean
    """
    if isinstance(name, str) and name in table:
        return table[name]
    near = difflib.get_close_matches(str(name), list(table), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise UnknownNameError(f"unknown {family} {name!r}{hint} Known: {', '.join(sorted(table))}")
