"""Elements of a page as strings, escaped unless they are elements themselves."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

VOID = frozenset({"br", "meta", "col", "wbr", "hr"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Escaped unless markup; parts of an iterable one after the other; None, False are nothing.

    Examples
    --------
    >>> text("a < b"), text([Markup("<b>"), "&", None, False])
    ('a &lt; b', '<b>&amp;')
    """
    if value is None or value is False:
        return Markup("")
    if isinstance(value, Markup):
        return value
    if isinstance(value, Iterable) and not isinstance(value, str):
        return Markup("".join(text(part) for part in value))
    return Markup(escape(str(value)))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element. Attributes that are None or False are left out; `class_` is `class`.

    Examples
    --------
    >>> tag("a", "<x>", href="#y", class_="link", data_label="z")
    '<a href="#y" class="link" data-label="z">&lt;x&gt;</a>'
    """
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        parts.append(key if value is True else f'{key}="{escape(str(value))}"')
    opening = f"<{' '.join(parts)}>"
    return Markup(opening if name in VOID else f"{opening}{text(children)}</{name}>")
