"""One color and marker per method, on the theme that everything drawn shares."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl

from mitheory.plot.looks import METHODS, PEERS, Look, look
from mitheory.plot.style import COLORS, COLUMN, DPI, GRAY, PAGE, new_figure, theme

__all__ = [
    "AGGREGATIONS", "COLORS", "COLUMN", "CONDITIONALS", "DPI", "GRAY", "METHODS", "NEGATIVES",
    "PAGE", "PEERS", "Look", "budget_looks", "look", "new_figure", "theme",
]  # fmt: skip

AGGREGATIONS: Mapping[str, Look] = {
    "max": Look("#0072B2", "o", "-", 1.9),
    "kl+global": Look("#D55E00", "s", "--"),
    "kl": Look("#56B4E9", "X", "--"),
    "mean": Look("#E69F00", "v", ":", 1.5),
    "lse": Look("#117733", "P", "-."),
}
CONDITIONALS: Mapping[str, Look] = {
    "softmax": Look("#0072B2", "o", "-", 1.9),
    "minmax": Look("#D55E00", "s", "--"),
}
NEGATIVES: Mapping[str, Look] = {
    "random": Look("#0072B2", "o"),
    "popular": Look("#E69F00", "s"),
    "adversarial": Look("#882255", "^"),
}


def budget_looks(budgets: list[int]) -> dict[int, Look]:
    """Looks of budgets, dark for many tokens."""
    markers = "osD^vP<>"
    shades = mpl.colormaps["viridis"]
    ordered = sorted(budgets, reverse=True)
    step = 0.75 / max(1, len(ordered) - 1)
    return {
        budget: Look(mpl.colors.to_hex(shades(i * step)), markers[i % len(markers)], "-", 1.3)
        for i, budget in enumerate(ordered)
    }
