"""JSON values as tables that a person reads: nested ones inside, long ones folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .formatting import DASH, plain, words
from .html import Markup, tag, text

LONG = 12  # rows


def value(item: Any) -> Markup:
    """A number, a word, a list or a table.

    Examples
    --------
    >>> value(0.25), value(True), value(None), value([1, 2])
    ('0.25', 'yes', '–', '1, 2')
    """
    if item is None:
        return Markup(DASH)
    if isinstance(item, bool):
        return Markup("yes" if item else "no")
    if isinstance(item, int | float):
        return Markup(plain(item))
    if isinstance(item, Mapping):
        return _mapping(item)
    if isinstance(item, Sequence) and not isinstance(item, str):
        return _sequence(item)
    return text(item)


def _mapping(items: Mapping[str, Any]) -> Markup:
    if not items:
        return Markup(DASH)
    if (keys := _shared_keys(list(items.values()))) is not None:
        rows = [
            [words(str(name)), *(value(row.get(k)) for k in keys)] for name, row in items.items()
        ]
        return _table(rows, ["", *map(words, keys)])
    rows = [[words(str(name)), value(item)] for name, item in items.items()]
    return _table(rows, None)


def _sequence(items: Sequence[Any]) -> Markup:
    if not items:
        return Markup(DASH)
    if (keys := _shared_keys(items)) is not None:
        return _table([[value(row.get(k)) for k in keys] for row in items], list(map(words, keys)))
    if any(isinstance(item, Mapping | list | tuple) for item in items):
        return _table([[value(item)] for item in items], None)
    parts = [part for item in items for part in (", ", value(item))][1:]
    return text(parts) if len(items) <= LONG else _folded(text(parts), f"{len(items)} values")


def _shared_keys(items: Sequence[Any]) -> list[str] | None:
    """Keys of two or more flat records, in order of appearance; None if they are no such thing."""
    if len(items) < 2 or not all(isinstance(item, Mapping) and item for item in items):
        return None
    keys = list(dict.fromkeys(str(key) for item in items for key in item))
    common = set.intersection(*(set(item) for item in items))
    return keys if len(common) >= len(keys) / 2 else None


def _table(rows: Sequence[Sequence[object]], header: Sequence[str] | None) -> Markup:
    head = header and tag("thead", tag("tr", [tag("th", name, scope="col") for name in header]))
    first = "td" if header and header[0] else "th"
    body = [
        tag("tr", tag(first, row[0], scope="row" if first == "th" else None), map(_cell, row[1:]))
        for row in rows
    ]
    table = tag("div", tag("table", head, tag("tbody", body)), class_="scroll", tabindex=0)
    return table if len(rows) <= LONG else _folded(table, f"{len(rows)} rows")


def _cell(item: object) -> Markup:
    # or a column of words wraps at each of them
    long = isinstance(item, str) and len(item) > 24 and not item.startswith("<")
    return tag("td", item, class_="long" if long else None)


def _folded(content: Markup, title: str) -> Markup:
    return tag("details", tag("summary", title), content)
