"""`mitheory study`: what the paper leaves open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from ..manners import say, show
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
    list_only: Annotated[bool, typer.Option("--list", help="Name the studies and stop.")] = False,
) -> Any:
    """Answer what the paper leaves open, study by study; tables go to OUT/studies.

    A study that is done is not done again unless its code, model, seed or size have changed.

    [bold]Example[/]: mitheory study --list
    """
    from ..studies import STUDIES, Context, run_studies

    if list_only:
        for known in STUDIES.values():
            show(f"[bold]{known.name}[/]: {known.title}")
        return [{"name": known.name, "title": known.title} for known in STUDIES.values()]
    context = Context(out, model=model, seed=seed, quick=quick, jobs=jobs, device=device)
    paths = [context.table(name) for name in run_studies(context, names or None)]
    for path in paths:
        say(escape(str(path)))
    return {"tables": paths}
