"""How records show themselves in a notebook: a small table, everything escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable

STRIP = 480  # pixels
LEFT = ' style="text-align: left; vertical-align: top"'
"""Sentences read so; notebooks align the cells of tables to the right, as numbers."""


def table(title: str, said: str, rows: Iterable[tuple[str, str]], below: str = "") -> str:
    """HTML of a caption and a line for each pair; pairs without text are left out.

    Parameters
    ----------
    title, said : the caption: in bold, and behind it
    rows : name and text
    below : HTML that is put under the table as it is

    Examples
    --------
    >>> page = table("a<b", "holds", [("n", "3"), ("why", "")])
    >>> print(page.replace(LEFT, "").replace("<tbody>", chr(10)))
    <table><caption><b>a&lt;b</b>: holds</caption>
    <tr><th>n</th><td>3</td></tr></tbody></table>
    """
    caption = f"<b>{html.escape(title)}</b>: {html.escape(said)}"
    body = "".join(
        f"<tr><th{LEFT}>{html.escape(name)}</th><td{LEFT}>{html.escape(text)}</td></tr>"
        for name, text in rows
        if text
    )
    return f"<table><caption{LEFT}>{caption}</caption><tbody>{body}</tbody></table>{below}"


def strip(chosen: Iterable[int], n: int) -> str:
    """SVG of n places in a row, the chosen ones filled.

    Examples
    --------
    >>> strip([1], 4).count("<rect"), 'x="1"' in strip([1], 4)
    (2, True)
    """
    marks = "".join(f'<rect x="{i}" width="1" height="1"/>' for i in sorted(set(chosen)))
    return (
        f'<svg width="{STRIP}" height="14" viewBox="0 0 {n} 1" preserveAspectRatio="none" '
        f'role="img" aria-label="kept tokens in raster order">'
        f'<rect width="{n}" height="1" fill="#e3e3e3"/><g fill="#0072B2">{marks}</g></svg>'
    )
