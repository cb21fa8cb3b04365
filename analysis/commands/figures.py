"""`mitheory figures`: the pictures of a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer


def figures(
    results: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    force: Annotated[bool, typer.Option("--force", help="Also what is up to date.")] = False,
) -> None:
    """Draw every figure that is out of date, and index.html, from the tables of a run.

    [bold]Example[/]: mitheory figures out/
    """
    # a stage of its own with files in between: paper_figures imports analysis, never back
    command = [sys.executable, "-m", "paper_figures", "--results", str(results)]
    done = subprocess.run(command + ["--force"] * force, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)
