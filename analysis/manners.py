"""How every command behaves: its common options, its output for machines, its errors.

Status 0: done. 1: done, but a part of it failed, and the output says which. 2: what was asked for
cannot be done: a wrong option, file or name. 70: a fault of ours. 74: the file system refused.
130: interrupted.
"""

from __future__ import annotations

import errno
import inspect
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.markup import escape

from mitheory.errors import (
    BundleError,
    JudgeError,
    MissingDependencyError,
    MissingFilesError,
    MitheoryError,
    RowError,
    SpaceError,
)
from mitheory.provenance import library_versions

from .progress import LOG_SECONDS, console

DONE, PART_FAILED, REFUSED, FAULT, FILE_SYSTEM, INTERRUPTED = 0, 1, 2, 70, 74, 130
STATUSES = {
    DONE: "done",
    PART_FAILED: "done, but a part of it failed; the output says which",
    REFUSED: "what was asked for cannot be done: a wrong option, file or name",
    FAULT: "a fault of ours",
    FILE_SYSTEM: "the file system refused: no space, no permission",
    INTERRUPTED: "interrupted",
}
LINE_SECONDS = {False: 30.0, True: 5.0}  # between two lines of progress in a log; verbose

# By the kind of error, the nearest of its bases first; {command} is what was typed.
HINTS: dict[type[BaseException], str] = {
    MissingDependencyError: "pip install 'mitheory[EXTRA]' with the extra it names",
    BundleError: "`mitheory extract` writes a bundle, `mitheory inspect` reads one",
    MissingFilesError: "`mitheory datasets` says where the files come from",
    RowError: "mend that line of the file and start again",
    SpaceError: "free some space, or choose another disk with --out",
    JudgeError: "start again: what has been judged is not asked again",
    MitheoryError: "`{command} --help` has an example",
    KeyboardInterrupt: "started again, it goes on where it was",
    Exception: "a fault of ours; with --debug it shows where, for a report",
}
FILE_HINTS = {
    errno.ENOSPC: "free some space and start again: it goes on where it was",
    errno.EDQUOT: "free some of the quota and start again: it goes on where it was",
    errno.EFBIG: "no file may be that large here (ulimit -f)",
    errno.EACCES: "choose another folder with --out, or change its permissions",
    errno.EPERM: "choose another folder with --out, or change its permissions",
    errno.EROFS: "choose another folder with --out",
}
# What typer raises for a wrong command line; its home has changed between releases.
WrongUsage: type[Exception] = typer.BadParameter.__mro__[2]

# Bars that libraries draw anew in one line fill a log; what they warn of, --quiet leaves out.
NO_BARS = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
NO_WARNINGS = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_VERBOSITY": "error",
    "KINETO_LOG_LEVEL": "99",  # of the profiler of torch
}

# Whether tables for readers go to standard output, which --json keeps for itself.
_SHOWN: ContextVar[bool] = ContextVar("_SHOWN", default=True)

PANEL = "Of every command"
COMMON: dict[str, Any] = {
    "as_json": Annotated[
        bool,
        typer.Option(
            "--json", help="The outcome as JSON on standard output.", rich_help_panel=PANEL
        ),
    ],
    "quiet": Annotated[
        bool, typer.Option("--quiet", "-q", help="No messages, no progress.", rich_help_panel=PANEL)
    ],
    "verbose": Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Also versions and times.", rich_help_panel=PANEL),
    ],
    "debug": Annotated[
        bool,
        typer.Option("--debug", help="A traceback where an error ends it.", rich_help_panel=PANEL),
    ],
}
FLAGS = ("--json", "--quiet", "-q", "--verbose", "-v", "--debug")


@dataclass(frozen=True)
class PartFailed:
    """The outcome of a command of which a part failed: it is shown, and the status is 1."""

    outcome: Any


class _InterruptedError(Exception):
    """Carries a KeyboardInterrupt past typer."""

    def __init__(self, stop: KeyboardInterrupt) -> None:
        super().__init__()
        self.stop = stop


def mannered(command: Callable[..., Any]) -> Callable[..., None]:
    """A command with the common options; what it returns is its outcome for machines.

    Parameters
    ----------
    command : a function whose signature typer reads; returns what `plain` can write as JSON

    Examples
    --------
    >>> def double(number: int = 1) -> dict[str, int]:
    ...     return {"doubled": 2 * number}
    >>> mannered(double)(number=4, as_json=True, quiet=True)
    {"doubled": 8}
    >>> list(inspect.signature(mannered(double)).parameters)
    ['number', 'as_json', 'quiet', 'verbose', 'debug']
    """
    signature = inspect.signature(command, eval_str=True)

    @wraps(command)
    def behaved(
        *, as_json: bool = False, quiet: bool = False, verbose: bool = False, **given: Any
    ) -> None:
        given.pop("debug", None)  # read where errors end up, in `run`
        if quiet and verbose:
            raise typer.BadParameter("--quiet and --verbose contradict each other")
        with _voice(as_json=as_json, quiet=quiet, verbose=verbose):
            started = time.monotonic()
            if verbose:
                say(", ".join(f"{k} {v}" for k, v in library_versions().items()))
            try:
                outcome = command(**given)
            except KeyboardInterrupt as stop:  # some releases of typer would end it without a word
                raise _InterruptedError(stop) from None
            if verbose:
                say(f"{time.monotonic() - started:.1f} s")
        failed = isinstance(outcome, PartFailed)
        if as_json:
            write_json(outcome.outcome if failed else outcome)
        if failed:
            raise typer.Exit(PART_FAILED)

    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
        for name, option in COMMON.items()
    ]
    parameters = [*signature.parameters.values(), *common]
    behaved.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters, return_annotation=None
    )
    behaved.__annotations__ = {p.name: p.annotation for p in parameters}  # older typers read these
    return behaved


