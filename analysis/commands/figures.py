"""`mitheory figures`: the pictures of a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from ..manners import say


def figures(
    results: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    force: Annotated[bool, typer.Option("--force", help="Also what is up to date.")] = False,
) -> Any:
    """Draw every figure that is out of date, and index.html, from the tables of a run.

    [bold]Example[/]: mitheory figures out/
    """
    # a stage of its own with files in between: paper_figures imports analysis, never back
    command = [sys.executable, "-m", "paper_figures", "--results", str(results)]
    with subprocess.Popen(command + ["--force"] * force, stdout=subprocess.PIPE, text=True) as task:
        for line in task.stdout or ():
            say(escape(line.rstrip()))
    if task.returncode:
        raise typer.Exit(task.returncode)
    return {"page": results / "index.html", "figures": results / "figures"}
