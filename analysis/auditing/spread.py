"""Steps spread over workers: here, over processes, or on a Dask cluster; failures are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from joblib import Parallel, delayed, effective_n_jobs, parallel_config
from rich.progress import Progress

from analysis.progress import progress, quiet_restarts
from mitheory.errors import MissingDependencyError, ParameterError

from .work import Outcome

Calls = list[tuple[Any, ...]]


@dataclass
class Steps:
    """Runs the steps of an audit and remembers what failed and what it cost.

    `failed`: the first failure of a claim. `seconds`: CPU time by claim.
    """

    parallel: Callable[[list[Any]], Iterable[Any]]
    bar: Progress
    failed: dict[str, Outcome] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def each(self, title: str, step: Callable[..., Any], calls: Calls) -> Iterator[Any]:
        """Results of `step` on each tuple of arguments, in any order."""
        line = self.bar.add_task(title, total=len(calls))
        for result in self.parallel([delayed(step)(*call) for call in calls]):
            self.bar.advance(line)
            yield result

    def values(self, title: str, step: Callable[..., Outcome], calls: Calls) -> dict[str, Any]:
        """Values by claim of what succeeded."""
        return self.keep(self.each(title, step, calls))

    def keep(self, outcomes: Iterable[Outcome]) -> dict[str, Any]:
        """Take the outcomes in: values of what succeeded by claim, the rest remembered."""
        found = {}
        for outcome in outcomes:
            spent = self.seconds.get(outcome.claim, 0.0) + outcome.seconds
            self.seconds[outcome.claim] = spent
            if outcome.error:
                self.failed.setdefault(outcome.claim, outcome)
            else:
                found[outcome.claim] = outcome.value
        return found


def processes(jobs: int) -> int:
    """How many processes `jobs` stands for: -1 takes all cores.

    Raises
    ------
    ParameterError
        If it is 0.

    Examples
    --------
    >>> processes(3), processes(-1) >= 1
    (3, True)
    """
    if jobs == 0:
        raise ParameterError("jobs: expected 1 or more, or -1 for all cores, got 0")
    return int(effective_n_jobs(jobs))


@contextmanager
def steps(jobs: int, scheduler: str | None) -> Iterator[Steps]:
    """Steps over `jobs` processes, or on the cluster at the address `scheduler`.

    Raises
    ------
    MissingDependencyError
        If a scheduler is given and Dask is not installed.
    ParameterError
        If `jobs` is 0.
    """
    with quiet_restarts(), progress() as bar:
        if scheduler is None:
            yield Steps(Parallel(n_jobs=processes(jobs), return_as="generator_unordered"), bar)
            return
        try:
            from distributed import Client
        except ImportError as error:
            raise MissingDependencyError(
                "--scheduler needs Dask: pip install 'mitheory[cluster]'"
            ) from error
        with Client(scheduler), parallel_config("dask"):
            yield Steps(Parallel(return_as="generator_unordered"), bar)
