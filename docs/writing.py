"""Small pieces of Markdown for the pages that are written from code and from result files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def plain(text: str) -> str:
    """Text as it is, none of it read as Markdown, mathematics or HTML.

    >>> print(plain("a_b *c* [d] <e> $5 1. f"))
    a\\_b \\*c\\* \\[d\\] \\<e\\> \\$5 1. f
    """
    return re.sub(r"([\\`*_\[\]<>$#|{}])", r"\\\1", " ".join(text.split()))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown already.

    >>> print(table(["a", "b"], [["1", "2"]]), end="")
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [header, *rows]
    text = [f"| {' | '.join(cells)} |\n" for cells in lines]
    text.insert(1, f"|{'---|' * len(header)}\n")
    return "".join(text)


def hidden_toctree(names: Iterable[str], *, depth: int = 1) -> str:
    """A toctree that is in the navigation and not on the page.

    >>> print(hidden_toctree(["a", "b"]), end="")
    ```{toctree}
    :hidden:
    :maxdepth: 1
    <BLANKLINE>
    a
    b
    ```
    """
    listed = "".join(f"{name}\n" for name in names)
    return f"```{{toctree}}\n:hidden:\n:maxdepth: {depth}\n\n{listed}```\n"
