"""All contests by suite."""

from __future__ import annotations

from collections.abc import Callable

from . import batched, literal, mi, setfunctions
from .contest import Contest

SUITES: dict[str, Callable[[], list[Contest]]] = {
    "mi": mi.contests,
    "setfunctions": setfunctions.contests,
    "literal": literal.contests,
    "batched": batched.contests,
    "large": batched.large,
}


def all_contests() -> list[Contest]:
    """Of every suite."""
    return [contest for make in SUITES.values() for contest in make()]


def find(name: str) -> Contest:
    """The contest of that name."""
    return next(contest for contest in all_contests() if contest.name == name)
