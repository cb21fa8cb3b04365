"""Options that several commands share."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..manners import FLAGS

Out = Annotated[Path, typer.Option(help="Folder to write to; made if missing.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto.")]
Seed = Annotated[int, typer.Option(help="Seed of the scenes and of every random selector.")]
Jobs = Annotated[int, typer.Option(help="Worker processes; -1 takes all cores.")]
Model = Annotated[
    str,
    typer.Option(
        help="fruitfly, fruitfly-contrastive, or a checkpoint file.",
        autocompletion=lambda: ["fruitfly", "fruitfly-contrastive"],
    ),
]
Scheduler = Annotated[
    str, typer.Option(help="Dask scheduler (tcp://...) whose workers see the same files.")
]


def command_line() -> str:
    """The command line as the user would type it again, without what changes no result."""
    return shlex.join(["mitheory", *(word for word in sys.argv[1:] if word not in FLAGS)])
