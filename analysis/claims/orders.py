"""Orders of growth that the paper states, against what programs take as N_V grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .algorithm_1 import Size
from .programs import AT_ONE, BELOW_ONE, Work

TOLERANCE = 0.25
WORDS, KEPT, DIMENSIONS = 32, 64, 4096
LADDER = tuple(2**i for i in range(8, 21))
FIXED, RATIO = f"{KEPT} kept", "a ninth kept"
PATHS: dict[str, Callable[[int], int]] = {FIXED: lambda n: KEPT, RATIO: lambda n: n // 9}
PAPER = Size(576, KEPT, WORDS, DIMENSIONS)  # LLaVA-1.5
STAGES: dict[str, Callable[[Work], int]] = {
    "scoring": lambda w: w.similarities,
    "selection": lambda w: w.comparisons,
    "whole": lambda w: w.similarities + w.comparisons,
}
WEIGHTS = {"1": AT_ONE, "< 1": BELOW_ONE}


@dataclass(frozen=True)
class Stated:
    """An order of growth that the paper gives for a stage, at λ = 1 or below.

    It is stated of some `paths`: O(N_V) of the whole for N_keep log N_V < N_V alone.
    """

    where: str
    weight: str
    stage: str
    order: str
    formula: Callable[[Size], float]
    paths: tuple[str, ...] = tuple(PATHS)


def _linear(s: Size) -> float:
    return s.n


def _heap(s: Size) -> float:
    return s.n + s.k * np.log2(s.n)


STATED = (
    Stated("Sec. 4.2, App. B.4", "1", "scoring", "N_V N_T", lambda s: s.n * s.words),
    Stated("Sec. 3.3", "1", "selection", "N_V + N_keep log N_V", _heap),
    Stated("Sec. 3.3", "1", "whole", "N_V", _linear, (FIXED,)),
    Stated("Sec. 4.2, App. B.4", "< 1", "scoring", "N_V max(N_T, N_keep)",
           lambda s: s.n * max(s.words, s.k)),
    Stated("Sec. 2.1", "< 1", "selection", "N_V N_keep", lambda s: s.n * s.k),
    Stated("Sec. 3.3", "< 1", "selection", "N_V + N_keep log N_V", _heap),
    Stated("Sec. 3.3", "< 1", "whole", "N_V", _linear, (FIXED,)),
)  # fmt: skip


def counted() -> list[dict[str, object]]:
    """What every program takes for every stage, by formula, up to a million tokens."""
    return [
        {"row": "counted", "weight": weight, "program": name, "path": path, "stage": stage,
         "n": n, "k": keep(n), "count": float(read(program(Size(n, keep(n), WORDS))))}
        for weight, family in WEIGHTS.items()
        for name, program in family.items()
        for path, keep in PATHS.items()
        for n in LADDER
        if keep(n) <= n
        for stage, read in STAGES.items()
    ]  # fmt: skip


def excess(table: pd.DataFrame, stated: Stated) -> dict[str, dict[str, float]]:
    """By program and path: the power of N_V by which its count outgrows what is stated."""
    rows = table[table["row"] == "counted"]
    rows = rows[(rows["weight"] == stated.weight) & (rows["stage"] == stated.stage)]
    rows = rows[rows["path"].isin(stated.paths)]
    found: dict[str, dict[str, float]] = {}
    for (program, path), own in rows.groupby(["program", "path"]):
        last = own.sort_values("n").tail(2)
        sizes = [Size(int(n), int(k), WORDS) for n, k in zip(last["n"], last["k"], strict=True)]
        growth = np.log2(last["count"].to_numpy()) - np.log2([stated.formula(s) for s in sizes])
        found.setdefault(str(program), {})[str(path)] = float(growth[1] - growth[0])
    return found


def order(table: pd.DataFrame, stated: Stated) -> dict[str, Any]:
    """Whether it holds, for the program that comes nearest to it."""
    powers = {name: max(by.values()) for name, by in excess(table, stated).items()}
    best = min(powers, key=lambda name: powers[name])
    return {
        "stage": stated.stage,
        "lambda": stated.weight,
        "stated": f"O({stated.order})",
        "where": stated.where,
        "holds": powers[best] <= TOLERANCE,
        "nearest_program": best,
        "excess_power": round(powers[best], 3) + 0.0,
    }


def at_paper(stated: Stated) -> dict[str, float]:
    """What is stated and what is counted at the size of LLaVA-1.5, 64 of 576 tokens kept.

    Examples
    --------
    Half of the pairs of 576 tokens, and those with 32 words, against 576 times 64:

    >>> at_paper(STATED[3])["stated"], at_paper(STATED[3])["fewest_counted"]
    (36864.0, 184608.0)
    """
    counts = [STAGES[stated.stage](f(PAPER)) for f in WEIGHTS[stated.weight].values()]
    return {"stated": float(stated.formula(PAPER)), "fewest_counted": float(min(counts))}
