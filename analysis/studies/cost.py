"""Time and memory of every method that the paper times: of selection alone, and from image to
answer, one question at a time on one core (Tabs. 3, 9)."""

from __future__ import annotations

import json
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import binom
from torch.profiler import ProfilerActivity, profile, record_function

from analysis.evaluation import kept_sets, staged_answers
from analysis.settings import CDPRUNER, Setting
from mitheory.bundle import Sample
from mitheory.models.base import Example
from mitheory.models.fruitfly import FruitFlyAdapter, examples
from mitheory.provenance import collect

from .base import Context, Study

BUDGETS = (36, 16, 8)  # 25, 11 and 5.6% of 144, for the paper's 128, 64 and 32 of 576
REPETITIONS, QUICK_REPETITIONS = 41, 3
WARM, QUICK_WARM = 3, 1
ENTRANTS: dict[str, Setting] = {
    "full": Setting("cost", "full"),
    "random": Setting("cost", "random"),
    "similarity:max": Setting("cost", "similarity", {"word_aggregation": "max"}),
    "mi_pruner:1": Setting("cost", "mi_pruner", {"relevance_weight": 1.0}),
    "mi_pruner:0.5": Setting("cost", "mi_pruner", {"relevance_weight": 0.5}),
    "mi_attention": Setting("cost", "mi_attention", {"relevance_weight": 0.5}),
    "cdpruner": Setting("cost", "cdpruner", CDPRUNER),
    "divprune": Setting("cost", "divprune"),
    "vispruner": Setting("cost", "vispruner"),
    "fastv@2": Setting("cost", "fastv", layers=(2,)),
    "dart@2": Setting("cost", "dart", layers=(2,)),
    "sparsevlm@1,2,3": Setting("cost", "sparsevlm", {"recycle": True}, layers=(1, 2, 3)),
}
PARTS = ("encoding", "selection", "answer", "total")


def run(context: Context) -> Mapping[str, pd.DataFrame]:
    """Every entrant at every budget on the same questions, in turns; always on a CPU.

    In turns, so that a machine that grows slower is slower for all of them.
    """
    repetitions = QUICK_REPETITIONS if context.quick else REPETITIONS
    warm = QUICK_WARM if context.quick else WARM
    adapter = FruitFlyAdapter(context.model)
    asked = list(examples("test", limit=warm + repetitions, seed=context.seed))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        clocks = measured(adapter, asked, seed=context.seed)
        memory = peaks(adapter, asked[0], seed=context.seed)
    finally:
        torch.set_num_threads(before)
    table = summary(clocks[clocks["repetition"] >= warm])
    table = table.merge(memory, on=["key", "budget"])
    n_v = len(adapter.encode(asked[:1])[0].visual)
    return {"cost": table.assign(ratio=table["budget"] / n_v, machine=_machine(), threads=1)}


def _cells() -> list[tuple[str, int]]:
    return [(k, b) for k in ENTRANTS for b in (BUDGETS if k != "full" else (144,))]


def _machine() -> str:
    origin = collect("cost")
    return f"{origin.device_name}, torch {origin.versions['torch']}, {origin.platform}"


def measured(adapter: FruitFlyAdapter, asked: Sequence[Example], *, seed: int) -> pd.DataFrame:
    """Seconds of each part of each entrant, a row per question."""
    rows = []
    for repetition, example in enumerate(asked):
        for key, budget in _cells():
            seconds = clocked(adapter, example, ENTRANTS[key], budget, seed=seed)
            rows.append({"key": key, "budget": budget, "repetition": repetition} | seconds)
    return pd.DataFrame(rows)


def clocked(
    adapter: FruitFlyAdapter, example: Example, setting: Setting, budget: int, *, seed: int = 0
) -> dict[str, float]:
    """Seconds of `PARTS`; what prunes inside the decoder has no selection alone (NaN)."""
    start = time.perf_counter()
    samples = adapter.encode([example])
    encoded = time.perf_counter()
    if setting.layers:
        staged_answers(setting, adapter, samples, budget, seed=seed)
        end = time.perf_counter()
        selected = float("nan")
        answered = end - encoded
    else:
        kept = _kept(setting, samples, budget, seed=seed)
        chosen = time.perf_counter()
        adapter.answer(samples, kept)
        end = time.perf_counter()
        selected, answered = chosen - encoded, end - chosen
    return {
        "encoding": encoded - start,
        "selection": selected,
        "answer": answered,
        "total": end - start,
    }


