"""An effect with its intervals against the smallest effect of interest, as a small drawing.

All rows share one axis: the effect as a multiple of its own smallest effect of interest, so that
the region's border is at the same place in each. The axis is logarithmic beyond a few multiples,
for effects ten times the smallest must fit; what leaves it ends in an arrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .html import Markup, tag

WIDTH, HEIGHT, MARGIN = 240, 26, 8
LIMIT = 12.0  # multiples of the smallest effect at the ends of the axis
TICKS = (-10, -3, -1, 0, 1, 3, 10)
REGIONS = {"negligible": (-1.0, 1.0), "at_least": (1.0, LIMIT), "at_most": (-LIMIT, 1.0)}


def position(multiple: float) -> float:
    """Horizontal place of a multiple of the smallest effect of interest, clamped to the axis.

    Examples
    --------
    >>> position(0.0), position(-1000.0), position(1000.0)
    (120.0, 8.0, 232.0)
    """
    clamped = min(max(multiple, -LIMIT), LIMIT)
    share = math.copysign(math.log1p(abs(clamped)) / math.log1p(LIMIT), clamped)
    return round(WIDTH / 2 + share * (WIDTH / 2 - MARGIN), 2)


def draw(effect: Mapping[str, Any], smallest: Mapping[str, Any], *, label: str) -> Markup:
    """The drawing: region shaded, corrected interval thin, 95% thick, estimate a dot.

    Parameters
    ----------
    effect, smallest : as in `Verdict.to_dict`
    label : the same in words, for those who do not see it
    """
    unit = smallest["value"]
    names = ("value", "low", "high", "low_corrected", "high_corrected")
    value, low, high, lower, higher = (effect[name] / unit for name in names)
    left, right = (position(end) for end in REGIONS[smallest["region"]])
    middle = HEIGHT / 2
    parts = [
        _rect("region", left, 2, right - left, HEIGHT - 4),
        _line("zero", 0.0, 0.0, 2, HEIGHT - 2),
        *(_line("border", end, end, 2, HEIGHT - 2) for end in _borders(smallest["region"])),
        _line("thin", lower, higher, middle, middle),
        _line("thick", low, high, middle, middle),
        *_arrows(lower, higher, middle),
        tag("circle", class_="estimate", cx=position(value), cy=middle, r=3),
    ]
    return _svg(parts, HEIGHT, label, "interval")


def axis() -> Markup:
    """The ticks that all rows share."""
    parts = [
        tag("text", f"{tick}".replace("-", "−"), x=position(tick), y=11, text_anchor="middle")
        for tick in TICKS
    ]
    return _svg(parts, 14, "axis: multiples of the smallest effect of interest", "ticks")


def _borders(region: str) -> tuple[float, ...]:
    return (-1.0, 1.0) if region == "negligible" else (1.0,)


def _svg(parts: list[Markup], height: int, label: str, kind: str) -> Markup:
    box = f"0 0 {WIDTH} {height}"
    return tag("svg", parts, class_=kind, viewBox=box, role="img", aria_label=label)


def _rect(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    return tag("rect", class_=kind, x=x, y=y, width=round(width, 2), height=height)


def _line(kind: str, start: float, end: float, top: float, bottom: float) -> Markup:
    x1, x2 = position(start), position(end)
    if kind in ("thin", "thick") and x2 - x1 < 1:  # narrower than a pixel is still seen
        x1, x2 = x1 - 0.5, x2 + 0.5
    return tag("line", class_=kind, x1=x1, x2=x2, y1=top, y2=bottom)


def _arrows(low: float, high: float, y: float) -> list[Markup]:
    """Where the interval leaves the axis."""
    arrows = []
    for beyond, x, step in ((high > LIMIT, WIDTH - 1, -6), (low < -LIMIT, 1, 6)):
        if beyond:
            points = f"{x},{y} {x + step},{y - 4} {x + step},{y + 4}"
            arrows.append(tag("polygon", class_="beyond", points=points))
    return arrows
