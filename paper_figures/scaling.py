"""Cost of every method over N_V and over k: curves on logarithmic axes, and fitted exponents.

Drawn from the table of `python -m benchmarks.scaling`, not from a run of `mitheory reproduce`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.style import BLUE, GRAY, GREEN, VERMILION
from mitheory.io import replacing

from .labels import METHODS
from .style import DPI, PAGE, new_figure, theme

AXES = {"n_v": "visual tokens $N_V$", "k": "kept tokens $k$"}
BOUNDS = (0.5, 1.5)  # exponents that part nearly constant, about linear and steeper growth
COLORS = {"below ½": GREEN, "½ to 1½": BLUE, "above 1½": VERMILION}


def draw(
    table: pd.DataFrame, slopes: pd.DataFrame, stated: Mapping[str, Mapping[str, int]]
) -> Figure:
    """Curves above, colored by exponent; exponents with intervals below, methods in rows.

    Parameters
    ----------
    table : columns axis, method, n_v, k, round, seconds
    slopes : columns axis, method, slope, low, high
    stated : largest power by method and axis, where its page states one
    """
    methods = order(slopes)
    with theme():
        figure = new_figure(PAGE, 3.0 + 0.155 * len(methods))
        heights = (2.6, 0.4 + 0.155 * len(methods))
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
        curves = above.subplots(1, 2)
        for axes, axis in zip(curves, AXES, strict=True):
            _curves(axes, table[table["axis"] == axis], slopes[slopes["axis"] == axis], axis)
        curves[0].set_ylabel("milliseconds a call (CPU)")
        rows = below.subplots(1, 2, sharey=True)
        for axes, axis in zip(rows, AXES, strict=True):
            _exponents(axes, slopes[slopes["axis"] == axis], methods, axis, stated)
        rows[0].set_yticks(range(len(methods)), [label_of(name) for name in methods])
        rows[0].set_ylim(len(methods) - 0.4, -0.6)
        handles = [axes.plot([], [], color=c, label=n)[0] for n, c in COLORS.items()]
        handles += rows[0].plot([], [], "|", color="black", markersize=8, label="stated: at most")
        figure.legend(handles=handles, loc="outside lower center", ncols=4, title="exponent")
    return figure


def order(slopes: pd.DataFrame) -> list[str]:
    """Methods by their exponent over N_V."""
    own = slopes[slopes["axis"] == "n_v"].sort_values("slope", kind="stable")
    return [str(name) for name in own["method"]]


def color_of(slope: float) -> str:
    """By how steep it is.

    Examples
    --------
    >>> color_of(0.1) == GREEN, color_of(1.0) == BLUE, color_of(2.1) == VERMILION
    (True, True, True)
    """
    return list(COLORS.values())[sum(slope > bound for bound in BOUNDS)]


def label_of(method: str) -> str:
    """A method as the other figures name it."""
    return METHODS.get(method, method.replace("_", " "))


def _curves(axes: Axes, rows: pd.DataFrame, slopes: pd.DataFrame, axis: str) -> None:
    """Medians over rounds; guides of slope 1 and 2."""
    steep = slopes.set_index("method")["slope"]
    for name, own in rows.groupby("method", sort=False):
        middle = own.groupby(axis)["seconds"].median() * 1e3
        color = color_of(float(steep[name])) if name in steep.index else GRAY
        axes.plot(middle.index, middle, "o-", color=color, linewidth=0.9, markersize=2.2, alpha=0.8)
    axes.set(xscale="log", yscale="log", xlabel=AXES[axis])
    sizes = sorted(rows[axis].unique())
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_ylim(bottom=axes.get_ylim()[0] / 3)  # room for the guides
    bottom = axes.get_ylim()[0]
    for power in (1, 2):
        x = [sizes[0], sizes[len(sizes) // 3]]
        y = [bottom * 1.3, bottom * 1.3 * (x[1] / x[0]) ** power]
        axes.plot(x, y, color=GRAY, linewidth=0.8, linestyle="--")
    axes.set_title(f"cost over {'$N_V$' if axis == 'n_v' else '$k$'}; dashed: slopes 1 and 2")


def _exponents(
    axes: Axes,
    slopes: pd.DataFrame,
    methods: list[str],
    axis: str,
    stated: Mapping[str, Mapping[str, int]],
) -> None:
    """One row per method: the fitted exponent, and the power that its page states."""
    columns = (slopes[c].to_list() for c in ("slope", "low", "high"))
    fitted = dict(zip(slopes["method"].to_list(), zip(*columns, strict=True), strict=True))
    for i, name in enumerate(methods):
        if name in fitted:
            slope, low, high = fitted[name]
            axes.plot([low, high], [i, i], color=color_of(slope), linewidth=1)
            axes.plot(slope, i, "o", color=color_of(slope), markersize=3.6)
        if name in stated:
            axes.plot(stated[name][axis], i, "|", color="black", markersize=8)
    axes.set_xlabel(f"exponent over {'$N_V$' if axis == 'n_v' else '$k$'}")
    axes.set_xticks([0, 1, 2])
    axes.grid(axis="y", visible=False)


def save(
    table: pd.DataFrame,
    slopes: pd.DataFrame,
    stated: Mapping[str, Mapping[str, int]],
    path: Path,
) -> None:
    """Write the figure as PNG."""
    figure = draw(table, slopes, stated)
    with theme(), replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
