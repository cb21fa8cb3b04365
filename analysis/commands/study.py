"""`mitheory study`: what the paper leaves open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..progress import console
from .options import Device, Jobs, Model, Out, Seed


def study(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which; all without. --list says which there are.")
    ] = None,
    out: Out = Path("out"),
    model: Model = "fruitfly",
    quick: Annotated[bool, typer.Option("--quick", help="Few questions: seconds.")] = False,
    seed: Seed = 0,
    jobs: Jobs = 2,
    device: Device = "cpu",
    show: Annotated[bool, typer.Option("--list", help="Name the studies and stop.")] = False,
) -> None:
    """Answer what the paper leaves open, study by study; tables go to OUT/studies.

    A study that is done is not done again unless its code, model, seed or size have changed.

    [bold]Example[/]: mitheory study --list
    """
    from ..studies import STUDIES, Context, run_studies

    if show:
        for known in STUDIES.values():
            console.print(f"[bold]{known.name}[/]: {known.title}")
        return
    context = Context(out, model=model, seed=seed, quick=quick, jobs=jobs, device=device)
    for path in run_studies(context, names or None):
        console.print(str(path))
