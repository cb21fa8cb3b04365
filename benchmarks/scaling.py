"""How the cost of every method grows: over N_V with k fixed, and over k with N_V fixed.

``python -m benchmarks.scaling [--quick] [--out DIR]`` writes scaling.csv, one row per method, size
and round, and provenance.json. Exponents are fitted when they are shown.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mitheory import SELECTORS, provenance, select
from mitheory.io import atomic_write_csv, atomic_write_json

from .tokens import everything

N_V, K = (256, 512, 1024, 2048, 4096), 32
BUDGETS, TOKENS = (16, 32, 64, 128, 256, 512), 2048
D, N_T, HEADS = 64, 16, 2
LONGEST = 15.0  # seconds of one call, above which a method gets no larger size
SHORTEST = 5e-3  # seconds of a measurement: shorter calls are repeated
COLUMNS = ("axis", "method", "n_v", "k", "round", "seconds")
FITTED = 3  # sizes, the largest: below them fixed costs hide the growth


def measure(*, quick: bool = False, rounds: int = 5) -> pd.DataFrame:
    """CPU seconds of `select` in float32 on random tokens, one row per method, size and round."""
    rows = []
    for axis, sizes in paths(quick=quick).items():
        for name in SELECTORS:
            for n, k in sizes:
                taken = _seconds(name, n, k, rounds=2 if quick else rounds)
                rows += [(axis, name, n, k, i, float(f"{t:.4g}")) for i, t in enumerate(taken)]
                if max(taken) > LONGEST:
                    break
            print(f"{axis}: {name}")
    return pd.DataFrame(rows, columns=list(COLUMNS))


def paths(*, quick: bool) -> dict[str, list[tuple[int, int]]]:
    """Sizes (N_V, k) along both axes."""
    n_v, budgets = (N_V[:3], BUDGETS[:3]) if quick else (N_V, BUDGETS)
    tokens = 256 if quick else TOKENS
    return {"n_v": [(n, K) for n in n_v], "k": [(tokens, k) for k in budgets]}


def _seconds(name: str, n: int, k: int, *, rounds: int) -> list[float]:
    method = SELECTORS[name]
    inputs = everything(
        n_v=n, n_t=N_T, d=D, heads=HEADS, dtype="float32", only=("visual", *method.requires)
    )

    def once(calls: int) -> float:
        start = time.process_time()
        for _ in range(calls):
            select(name, **inputs, budget=k)
        return (time.process_time() - start) / calls

    first = once(1)
    if first > LONGEST / 3:
        return [first]
    return [once(max(1, int(SHORTEST / max(first, 1e-6)))) for _ in range(rounds)]


def exponents(table: pd.DataFrame, *, draws: int = 2000) -> pd.DataFrame:
    """Slope of log seconds over log size at the largest sizes, with a 95% interval.

    Least squares on the medians over rounds of the three largest sizes; the interval is a bootstrap
    over the rounds of every size.

    Examples
    --------
    >>> rows = [("n_v", "square", n, 8, i, 1e-9 * n**2) for n in (10, 20, 40) for i in range(3)]
    >>> exponents(pd.DataFrame(rows, columns=list(COLUMNS)))["slope"].round(6).tolist()
    [2.0]
    """
    rng = np.random.default_rng(0)
    found = []
    for (axis, name), rows in table.groupby(["axis", "method"], sort=False):
        sizes = np.sort(rows[axis].unique())[-FITTED:]
        taken = [rows.loc[rows[axis] == size, "seconds"].to_numpy() for size in sizes]
        if len(sizes) < 2:
            continue
        x = np.log(sizes)
        drawn = [np.median(rng.choice(t, size=(draws, len(t))), axis=1) for t in taken]
        slopes = _slope(x, np.log(np.stack(drawn)))
        low, high = np.percentile(slopes, [2.5, 97.5])
        middle = _slope(x, np.log([[np.median(t)] for t in taken]))[0]
        found.append((axis, name, float(middle), float(low), float(high)))
    return pd.DataFrame(found, columns=["axis", "method", "slope", "low", "high"])


def _slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of every column of y."""
    centered = x - x.mean()
    return centered @ np.asarray(y) / (centered @ centered)


def stated(page: str) -> tuple[str, ...]:
    """The orders of growth in the Cost section of a method's page, those of memory left out.

    Examples
    --------
    >>> stated("# x\n## Cost\n$O(N_V d)$ and a sort, $O(N_V \\log N_V)$; $O(N_V)$ memory.\n## Y")
    ('O(N_V d)', 'O(N_V \\log N_V)')
    """
    cost = re.search(r"^## Cost\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    found = re.finditer(
        r"\$(O\([^$]*\))\$(?!\s+(?:extra\s+)?(?:memory|numbers))", cost[1] if cost else ""
    )
    return tuple(dict.fromkeys(" ".join(match[1].split()) for match in found))


def powers(order: str) -> dict[str, int]:
    """Largest powers of N_V and of k (or a part of it) in an order of growth; logarithms count as
    none, differences as sums.

    Examples
    --------
    >>> powers(r"O(N_V^2 d + N_V k^2)"), powers(r"O(k (N_T + N_V) N_V \\log N_V)")
    ({'n_v': 2, 'k': 2}, {'n_v': 2, 'k': 1})
    """
    plain = re.sub(r"\\log(_2|_\{2\})?\s*(\([^)]*\)|[A-Za-z]\w*)", "1", order)
    tokens = TOKEN.findall(plain.replace("{", "(").replace("}", ")")[1:])  # without the O
    return {
        "n_v": _sum(list(tokens), lambda name: name in VISUAL),
        "k": _sum(list(tokens), lambda name: name == "k" or name.startswith("k_")),
    }


VISUAL = ("N_V", "N", "n_v", "n")  # tokens, as the pages write them
TOKEN = re.compile(r"[A-Za-z]+(?:_\w+)?|\d+|[()+\-^]")


def _sum(tokens: list[str], counts: Callable[[str], bool]) -> int:
    """Degree of a sum: that of its largest product; reads up to a closing parenthesis."""
    degrees = [_product(tokens, counts)]
    while tokens and tokens[0] in "+-":
        tokens.pop(0)
        degrees.append(_product(tokens, counts))
    return max(degrees)


def _product(tokens: list[str], counts: Callable[[str], bool]) -> int:
    """Degree of a product: the sum of those of its factors."""
    degree = 0
    while tokens and tokens[0] not in "+-)":
        token = tokens.pop(0)
        if token == "(":
            own = _sum(tokens, counts)
            tokens.pop(0)
        else:
            own = int(counts(token))
        if tokens[:1] == ["^"]:
            tokens.pop(0)
            inside = tokens.pop(0)
            power = int(tokens.pop(0) if inside == "(" else inside)
            if inside == "(":
                tokens.pop(0)
            own *= power
        degree += own
    return degree


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three small sizes along each axis")
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks/scaling"), help="folder")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    atomic_write_csv(options.out / "scaling.csv", measure(quick=options.quick))
    origin = provenance.collect("python -m benchmarks.scaling", seed=0).to_dict() | {
        "threads": 1,
        "cores": os.cpu_count(),
    }
    atomic_write_json(options.out / "provenance.json", origin)


if __name__ == "__main__":
    main()
