"""`mitheory figures`: the pictures of a run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from mitheory.errors import MissingInputError

from ..manners import REFUSED, say


def figures(
    results: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    force: Annotated[bool, typer.Option("--force", help="Also what is up to date.")] = False,
) -> Any:
    """Draw every figure that is out of date, and index.html, from the tables of a run.

    [bold]Example[/]: mitheory figures out/
    """
    # a stage of its own with files in between: paper_figures imports analysis, never back
    command = [sys.executable, "-m", "paper_figures", "--results", str(results)]
    command += ["--force"] * force
    with tempfile.TemporaryFile("w+", encoding="utf-8") as aside:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=aside, text=True) as task:
            for line in task.stdout or ():
                say(escape(line.rstrip()))
        aside.seek(0)
        said = aside.read().strip()
    if task.returncode:
        raise _error(task.returncode, said)
    if said:
        say(escape(said))
    return {"page": results / "index.html", "figures": results / "figures"}


def _error(status: int, said: str) -> Exception:
    """What ended the drawing: its last line, and for --debug all of it."""
    last = said.splitlines()[-1] if said else f"ended with status {status}"
    if status == REFUSED:
        return MissingInputError(last.removeprefix("error: "))
    fault = RuntimeError(f"figures: {last}")
    fault.add_note(said)
    return fault
