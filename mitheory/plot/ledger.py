"""The verdict ledger: a line per claim: its effect, the smallest of interest, its verdict."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from ..errors import MissingInputError
from . import inputs
from .style import GRAY

if TYPE_CHECKING:
    import pandas as pd

    from ..verdict import Verdict

LIMIT = 12.0  # multiples of the smallest effect at both ends of the axis
TICKS = (-10, -3, -1, 0, 1, 3, 10)
REGIONS = {"negligible": (-1.0, 1.0), "at_least": (1.0, math.inf), "at_most": (-math.inf, 1.0)}
SHADE = "#dfe9f2"
# color and mark of each decision: told apart without color
DECISIONS: Mapping[str, tuple[str, str]] = {
    "verified": ("#0072B2", "✓"),
    "holds": ("#0072B2", "✓"),
    "inconclusive": ("#777777", "?"),
    "violated": ("#D55E00", "✗"),
    "refuted": ("#D55E00", "✗"),
    "unassessed": ("#777777", "–"),
}
ENDS = {
    "estimate": "value", "low": "low", "high": "high",
    "low_corrected": "low_corrected", "high_corrected": "high_corrected",
}  # fmt: skip
COLUMNS = ("claim", "decision", "measured", "checked", "n_unit", "region", "name", *ENDS)


def verdict_table(verdicts: Iterable[Verdict | Mapping[str, Any]]) -> pd.DataFrame:
    """One row per verdict; effects in multiples of the smallest effect of interest.

    Parameters
    ----------
    verdicts : records, or what `Verdict.to_dict` makes of them, as in an audit's verdicts.json

    Returns
    -------
    DataFrame
        ``claim``, ``kind``, ``decision``, ``n``, ``n_unit``, ``checked``, ``region``, ``smallest``,
        ``name``, ``unit``, ``value``, ``measured`` (the effect in words), and, in multiples of the
        smallest effect, ``estimate``, ``low``, ``high`` (95%), ``low_corrected`` and
        ``high_corrected`` (the interval that decides); NaN where there is no effect.

    Raises
    ------
    MissingInputError
        If there is none.

    Examples
    --------
    >>> from mitheory.verdict import Effect, SmallestEffect, Verdict
    >>> found = Verdict(
    ...     "some_claim", "empirical", "mean over images", n=25, unit="images", seed=0,
    ...     effect=Effect("excess", "nats", 0.5, se=0.1, df=24),
    ...     smallest_effect=SmallestEffect(0.1, "nats", "negligible", "an example"),
    ... )
    >>> verdict_table([found])[["decision", "estimate", "measured"]].values.tolist()
    [['violated', 5.0, '0.5 nats [0.294, 0.706]']]
    """
    import pandas as pd

    records = [v if isinstance(v, Mapping) else v.to_dict() for v in verdicts]
    if not records:
        raise MissingInputError("verdicts: expected one or more, got none")
    return pd.DataFrame([row(record) for record in records])


def row(record: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `verdict_table` from a verdict as JSON values."""
    effect, smallest = dict(record["effect"] or {}), dict(record["smallest_effect"] or {})
    found: dict[str, Any] = {key: record[key] for key in ("claim", "kind", "decision", "n")}
    found |= {"n_unit": record["unit"], "checked": record["checked"]}
    found |= {"region": smallest.get("region"), "smallest": smallest.get("value")}
    found |= {key: effect.get(key) for key in ("name", "unit", "value")}
    found["measured"] = _written(effect) if effect else ""
    for key, of in ENDS.items():
        found[key] = effect[of] / smallest["value"] if effect and smallest else math.nan
    return found


def _written(effect: Mapping[str, Any]) -> str:
    value = f"{effect['value']:.3g} {effect['unit']} [{effect['low']:.3g}, {effect['high']:.3g}]"
    return value.replace("-", "−")


