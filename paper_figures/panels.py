"""Pieces that several figures are built from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mitheory.plot.curves import all_tokens, curve, dodged, handle, share_axis

from .style import GRAY, Look

__all__ = [
    "all_tokens", "annotate", "curve", "dodged", "first_row", "handle", "highest", "legend_below",
    "note_above", "paper_curve", "same_span", "share_axis",
]  # fmt: skip


def paper_curve(ax: Axes, x: Iterable[float], y: Iterable[float], look: Look) -> None:
    """Printed numbers, in per cent: open markers, and no intervals, as none are printed."""
    ax.plot(
        list(x), list(y), color=look.color, marker=look.marker, linestyle=look.line,
        linewidth=look.width, markerfacecolor="white", markeredgewidth=1.0, zorder=3,
    )  # fmt: skip


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
