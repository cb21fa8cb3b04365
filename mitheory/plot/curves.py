"""Accuracy against the share of tokens kept, a curve for each method, with intervals."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from ..errors import MissingInputError, ParameterError
from ..names import lookup
from ..statistics import Interval, cluster_bootstrap_table
from . import inputs
from .labels import percent, series_label, series_rank
from .looks import METHODS, Look, look

if TYPE_CHECKING:
    import pandas as pd

Errors = Literal["bars", "band", "none"]
MOST_INSIDE = 5  # entries of a legend that is put inside the axes
ERRORS: tuple[Errors, ...] = ("bars", "band", "none")


def accuracy_table(
    data: pd.DataFrame,
    by: Sequence[str],
    *,
    value: str = "correct",
    question: str = "sample_id",
    unit: str = "image_id",
    seed: int = 0,
) -> pd.DataFrame:
    """Mean of a column in each cell, with its 95% interval; all cells hold the same questions.

    Whole units are resampled, all cells in the same resamples. Several rows of one question in one
    cell, such as draws of a random method, are averaged first.

    Parameters
    ----------
    data : a row for each question and cell
    by : columns that name a cell, such as ``["series", "ratio"]``
    value : column of numbers or booleans
    question, unit : columns of the question and of the unit that is resampled
    seed : of the resamples

    Returns
    -------
    DataFrame
        Columns `by`, ``estimate``, ``low``, ``high``, ``questions``, ``scenes`` (units).

    Raises
    ------
    MissingInputError
        If a column is missing.
    ParameterError
        If two cells hold different questions, which would be compared as if they were the same.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({
    ...     "sample_id": ["a", "b", "c"], "image_id": ["1", "1", "2"],
    ...     "ratio": 0.5, "correct": [True, True, False],
    ... })
    >>> accuracy_table(rows, ["ratio"])["estimate"].tolist()
    [0.667]
    """
    import pandas as pd

    inputs.need(data, (*by, value, question, unit))
    wide = wide_table(data, by, value, question=question)
    clusters = units_of(data, wide.index, question=question, unit=unit)
    columns = cluster_bootstrap_table(
        wide.to_numpy(float), clusters, rng=np.random.default_rng(seed)
    )
    cells = [key if isinstance(key, tuple) else (key,) for key in wide.columns]
    return pd.DataFrame(
        [
            dict(zip(by, cell, strict=True)) | _fields(interval)
            for cell, interval in zip(cells, columns, strict=True)
        ]
    )


def wide_table(
    data: pd.DataFrame, by: Sequence[str], value: str, *, question: str = "sample_id"
) -> pd.DataFrame:
    """Means (questions, cells) of a column.

    Raises
    ------
    ParameterError
        If two cells hold different questions.
    """
    flat = data[[question, *by]].assign(value=data[value].astype(float))
    means = flat.groupby([question, *by], sort=False)["value"].mean()
    wide = means.unstack(list(by))
    if gaps := int(wide.isna().sum().sum()):
        raise ParameterError(
            f"each cell of {list(by)} must hold the same {len(wide)} questions; {gaps} are missing"
        )
    return wide


def units_of(
    data: pd.DataFrame, questions: pd.Index, *, question: str = "sample_id", unit: str = "image_id"
) -> np.ndarray:
    """The unit, such as the image, of each question."""
    known: pd.Series = data.drop_duplicates(question).set_index(question)[unit]
    return known.loc[questions].to_numpy(dtype=str)


def _fields(interval: Interval) -> dict[Hashable, float]:
    return {
        "estimate": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "questions": interval.n,
        "scenes": interval.n_clusters,
    }


def accuracy_budget(
    data: pd.DataFrame,
    *,
    x: str = "ratio",
    y: str = "estimate",
    low: str = "low",
    high: str = "high",
    hue: str = "series",
    hue_order: Sequence[str] | None = None,
    looks: Mapping[str, Look] | None = None,
    labels: Mapping[str, str] | None = None,
    reference: str = "full",
    errors: Errors = "bars",
    dodge: bool = True,
    emphasis: str = "mi_pruner",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw accuracy, in per cent, against the share of tokens kept, on a logarithmic axis.

    Parameters
    ----------
    data : a row for each curve and share, as `accuracy_table` gives it
    x, y : columns of the share of tokens and of the accuracy, both in 0..1
    low, high : columns of the ends of its interval
    hue : column of the curves; `hue_order` says which are drawn, in which order
    looks, labels : by curve, looks of methods without; unknown ones get a spare color and their
        name in words
    reference : curve that is a horizontal line: the model with all tokens
    errors : "bars", "band", or "none", which needs no columns of intervals
    dodge : move points aside so that no bar hides another; bands stay where they are
    emphasis : curve that is drawn on top
    legend : whether there is one; of more than five curves it stands beside the axes
    ax : to draw on; the current axes without

    Returns
    -------
    Axes

    Raises
    ------
    MissingInputError
        If a column is missing, or no row is left to draw.
    UnknownNameError
        If `errors` is none of the three.
    ParameterError
        If a curve has two rows at one share, or a share is not in (0, 1].

    Examples
    --------
    >>> import matplotlib.figure, pandas as pd
    >>> ax = matplotlib.figure.Figure().subplots()
    >>> rows = pd.DataFrame({
    ...     "series": "mi_pruner", "ratio": [0.11, 0.5], "estimate": [0.8, 0.9],
    ...     "low": [0.7, 0.85], "high": [0.85, 0.95],
    ... })
    >>> ax = accuracy_budget(rows, ax=ax)
    >>> ax.lines[-1].get_ydata().tolist(), [t.get_text() for t in ax.get_xticklabels()]
    ([80.0, 90.0], ['11', '50'])
    """
    lookup(errors, {name: name for name in ERRORS}, "errors")
    ends = () if errors == "none" else (low, high)
    inputs.need(data, (x, y, hue, *ends))
    present = sorted(set(data[hue]) - {reference}, key=series_rank)
    keys = list(hue_order) if hue_order is not None else present
    rows = data[data[hue].isin([*keys, reference])]
    curves = rows[rows[hue] != reference]
    if rows.empty:
        raise MissingInputError(f"data: expected rows of {keys} in {hue!r}, got {present}")
    if twice := int(curves.duplicated([hue, x]).sum()):
        raise ParameterError(f"data: expected one row for each {hue} and {x}, {twice} stand twice")
    if not curves[x].between(0, 1, inclusive="right").all():
        raise ParameterError(f"{x}: expected shares in (0, 1], got {sorted(set(curves[x]))}")
    ax = inputs.axes(ax)
    looks = METHODS if looks is None else looks
    for i, key in enumerate(keys):
        own = curves[curves[hue] == key].sort_values(x)
        at = own[x].to_numpy(float)
        if dodge and errors == "bars":
            at = np.array([dodged(r, i, len(keys)) for r in at])
        curve(
            ax, at, own, look(key, looks), y=y, ends=ends, band=errors == "band",
            zorder=4 if key == emphasis else 3,
        )  # fmt: skip
    full = rows[rows[hue] == reference]
    if len(full):
        all_tokens(ax, full.iloc[0], y=y, ends=ends)
    share_axis(ax, curves[x])
    ax.set_ylabel("accuracy (%)")
    if legend:
        named = {key: (labels or {}).get(key, series_label(key)) for key in [*keys, reference]}
        drawn = [*keys, *([reference] if len(full) else [])]
        outside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
        where: dict[str, Any] = outside if len(drawn) > MOST_INSIDE else {}
        ax.legend(handles=[handle(look(key, looks), named[key]) for key in drawn], **where)
    return ax