def verdict_ledger(
    data: pd.DataFrame | Iterable[Verdict | Mapping[str, Any]],
    *,
    statement: str = "claim",
    width: int = 34,
    size: float | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw a line per claim: its effect against the smallest one of interest, and the verdict.

    Shaded is where the claim says that the effect lies, thick its 95% interval, thin the interval
    that decides. Multiples of the smallest effect stand on an axis that is logarithmic beyond a
    few; what lies beyond its end is an arrow.

    Parameters
    ----------
    data : verdicts, or the table that `verdict_table` makes of them, with more columns if you like
    statement : column with what is written at the left
    width : characters of it to a line
    size : of the letters, in points
    legend : whether there is one, under the axis
    ax : to draw on; the current axes without

    Returns
    -------
    Axes

    Raises
    ------
    MissingInputError
        If there is no verdict, or a column is missing.

    Examples
    --------
    >>> import matplotlib.figure
    >>> from mitheory.verdict import Effect, SmallestEffect, Verdict
    >>> found = Verdict(
    ...     "some_claim", "empirical", "mean over images", n=25, unit="images", seed=0,
    ...     effect=Effect("excess", "nats", 0.5, se=0.1, df=24),
    ...     smallest_effect=SmallestEffect(0.1, "nats", "negligible", "an example"),
    ... )
    >>> ax = verdict_ledger([found], ax=matplotlib.figure.Figure().subplots())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['some claim']
    """
    import pandas as pd

    table = data if isinstance(data, pd.DataFrame) else verdict_table(data)
    inputs.need(table, (statement, *COLUMNS))
    if not len(table):
        raise MissingInputError("data: expected a row or more, got none")
    ax = inputs.axes(ax)
    effects(ax, table)
    said = [lines(str(text).replace("_", " "), width, 3) for text in table[statement]]
    ax.set_yticks(range(len(table)), said, fontsize=size)
    ax.tick_params(axis="y", length=0)
    right = ax.secondary_yaxis("right")  # tick labels, for which every layout makes room
    records = table.to_dict("records")
    right.set_yticks(range(len(records)), [_verdict(record) for record in records], fontsize=size)
    right.tick_params(axis="y", length=0)
    right.spines["right"].set_visible(False)
    for written, record in zip(right.get_yticklabels(), records, strict=True):
        written.set_color(DECISIONS[str(record["decision"])][0])
    if legend:
        ax.legend(
            handles=handles(), loc="upper center", bbox_to_anchor=(0.5, 0.0), borderaxespad=4.5,
            ncols=3, fontsize=size, frameon=False,
        )  # fmt: skip
    return ax


def effects(ax: Axes, table: pd.DataFrame) -> None:
    """The effect of every row on its line, and the axis under all."""
    for y, record in enumerate(table.to_dict("records")):
        if math.isfinite(record["estimate"]):
            _effect(ax, y, record, DECISIONS[str(record["decision"])][0])
    _axis(ax, len(table))


def place(multiple: float) -> float:
    """Where a multiple of the smallest effect stands, in −1..1: logarithmic beyond a few.

    Examples
    --------
    >>> place(0.0), place(LIMIT), place(-math.inf), place(1.0) > 0.25
    (0.0, 1.0, -1.0, True)
    """
    inside = min(max(multiple, -LIMIT), LIMIT)
    return math.copysign(math.log1p(abs(inside)) / math.log1p(LIMIT), inside)


def lines(text: str, width: int, most: int) -> str:
    """A text in at most so many lines; what is left out is marked."""
    wrapped = textwrap.wrap(text, width)
    return "\n".join(wrapped[:most]) + " …" * (len(wrapped) > most)


def number(record: Mapping[Any, Any]) -> str:
    """The effect in its own unit with its name, or what a theorem was checked on."""
    name = f"\n{lines(record['name'], 40, 2)}" if record["measured"] else ""
    return value(record) + name


def value(record: Mapping[Any, Any]) -> str:
    """The effect in its own unit, or what a theorem was checked on; nothing of what was not run."""
    if record["measured"] or record["decision"] == "unassessed":
        return str(record["measured"])
    return f"{record['checked']:,} {record['n_unit']}"


def handles() -> list[Any]:
    """What the shade and both lines are, for a legend."""
    return [
        Patch(color=SHADE, label="what the claim says"),
        Line2D([], [], color=GRAY, marker="o", markersize=3.5, linewidth=2.2,
               label="effect, 95%"),
        Line2D([], [], color=GRAY, linewidth=0.8, label="interval that decides (Holm)"),
    ]  # fmt: skip


def _verdict(record: Mapping[Any, Any]) -> str:
    """Mark, decision and number."""
    mark = DECISIONS[str(record["decision"])][1]
    return f"{mark} {record['decision']}: {number(record)}".removesuffix(": ")


def _effect(ax: Axes, y: int, record: Mapping[Any, Any], color: str) -> None:
    left, right = (place(end) for end in REGIONS[record["region"]])
    ax.add_patch(Rectangle((left, y - 0.36), right - left, 0.72, color=SHADE, linewidth=0))
    ax.plot(
        [place(record[key]) for key in ("low_corrected", "high_corrected")], [y, y],
        color=color, linewidth=0.8,
    )  # fmt: skip
    ax.plot([place(record[key]) for key in ("low", "high")], [y, y], color=color, linewidth=2.2)
    beyond = abs(record["estimate"]) > LIMIT
    marker = (">" if record["estimate"] > 0 else "<") if beyond else "o"
    at = place(record["estimate"])
    ax.plot(at, y, marker=marker, color=color, markersize=3.5, clip_on=False)


def _axis(ax: Axes, n: int) -> None:
    ax.set_xlim(-1.02, 1.02)
    ax.set_ylim(n - 0.4, -0.6)
    ax.set_xticks([place(t) for t in TICKS], [f"{t}".replace("-", "−") for t in TICKS])
    ax.set_yticks([])
    ax.set_xlabel("multiples of the smallest effect of interest")
    ax.axvline(0, color="#444444", linewidth=0.7, zorder=1)
    ax.spines["left"].set_visible(False)
