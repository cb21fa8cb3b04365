"""The `mitheory` command."""

from __future__ import annotations

from importlib import import_module

import typer

from mitheory.errors import MitheoryError

from .progress import console

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
    "inspect",
    "card",
)

app = typer.Typer(
    help="Is information-theoretic visual-token pruning right, and when?",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)
for name in COMMANDS:
    app.command()(getattr(import_module(f"{__package__}.commands.{name}"), name))


def main() -> None:
    """Entry point: a known error is one line and exit status 2, never a traceback."""
    try:
        app()
    except MitheoryError as error:
        console.print(f"[red]error:[/] {error}", soft_wrap=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