def curve(
    ax: Axes,
    x: Sequence[float] | np.ndarray,
    rows: pd.DataFrame,
    look: Look,
    *,
    y: str = "estimate",
    ends: tuple[str, str] | tuple[()] = ("low", "high"),
    band: bool = False,
    zorder: float = 3,
) -> None:
    """Estimates over `x` in per cent, with their intervals as bars or as a band."""
    middle = 100 * rows[y].to_numpy(float)
    if ends:
        low, high = (100 * rows[end].to_numpy(float) for end in ends)
        if band:
            ax.fill_between(x, low, high, color=look.color, alpha=0.15, linewidth=0, zorder=zorder)
        else:
            ax.errorbar(
                x, middle, yerr=[middle - low, high - middle], fmt="none", ecolor=look.color,
                elinewidth=0.9, capsize=1.6, capthick=0.9, zorder=zorder,
            )  # fmt: skip
    ax.plot(
        x, middle, color=look.color, marker=look.marker, linestyle=look.line, linewidth=look.width,
        markersize=look.size, markeredgecolor="white", markeredgewidth=0.4, zorder=zorder,
    )  # fmt: skip


def all_tokens(
    ax: Axes,
    row: pd.Series | None,
    *,
    y: str = "estimate",
    ends: tuple[str, str] | tuple[()] = ("low", "high"),
) -> None:
    """The model with all tokens: a line with its interval."""
    if row is None:
        return
    if ends:
        low, high = (100 * row[end] for end in ends)
        ax.axhspan(low, high, color="black", alpha=0.08, linewidth=0)
    ax.axhline(100 * row[y], color="black", linestyle="--", linewidth=0.9, zorder=2)


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
    ax.set_xticklabels([percent(t) for t in ticks])
    ax.set_xlabel(label)


def handle(look: Look, label: str, *, is_printed: bool = False) -> Line2D:
    """An entry of a legend; printed numbers have open markers."""
    return Line2D(
        [], [], color=look.color, marker=look.marker, linestyle=look.line, linewidth=look.width,
        markersize=look.size, label=label,
        markerfacecolor="white" if is_printed else look.color,
        markeredgecolor=look.color if is_printed else "white",
        markeredgewidth=1.0 if is_printed else 0.4,
    )  # fmt: skip
