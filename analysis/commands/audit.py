"""`mitheory audit`: every claim on a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from ..manners import PartFailed, say, show
from .options import Jobs, Out, Scheduler, command_line

if TYPE_CHECKING:
    from ..auditing import Audited

SIGNS = {"negligible": "<", "at_least": "≥", "at_most": "<"}  # of an effect, or of its size


def audit(
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle; none for the claims that need none.")
    ] = None,
    out: Out = Path("audit"),
    claims: Annotated[
        str, typer.Option(help="Names, separated by commas; `mitheory claims` lists them.")
    ] = "",
    jobs: Jobs = 2,
    seed: Annotated[int, typer.Option(help="Of every random step; verdicts depend on it.")] = 0,
    model: Annotated[
        str, typer.Option(help="Checkpoint for claims with a model, if the bundle names none.")
    ] = "",
    scheduler: Scheduler = "",
) -> Any:
    """Test every claim of the paper on a bundle of embeddings; write verdicts and a report.

    Says of each claim whether it holds on these embeddings, by how much, and how sure one can be.
    Holm's correction covers the claims of one run, so fewer --claims mean narrower intervals.
    Stopped at any moment and started again, it goes on where it was. Exit status 1 if a claim
    failed with an error (the others are written all the same).

    [bold]Example[/]: mitheory audit out/bundle --out audit/ --jobs 2
    """
    names = [name.strip() for name in claims.split(",") if name.strip()]
    options = {"seed": seed, "model": model or None}
    done = audited(bundle, out, names or None, options, jobs, scheduler or None)
    outcome = {"page": out / "index.html", "verdicts": done.records, "errors": done.errors}
    return PartFailed(outcome) if done.errors else outcome


def audited(
    bundle: Path | None,
    out: Path,
    names: list[str] | None,
    options: dict[str, Any],
    jobs: int,
    scheduler: str | None = None,
) -> Audited:
    """Audit, write the report, print the ledger."""
    from mitheory.bundle import Bundle

    from ..auditing import Options, run
    from ..report import write

    done = run(
        Bundle.open(bundle) if bundle is not None else None,
        out,
        claims=names,
        options=Options(**options),
        jobs=jobs,
        scheduler=scheduler,
        command=command_line(),
    )
    page = write(out)
    show(verdict_table(done))
    say(f"open [bold]{page}[/]")
    if done.errors:
        say(f"[red]{len(done.errors)} claims failed:[/] see {out / 'errors.json'}")
    return done


def verdict_table(done: Audited) -> Table:
    """A line per claim, as the terminal shows it."""
    whole = (Column(name, no_wrap=True) for name in ("claim", "verdict"))
    table = Table(*whole, "effect [95%]", "claimed", "n", "s", box=None, padding=(0, 1))
    for record in done.records:
        effect, smallest = record["effect"], record["smallest_effect"]
        table.add_row(
            record["claim"],
            record["decision"] if not record["error"] else "error",
            "{value:.2g} [{low:.2g}, {high:.2g}] {unit}".format(**effect) if effect else "",
            f"{SIGNS[smallest['region']]} {smallest['value']:g}" if smallest else "",
            str(record["n"]),
            f"{done.timings[record['claim']]:.0f}",
        )
    return table
