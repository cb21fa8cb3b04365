"""`mitheory inspect`: what a bundle holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..progress import console


def inspect(path: Annotated[Path, typer.Argument(help="A bundle.")]) -> None:
    """Print what a bundle holds and where it came from.

    [bold]Example[/]: mitheory inspect bundles/fly
    """
    from mitheory.bundle import inspect as describe

    table = Table("field", "value", title=str(path))
    for key, value in describe(path).items():
        table.add_row(str(key), str(value))
    console.print(table)
