"""Run contests: agreement first, then times in turns, then memory; one row per entrant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from . import memory
from .clock import Clock, Times, race, ratio
from .contest import Contest, Entrant, Inputs

COLUMNS = (
    "suite", "task", "n_v", "n_t", "d", "k", "samples", "dtype", "relevance_weight", "entrant",
    "role", "status", "clock", "threads", "seconds", "seconds_low", "seconds_high", "rounds",
    "calls", "ratio", "ratio_low", "ratio_high", "target", "answer", "peak_mib",
)  # fmt: skip


def run(
    contests: Iterable[Contest],
    *,
    quick: bool,
    threads: int,
    with_memory: bool = True,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """The tidy table of all contests."""
    rows: list[dict[str, Any]] = []
    for contest in contests:
        say(contest.name)
        rows += _rows(contest, quick=quick, threads=threads, with_memory=with_memory)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(contest: Contest, *, quick: bool, threads: int, with_memory: bool) -> list[dict]:
    clock: Clock = "cpu" if threads == 1 else "wall"
    states = {e.name: status(e, quick=quick) for e in contest.entrants}
    runners = [e for e in contest.entrants if states[e.name] == "ok"]
    inputs = contest.inputs()
    for entrant in runners:
        contest.warm(entrant)
    calls = {e.name: (lambda e=e: e.call(inputs)) for e in runners}
    limits = {"rounds": (3, 5), "seconds": 0.3} if quick else {}
    times, answers = race(calls, clock=clock, **limits)
    ours = contest.entrants[0].name
    rows = []
    for entrant in contest.entrants:
        row: dict[str, Any] = dict.fromkeys(COLUMNS)
        row |= {k: v for k, v in contest.sizes.items() if k in COLUMNS}
        row |= {"suite": contest.suite, "task": contest.task, "entrant": entrant.name}
        row |= {"role": entrant.role, "status": states[entrant.name], "target": entrant.target}
        if entrant.name in times:
            row |= {"clock": clock, "threads": threads} | seconds(times[entrant.name])
            row["answer"] = compared(contest, entrant, inputs, answers[entrant.name], answers[ours])
            if row["answer"] != "differs":  # other answers are no reference for speed
                found = ratio(times[entrant.name].seconds, times[ours].seconds)
                row |= {"ratio": found.value, "ratio_low": found.low, "ratio_high": found.high}
            if with_memory:
                row |= _memory(contest, entrant)
        rows.append(row)
    return rows


def status(entrant: Entrant, *, quick: bool) -> str:
    """Whether it runs, and why not."""
    if not entrant.is_installed:
        return f"{entrant.needs} is not installed"
    return "left out of quick runs" if quick and entrant.slow else "ok"


def seconds(times: Times) -> dict[str, Any]:
    """The columns of one entrant's times."""
    low, high = times.quartiles
    return {
        "seconds": times.median,
        "seconds_low": low,
        "seconds_high": high,
        "rounds": len(times.seconds),
        "calls": times.calls,
    }


def compared(
    contest: Contest, entrant: Entrant, inputs: Inputs, answer: Any, ours: Any
) -> str | None:
    """How an answer compares with ours; None where nothing is compared.

    Returns
    -------
    str or None
        "same" tokens (in the same order if it has one), "tied" where both are greedy up to
        rounding, or "differs".
    """
    if entrant.role == "floor" or not entrant.is_answer:
        return None
    theirs, own = _plain(answer), _plain(ours)
    if theirs == own or (not entrant.is_ordered and sorted(theirs) == sorted(own)):
        return "same"
    greedy = contest.is_greedy
    tied = greedy is not None and greedy(inputs, theirs) and greedy(inputs, own)
    return "tied" if tied else "differs"


def _plain(answer: object) -> list:
    """Nested lists of ints, from lists, tuples, arrays or tensors."""
    if hasattr(answer, "tolist"):
        return answer.tolist()
    return [_plain(x) if hasattr(x, "__len__") else int(x) for x in answer]  # type: ignore[attr-defined]


def _memory(contest: Contest, entrant: Entrant) -> dict[str, Any]:
    try:
        return {"peak_mib": memory.peak(contest.name, entrant.name) / 2**20}
    except memory.NotMeasured as reason:
        return {"status": f"ok; memory not measured: {reason}"}
