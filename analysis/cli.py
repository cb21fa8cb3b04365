"""The `mitheory` command."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated

import typer

from mitheory import provenance

from . import commands
from .manners import mannered, run

# A line each, in the order of `mitheory --help`: function NAME of analysis/commands/NAME.py.
COMMANDS = (
    "reproduce",
    "study",
    "figures",
    "extract",
    "audit",
    "ablate",
    "claims",
    "calibrate",
    "dtypes",
    "datasets",
    "score",
    "evaluate",
    "inspect",
    "ask",
    "card",
)


def _tell_version(wanted: bool) -> None:
    """Say the version and stop."""
    if wanted:
        found = provenance.library_versions().get("mitheory")
        print(f"mitheory {found or '(on the path, not installed)'}")
        raise typer.Exit


app = typer.Typer(
    help="Is information-theoretic visual-token pruning right, and when?",
    rich_markup_mode="rich",
)
for name in COMMANDS:
    app.command()(mannered(getattr(import_module(f"{commands.__name__}.{name}"), name)))


@app.callback()
def mitheory(
    version: Annotated[
        bool, typer.Option("--version", help="Say which.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    """Is information-theoretic visual-token pruning right, and when?

    Every command takes --json, --quiet, --verbose and --debug, and ends in one of the exit
    statuses 0 (done), 1 (done, but a part failed), 2 (cannot be done as asked), 70 (a fault of
    ours), 74 (the file system refused), 130 (interrupted).
    """


def main() -> None:
    """Entry point: an error is one line with a hint, a traceback only with --debug."""
    raise SystemExit(run(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
