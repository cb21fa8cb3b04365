"""Pieces that several figures are built from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from . import labels
from .style import GRAY, Look


def curve(
    ax: Axes, x: Sequence[float], rows: pd.DataFrame, look: Look, *, zorder: float = 3
) -> None:
    """Estimates over `x` in per cent, with their intervals."""
    middle, low, high = (100 * rows[c].to_numpy(float) for c in ("estimate", "low", "high"))
    ax.errorbar(
        x, middle, yerr=[middle - low, high - middle], fmt="none", ecolor=look.color,
        elinewidth=0.9, capsize=1.6, capthick=0.9, zorder=zorder,
    )  # fmt: skip
    ax.plot(
        x, middle, color=look.color, marker=look.marker, linestyle=look.line, linewidth=look.width,
        markersize=look.size, markeredgecolor="white", markeredgewidth=0.4, zorder=zorder,
    )  # fmt: skip


def paper_curve(ax: Axes, x: Iterable[float], y: Iterable[float], look: Look) -> None:
    """Printed numbers, in per cent: open markers, and no intervals, as none are printed."""
    ax.plot(
        list(x), list(y), color=look.color, marker=look.marker, linestyle=look.line,
        linewidth=look.width, markerfacecolor="white", markeredgewidth=1.0, zorder=3,
    )  # fmt: skip


def handle(look: Look, label: str, *, is_printed: bool = False) -> Line2D:
    """An entry of a legend; printed numbers have open markers."""
    return Line2D(
        [], [], color=look.color, marker=look.marker, linestyle=look.line, linewidth=look.width,
        markersize=look.size, label=label,
        markerfacecolor="white" if is_printed else look.color,
        markeredgecolor=look.color if is_printed else "white",
        markeredgewidth=1.0 if is_printed else 0.4,
    )  # fmt: skip


def dodged(x: float, i: int, n: int, *, width: float = 0.04) -> float:
    """A point on a logarithmic axis, moved so that the i-th of n intervals hides no other.

    Examples
    --------
    >>> dodged(0.5, 1, 3), dodged(0.5, 0, 3) < 0.5 < dodged(0.5, 2, 3)
    (0.5, True)
    """
    return float(x * (1 + width) ** (i - (n - 1) / 2))


def share_axis(ax: Axes, ratios: Iterable[float], label: str = "visual tokens kept (%)") -> None:
    """Shares of tokens on a logarithmic axis, ticks where there is data."""
    ticks = sorted(set(ratios))
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([labels.percent(t) for t in ticks])
    ax.set_xlabel(label)


def annotate(ax: Axes, x: Iterable[float], y: Iterable[float], *, above: bool) -> None:
    """The printed numbers themselves, over or under their points."""
    for where, value in zip(x, y, strict=True):
        ax.annotate(
            f"{value:g}", (where, value), xytext=(0, 5 if above else -5), fontsize=6.3,
            textcoords="offset points", ha="center", va="bottom" if above else "top",
            color="#222222", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4},
        )  # fmt: skip


def same_span(ax: Axes, like: Axes) -> None:
    """As many points to the inch on `ax` as on `like`, about the middle of what `ax` shows.

    A difference of one point then looks the same on both.
    """
    low, high = ax.get_ylim()
    below, above = like.get_ylim()
    half = max(above - below, high - low) / 2
    ax.set_ylim((low + high) / 2 - half, (low + high) / 2 + half)


def all_tokens(ax: Axes, row: pd.Series | None) -> None:
    """The model with all tokens: a line with its interval."""
    if row is None:
        return
    ax.axhspan(100 * row["low"], 100 * row["high"], color="black", alpha=0.08, linewidth=0)
    ax.axhline(100 * row["estimate"], color="black", linestyle="--", linewidth=0.9, zorder=2)


def legend_below(figure: Figure, handles: Sequence[Line2D], *, columns: int) -> None:
    """One legend under all panels."""
    figure.legend(handles=list(handles), loc="outside lower center", ncols=columns)


def note_above(figure: Figure, text: str) -> None:
    """A line in small gray letters over all panels."""
    figure.suptitle(text, fontsize=6.8, color=GRAY, x=0.01, ha="left", fontweight="normal")


def highest(rows: pd.DataFrame) -> pd.Series:
    """The row of the highest estimate; the first of equals."""
    return rows.iloc[int(rows["estimate"].to_numpy().argmax())]


def first_row(table: pd.DataFrame) -> pd.Series | None:
    """The only row of a table, None if it has none."""
    return None if table.empty else table.iloc[0]