def _kept(
    setting: Setting, samples: Sequence[Sample], budget: int, *, seed: int
) -> list[torch.Tensor]:
    if setting.method == "full":
        return [torch.arange(len(sample.visual)) for sample in samples]
    return kept_sets(setting, samples, budget, seed=seed)[0]


def peaks(adapter: FruitFlyAdapter, example: Example, *, seed: int = 0) -> pd.DataFrame:
    """Peak bytes above those before, of selection alone and from image to answer, by entrant.

    The sum of two peaks, so never too small: of what torch allocates, by its profiler, and of what
    Python and NumPy do, by tracemalloc. The weights of the model are there before.
    """
    samples = adapter.encode([example])
    calls: dict[tuple[str, int, str], Callable[[], object]] = {}
    for key, budget in _cells():
        setting = ENTRANTS[key]
        calls[key, budget, "total"] = partial(clocked, adapter, example, setting, budget, seed=seed)
        if not setting.layers:
            calls[key, budget, "selection"] = partial(_kept, setting, samples, budget, seed=seed)
    found = torch_peaks({"/".join(map(str, name)): call for name, call in calls.items()})
    table = pd.DataFrame(
        [
            {"key": key, "budget": budget, "part": f"{part}_bytes", "bytes": float(size)}
            for (key, budget, part), call in calls.items()
            for size in [found[f"{key}/{budget}/{part}"] + python_peak(call)]
        ]
    )
    wide = table.pivot(index=["key", "budget"], columns="part", values="bytes")
    return wide.rename_axis(columns=None).reset_index()


def torch_peaks(calls: Mapping[str, Callable[[], object]]) -> dict[str, int]:
    """Largest sum of bytes that torch holds on the CPU, of those it allocates during each call.

    Examples
    --------
    >>> def twice():
    ...     for _ in range(2):
    ...         torch.empty(1000, dtype=torch.float64)
    >>> torch_peaks({"twice": twice})
    {'twice': 8000}
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        for name, call in calls.items():
            with record_function(name):
                call()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        record.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    memory = [event for event in events if event.get("name") == "[memory]"]
    changes = [(e["ts"], e["args"]["Bytes"]) for e in sorted(memory, key=lambda e: e["ts"])]
    times = np.array([when for when, _ in changes])
    sizes = np.array([size for _, size in changes], dtype=np.int64)
    found = {}
    for event in events:
        if event.get("name") in calls and event.get("cat") == "user_annotation":
            inside = (times >= event["ts"]) & (times <= event["ts"] + event["dur"])
            found[event["name"]] = max(0, int(np.cumsum(sizes[inside]).max(initial=0)))
    return found


def python_peak(call: Callable[[], object]) -> int:
    """Largest sum of bytes that Python and NumPy hold of those they allocate during a call."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        call()
        return max(0, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()


def summary(clocks: pd.DataFrame) -> pd.DataFrame:
    """Medians in milliseconds with 95% intervals, a row per entrant and budget."""
    rows = []
    for (key, budget), cell in clocks.groupby(["key", "budget"], sort=False):
        row: dict[str, object] = {"key": key, "budget": budget, "repetitions": len(cell)}
        for part in PARTS:
            middle, low, high = median_interval(1000 * cell[part].to_numpy(float))
            row |= {f"{part}_ms": middle, f"{part}_low": low, f"{part}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def median_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """The median, and order statistics that enclose that of the population at this level.

    Assumes independent repetitions, and no distribution. With fewer than 6 the level cannot be
    reached: the interval is then all that was seen.

    Parameters
    ----------
    values : (n,)
    level : of the interval

    Examples
    --------
    >>> median_interval(np.arange(1.0, 10.0))
    (5.0, 2.0, 8.0)
    """
    ordered = np.sort(values)
    n = len(ordered)
    below = int(binom.ppf((1 - level) / 2, n, 0.5))  # P(fewer of n below the median) <= 2.5%
    first = max(0, below - 1)
    return float(np.median(ordered)), float(ordered[first]), float(ordered[n - 1 - first])


STUDY = Study(
    name="cost",
    title="What do the methods cost in time and memory?",
    tables=("cost",),
    run=run,
)
