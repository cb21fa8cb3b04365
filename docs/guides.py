"""The guides: every page of docs/ that has no other place in the navigation.

`make docs` writes docs/guides.md, which is not kept in the repository.
"""

from __future__ import annotations

import re
from pathlib import Path

from mitheory.io import atomic_write_text

HERE = Path(__file__).resolve().parent
TARGET = Path("guides.md")
HEADER = "# Guides\n\n```{toctree}\n:maxdepth: 2\n\n"


def write(folder: Path) -> None:
    """Write the page below `folder`."""
    text, path = document(), folder / TARGET
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        atomic_write_text(path, text)


def document() -> str:
    """The page."""
    return HEADER + "".join(f"{name}\n" for name in names()) + "```\n"


def names() -> list[str]:
    """Pages that no toctree names.

    >>> "cli" in names(), "theory" in names()
    (True, False)
    """
    pages = {p.stem: p for p in HERE.glob("*.md") if p.name not in ("index.md", TARGET.name)}
    texts = [p.read_text(encoding="utf-8") for p in (*pages.values(), HERE / "index.md")]
    blocks = [b for text in texts for b in re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL)]
    placed = {line.strip() for block in blocks for line in block.splitlines()}
    return sorted(set(pages) - placed)
