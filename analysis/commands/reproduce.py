"""`mitheory reproduce`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..manners import PartFailed, say
from .audit import audited
from .figures import figures
from .options import Device, Jobs, Model, Out, Seed, command_line


def reproduce(
    out: Out = Path("out"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer questions and settings: three minutes.")
    ] = False,
    model: Model = "fruitfly",
    limit: Annotated[int, typer.Option(help="Questions; 0 takes the default.", min=0)] = 0,
    seed: Seed = 0,
    jobs: Jobs = 2,
    device: Device = "cpu",
) -> Any:
    """Run the paper's method and its peers on the embedded model; audit its embeddings.

    Writes tables, figures and index.html, and the report of the audit to audit/.

    Stopped at any moment and started again, it goes on where it was.

    [bold]Example[/]: mitheory reproduce --quick --out out/
    """
    from ..reproduction import Run
    from ..reproduction import reproduce as compute
    from ..studies import Context, run_studies

    changes = {"limit": limit} if limit else {}
    run = Run.make(quick=quick, model=model, seed=seed, **changes)
    compute(run, out, jobs=jobs, device=device, command=command_line())
    say("[bold]4/5[/] studies of what the paper leaves open")
    context = Context(out, model=model, seed=seed, quick=quick, jobs=jobs, device=device)
    run_studies(context)
    say("[bold]5/5[/] audit the embeddings")
    done = audited(out / "bundle", out / "audit", None, {"seed": seed, "model": model}, jobs)
    figures(out, force=False)
    page = out / "index.html"
    say(f"open [bold]{page}[/]")
    outcome = {"page": page, "results": out / "results.parquet", "audit": done.records}
    return PartFailed(outcome) if done.errors else outcome
