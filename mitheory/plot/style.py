"""How everything drawn looks: one theme, sizes of a two-column paper, colors told apart by all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

COLUMN, PAGE = 3.35, 6.9  # inches: one column, both columns
DPI = 220
GRAY = "#6b6b6b"

# Okabe & Ito
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B8A800",
)  # fmt: skip
COLORS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, YELLOW)


@contextmanager
def theme() -> Iterator[None]:
    """The look of everything drawn inside; the global state is as before afterwards.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> before = plt.rcParams["font.size"]
    >>> with theme():
    ...     print(plt.rcParams["font.size"])
    7.5
    >>> plt.rcParams["font.size"] == before
    True
    """
    import seaborn as sns

    ours: dict[str, Any] = {
        "font.family": "DejaVu Sans",
        "font.size": 7.5,
        "axes.titlesize": 8,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 7.5,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "legend.handlelength": 2.6,
        "axes.linewidth": 0.7,
        "axes.edgecolor": "#444444",
        "grid.color": "#e3e3e3",
        "grid.linewidth": 0.6,
        "lines.markersize": 4.2,
        "xtick.bottom": True,
        "xtick.major.size": 2.5,
        "xtick.major.width": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "pdf.fonttype": 42,  # text stays text
        "svg.fonttype": "none",
        "figure.dpi": 100,
        "savefig.dpi": DPI,
    }
    parameters: Any = {**sns.axes_style("whitegrid"), **ours}
    with mpl.rc_context(parameters):
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure that no global registry knows, so that none is left open."""
    return Figure(figsize=(width, height), layout="constrained")
