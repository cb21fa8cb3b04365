"""`mitheory card`: the model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..manners import say


def card(
    out: Annotated[Path, typer.Option(help="Markdown file to write.")] = Path("docs/model_card.md"),
    limit: Annotated[int, typer.Option(help="Test questions per checkpoint.", min=16)] = 4096,
) -> dict[str, Any]:
    """Measure the shipped checkpoints on held-out scenes and write their model card.

    [bold]Example[/]: mitheory card --out docs/model_card.md
    """
    from mitheory.io import atomic_write_text

    from ..model_card import write

    atomic_write_text(out, write(limit=limit) + "\n")
    say(f"wrote [bold]{out}[/]")
    return {"card": out}
