"""Times of several calls taken in turns, and the ratio of two of them with its interval."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

Clock = Literal["cpu", "wall"]
CLOCKS: Mapping[Clock, Callable[[], float]] = {
    "cpu": time.process_time,  # what else runs on the machine does not count
    "wall": time.perf_counter,  # the only fair one with several threads
}
LONG = 8.0  # seconds: one measurement is enough, and is what we can afford
SHORTEST = 4e-3  # seconds: anything shorter is repeated within a measurement


@dataclass(frozen=True)
class Times:
    """Seconds per call in every round, and how many calls a round has."""

    seconds: tuple[float, ...]
    calls: int

    @property
    def median(self) -> float:
        """Over rounds."""
        return float(np.median(self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third, over rounds."""
        low, high = np.percentile(self.seconds, [25, 75])
        return float(low), float(high)


class Ratio(NamedTuple):
    """A ratio of medians with a 95% interval."""

    value: float
    low: float
    high: float


def race(
    calls: Mapping[str, Callable[[], object]],
    *,
    clock: Clock = "cpu",
    rounds: tuple[int, int] = (5, 15),
    seconds: float = 2.0,
) -> tuple[dict[str, Times], dict[str, object]]:
    """Time every call in turns, so that a slow minute of the machine falls on all of them.

    A first call of each is unmeasured, unless it takes `LONG`: then it is the only one. The others
    have between `rounds` measurements, as many as fit into `seconds`; the first to go changes from
    round to round.

    Returns
    -------
    times, results of the first call : by name
    """
    now = CLOCKS[clock]
    first, results = {}, {}
    for name, call in calls.items():
        start = now()
        results[name] = call()
        first[name] = now() - start
    inner = {name: max(1, math.ceil(SHORTEST / max(t, 1e-7))) for name, t in first.items()}
    least, most = rounds
    count = {
        name: 0 if t >= LONG else int(np.clip(seconds / max(t * inner[name], 1e-7), least, most))
        for name, t in first.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(max(count.values(), default=0)):
        gc.collect()
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            if turn < count[name]:
                taken[name].append(_measure(calls[name], inner[name], now))
    times = {n: Times(tuple(taken[n]) or (first[n],), inner[n] if taken[n] else 1) for n in names}
    return times, results


def _measure(call: Callable[[], object], repeats: int, now: Callable[[], float]) -> float:
    gc.disable()
    try:
        start = now()
        for _ in range(repeats):
            call()
        return (now() - start) / repeats
    finally:
        gc.enable()


def ratio(numerator: Sequence[float], denominator: Sequence[float], *, draws: int = 2000) -> Ratio:
    """Ratio of the medians; 95% percentile bootstrap over rounds, with a fixed seed.

    One measurement has no spread: its side then adds none to the interval.

    Examples
    --------
    >>> ratio([4.0, 4.0, 4.0], [2.0, 2.0, 2.0])
    Ratio(value=2.0, low=2.0, high=2.0)
    """
    rng = np.random.default_rng(0)
    a, b = (np.asarray(x, dtype=float) for x in (numerator, denominator))
    drawn = [np.median(rng.choice(x, size=(draws, len(x))), axis=1) for x in (a, b)]
    low, high = np.percentile(drawn[0] / drawn[1], [2.5, 97.5])
    return Ratio(float(np.median(a) / np.median(b)), float(low), float(high))
