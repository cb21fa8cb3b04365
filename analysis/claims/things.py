"""The things of a scene, where a bundle's metadata lists them: digit, color and patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitheory.bundle import Sample
from mitheory.models.fruitfly.scenes import GRID, Thing
from mitheory.models.fruitfly.vocabulary import COLORS, DIGITS


@dataclass(frozen=True, eq=False)
class Placed:
    """A thing with the patches that its box touches, (n_v,) bool."""

    thing: Thing
    mask: NDArray[np.bool_]

    @property
    def names(self) -> tuple[str, str]:
        """The words for its color and its digit."""
        return COLORS[self.thing.color], DIGITS[self.thing.digit]


def things_of(sample: Sample) -> list[Placed]:
    """Things of a fruit-fly scene; none where the metadata lists none or the grid is another."""
    listed = sample.metadata.get("things")
    if not listed or sample.grid != (GRID, GRID):
        return []
    placed = []
    for numbers in listed:
        thing = Thing(*(int(v) for v in numbers))
        mask = np.zeros(sample.n_v, dtype=bool)
        mask[thing.patches()] = True
        placed.append(Placed(thing, mask))
    return placed


def named_pair(tokens: Sequence[str]) -> tuple[int, int] | None:
    """Places in the prompt of its color and its digit, if it names exactly one of each.

    Examples
    --------
    >>> named_pair("is there a red four ?".split())
    (3, 4)
    >>> named_pair("what digit is red ?".split())
    """
    colors = [j for j, word in enumerate(tokens) if word in COLORS]
    digits = [j for j, word in enumerate(tokens) if word in DIGITS]
    return (colors[0], digits[0]) if len(colors) == len(digits) == 1 else None
