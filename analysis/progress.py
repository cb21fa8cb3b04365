"""One look for every progress bar; on no terminal a plain line now and then, or nothing."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

console = Console(stderr=True)
# Seconds between two lines of a log; None, as in a notebook or a test, writes none.
LOG_SECONDS: ContextVar[float | None] = ContextVar("LOG_SECONDS", default=None)


class LoggedProgress(Progress):
    """A bar that, where there is no terminal, says how far it is in plain lines.

    A line comes after `seconds` at the earliest, then again as often, and one at the end: no
    carriage return, no escape sequence, nothing that a log would keep a thousand times.

    Parameters
    ----------
    columns : as of `rich.progress.Progress`
    seconds : between two lines about a task; None writes none
    clock : seconds since any moment
    options : as of `rich.progress.Progress`
    """

    def __init__(
        self,
        *columns: Any,
        seconds: float | None,
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        super().__init__(*columns, get_time=clock, **options)
        self._seconds = seconds
        self._clock = clock
        self._told: dict[TaskID, float] = {}

    def add_task(self, description: str, *arguments: Any, **options: Any) -> TaskID:
        """As of `rich.progress.Progress`."""
        task = super().add_task(description, *arguments, **options)
        self._told[task] = self._clock()
        return task

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """As of `rich.progress.Progress`."""
        super().advance(task_id, advance)
        self._tell(task_id)

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """As of `rich.progress.Progress`."""
        super().update(task_id, **changes)
        self._tell(task_id)

    def stop(self) -> None:
        """As of `rich.progress.Progress`, whose older releases end a silent bar with a blank."""
        if not self.disable:
            super().stop()

    def _tell(self, task_id: TaskID) -> None:
        """A line about a task, if it is time for one and nobody sees the bar."""
        if self._seconds is None or not self.disable or task_id not in self._told:
            return
        task = next(task for task in self.tasks if task.id == task_id)
        now = self._clock()
        if task.finished or now - self._told[task_id] >= self._seconds:
            self.console.print(line(task), soft_wrap=True, markup=False, highlight=False)
            self._told[task_id] = now
        if task.finished:
            del self._told[task_id]  # once


def line(task: Task) -> str:
    """How far a task is, in words for a log.

    Examples
    --------
    >>> bar = LoggedProgress(seconds=None, clock=lambda: 0.0, disable=True)
    >>> task = bar.add_task("[bold]extract[/]", total=8, completed=2)
    >>> line(bar.tasks[0])
    'extract: 2 of 8 (25%), 0 s'
    """
    of = "" if task.total is None else f" of {task.total:g} ({task.percentage:.0f}%)"
    description = Text.from_markup(task.description).plain.strip()
    return f"{description}: {task.completed:g}{of}, {task.elapsed or 0:.0f} s"


def progress() -> Progress:
    """A bar with count, elapsed and remaining time, on standard error."""
    return LoggedProgress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=console.quiet or not console.is_terminal,
        seconds=LOG_SECONDS.get(),
    )


@contextmanager
def quiet_restarts() -> Iterator[None]:
    """Hide that joblib restarts a worker that grew by 300 MB, as caches do: nothing is lost."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        yield
