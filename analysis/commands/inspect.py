"""`mitheory inspect`: what a bundle holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ..manners import show, visible


def inspect(path: Annotated[Path, typer.Argument(help="A bundle.")]) -> dict[str, Any]:
    """Print what a bundle holds and where it came from.

    [bold]Example[/]: mitheory inspect bundles/fly
    """
    from mitheory.bundle import inspect as describe

    table = Table("field", "value", title=escape(visible(str(path))))
    found = describe(path)
    for key, value in found.items():
        table.add_row(key, escape(visible(str(value))))
    show(table)
    return found