@contextmanager
def _voice(*, as_json: bool, quiet: bool, verbose: bool) -> Iterator[None]:
    """How loud the console is, and how often a log hears of progress, inside the block.

    Other libraries, and worker processes, read it in the environment; what is set there stays.
    """
    before = console.quiet
    console.quiet = quiet
    lines = LOG_SECONDS.set(None if quiet else LINE_SECONDS[verbose])
    tables = _SHOWN.set(not as_json)
    wanted = (NO_BARS if quiet or not console.is_terminal else {}) | (NO_WARNINGS if quiet else {})
    told = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(told)
    try:
        yield
    finally:
        for name in told:
            del os.environ[name]
        console.quiet = before
        LOG_SECONDS.reset(lines)
        _SHOWN.reset(tables)


def say(text: str) -> None:
    """A message for a reader, on standard error; rich markup."""
    console.print(text, soft_wrap=True)


def show(what: RenderableType, **options: Any) -> None:
    """What a reader asked for, on standard output, unless --json was; options of rich's print."""
    if _SHOWN.get():
        Console().print(what, **options)


def visible(text: str) -> str:
    """Text of a file that may be a stranger's, its control characters written out.

    Else a name in a bundle could move the cursor, or rename the window, of who looks at it.

    Examples
    --------
    >>> visible("caf" + chr(233) + chr(27) + "[2J")
    'café\\\\x1b[2J'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def plain(value: Any) -> Any:
    """A value as JSON can hold it: paths as text, records as objects, NaN and infinities as null.

    Raises
    ------
    TypeError
        If JSON has nothing like it.

    Examples
    --------
    >>> plain({"at": Path("out"), "low": float("nan"), "budgets": (16, 4)})
    {'at': 'out', 'low': None, 'budgets': [16, 4]}
    """
    if hasattr(value, "to_dict") and hasattr(value, "columns"):  # a data frame, row by row
        return plain(value.to_dict(orient="records"))
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if hasattr(value, "item"):  # a number of NumPy or torch
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"an outcome must be what JSON can hold; got {type(value).__name__}")


def write_json(value: Any) -> None:
    """One line of JSON on standard output."""
    print(json.dumps(plain(value), allow_nan=False))


def hint(error: BaseException, command: str = "mitheory") -> str:
    """What to do about an error.

    Parameters
    ----------
    error : what ended a command
    command : which, such as ``mitheory audit``

    Examples
    --------
    >>> hint(BundleError("no index"), "mitheory audit")
    '`mitheory extract` writes a bundle, `mitheory inspect` reads one'
    >>> hint(OSError(errno.ENOSPC, "No space left on device"))
    'free some space and start again: it goes on where it was'
    """
    if isinstance(error, WrongUsage):
        return f"`{command} --help` has an example"
    if isinstance(error, OSError) and not isinstance(error, MitheoryError):
        return FILE_HINTS.get(error.errno or 0, "check the path")
    kind = next(kind for kind in type(error).__mro__ if kind in HINTS)
    return HINTS[kind].format(command=command)


def status(error: BaseException) -> int:
    """The exit status that an error ends in.

    Examples
    --------
    >>> status(BundleError()), status(OSError()), status(ZeroDivisionError())
    (2, 74, 70)
    """
    if isinstance(error, MitheoryError | WrongUsage):
        return REFUSED
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return FILE_SYSTEM if isinstance(error, OSError) else FAULT


def sentence(error: BaseException) -> str:
    """An error as one line, however many its message has.

    Examples
    --------
    >>> sentence(ZeroDivisionError("first" + chr(10) + "  second"))
    'ZeroDivisionError: first second'
    >>> sentence(BundleError("fly: has no index.json"))
    'fly: has no index.json'
    """
    if isinstance(error, KeyboardInterrupt):
        return STATUSES[INTERRUPTED]
    if isinstance(error, WrongUsage):
        return " ".join(error.format_message().split())  # type: ignore[attr-defined]
    text = " ".join(str(error).split())
    if status(error) == FAULT:
        return f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text or type(error).__name__


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run a command line: an error is one line with a hint, a traceback only with --debug.

    Parameters
    ----------
    app : the commands
    arguments : what was typed after `mitheory`

    Returns
    -------
    int
        The exit status, of `STATUSES`.
    """
    command = typer.main.get_command(app)
    try:
        found = command.main(
            args=list(arguments) or ["--help"], prog_name="mitheory", standalone_mode=False
        )
        return found if isinstance(found, int) else DONE
    except _InterruptedError as caught:
        error: BaseException = caught.stop
    except Exception as caught:
        error = caught
    if "--debug" in arguments and not isinstance(error, WrongUsage):
        raise error
    known = [word for word in arguments[:1] if word in getattr(command, "commands", {})]
    text, advice = sentence(error), hint(error, " ".join(["mitheory", *known]))
    # not through `console`, which --quiet silences
    Console(stderr=True).print(
        f"[red]error:[/] {escape(visible(text))} [dim](hint: {escape(advice)})[/]",
        soft_wrap=True,
        highlight=False,
    )
    if "--json" in arguments:
        name = type(error).__name__
        write_json({"error": {"type": name, "message": text, "hint": advice}})
    return status(error)
