"""How everything drawn looks: the theme of `mitheory.plot`, under the name that reports know."""

from __future__ import annotations

from mitheory.plot.style import (
    BLUE,
    COLORS,
    COLUMN,
    DPI,
    GRAY,
    GREEN,
    ORANGE,
    PAGE,
    PURPLE,
    SKY,
    VERMILION,
    YELLOW,
    new_figure,
    theme,
)

__all__ = [
    "BLUE",
    "COLORS",
    "COLUMN",
    "DPI",
    "GRAY",
    "GREEN",
    "ORANGE",
    "PAGE",
    "PURPLE",
    "SKY",
    "VERMILION",
    "YELLOW",
    "new_figure",
    "theme",
]
