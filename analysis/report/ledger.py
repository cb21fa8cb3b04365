"""The ledger: a row per claim."""

from __future__ import annotations

from collections.abc import Sequence

from . import interval
from .formatting import plain, words
from .html import Markup, tag
from .verdicts import Record, badge, corrected_line, decision, effect_line, region_line

COLUMNS = ("claim", "source", "verdict", "effect against the smallest of interest", "n")


def ledger(records: Sequence[Record]) -> Markup:
    """All claims as a table; on a phone each row is a card."""
    heads = [tag("th", name, scope="col") for name in COLUMNS]
    heads[3] = tag("th", COLUMNS[3], interval.axis(), scope="col", class_="effect")
    return tag(
        "table",
        tag("thead", tag("tr", heads)),
        tag("tbody", [_row(record) for record in records]),
        class_="ledger",
    )


def anchor(record: Record) -> str:
    """Id of the claim's section."""
    return f"claim-{record['claim']}"


def _row(record: Record) -> Markup:
    name = tag("a", words(record["claim"]), href=f"#{anchor(record)}")
    small = tag("span", record["statement"], class_="statement")
    count = tag("span", f"{plain(record['n'])} ", class_="count"), record["unit"]
    return tag(
        "tr",
        tag("th", name, small, scope="row"),
        tag("td", record["source"], class_="source"),
        tag("td", badge(decision(record)), class_="verdict"),
        tag("td", _effect(record), class_="effect"),
        tag("td", count, class_="n"),
    )


def _effect(record: Record) -> Markup | str:
    effect, smallest = record["effect"], record["smallest_effect"]
    if record["reason"]:
        return tag("span", record["error"] or record["reason"], class_="why")
    if effect is None:
        said = f"{plain(record['checked'])} checked" if record["checked"] else ""
        return tag("span", said, class_="why")
    line = tag("span", effect_line(record), class_="number")
    if smallest is None:
        return tag("span", line, " ", effect["name"], class_="why")
    label = f"{effect_line(record)}; {region_line(record)}; {corrected_line(record) or ''}"
    drawing = interval.draw(effect, smallest, label=label)
    return tag("div", drawing, line, tag("span", region_line(record), class_="region"))
