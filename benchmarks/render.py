"""`docs/speed.md` and its figure, from benchmarks/results: ``python -m benchmarks.render``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from mitheory.io import atomic_write_text
from paper_figures import scaling as figure

from . import scaling, tables

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE, IMAGE = ROOT / "docs" / "speed.md", ROOT / "docs" / "images" / "scaling.png"
METHODS = ROOT / "docs" / "methods"
TITLE = """# Speed

What `mitheory.select` costs, next to what one would use instead. Everything on this page but its
prose is written by `python -m benchmarks.render` from `benchmarks/results/`, which `make bench`
makes; a test compares the two.

{origin}

A time is the median over rounds (quartiles in parentheses) of one call, from tensors to indices,
checks included; entrants take turns. A ratio is theirs over ours, so above 1 ours is faster.
Answers are compared first: without the same answer there is no ratio. *Memory* is the growth of
resident memory during a call in a fresh process, inputs not counted. Targets were fixed before
anything was measured, and stand here whether they are reached or not.
"""
SECTIONS = {
    "mi": """## MI-Pruner

Random tokens, N_T = 32, d = 256, float32, τ = 0.1. Floors are what cannot be left out: half of the
Gram matrix with the log-sum-exp of its rows where λ < 1, one product and one softmax at λ = 1.
*Plain* programs are what one would write with a whole matrix and a running maximum. At λ = 1 and a
few hundred tokens little is left to save: looking at every number, norms, the choice with its ties
and the record are some thirty calls of a few microseconds each, together longer than the product.
""",
    "setfunctions": """## Set functions

Facility location on max(cos, 0) in float64; the log-determinant of e^r C e^r in float32, C the
cosines and r the largest cosine with a word. Kernels are made inside the clock. apricot compiles at
every fit, which is measured by itself on eight tokens and belongs to its time.
""",
    "literal": """## Public codes, step by step

Every method that has a public code against a transcription of its steps in PyTorch, on one sample
in float64, ours in mode "faithful". The steps have no checks and no rule for ties; ours has both.
Where a code is one product or mean and the best of it, its steps leave nothing to save; the steps
and a look at the inputs, a sum of each, are then the floor of whatever checks what it is given.
""",
    "batched": """## Batches

Sixteen samples of 288 to 576 tokens and 8 to 32 words, padded, by `select_batch`, against one
`select` for each, unpadded. Linear throughput is a ratio of 1.
""",
    "large": """## Many tokens

λ = 0.5, d = 256, float32: an N_V × N_V matrix of 100,000 tokens would take 37 GiB.
""",
}
GROWTH = """## Growth

CPU time of `select` on random tokens in float32 (d = {d}, N_T = {n_t}, {heads} heads): over N_V
with {k} kept, and over k of {n} tokens. The exponent is the slope of log time over log size at the
three largest sizes, with a 95% interval over rounds; *stated* are the orders of growth in the
method's page, *at most* the largest power in them as they are written: what a page states for each
choice is to be multiplied by k. Constant costs of a call pull an exponent down,
caches that no longer hold a matrix push it up.

![cost over N_V and over k](images/scaling.png)

| method | stated | over N_V | at most | over k | at most |
|---|---|---|---|---|---|
"""


def document(results: Path = RESULTS) -> str:
    """The page from a folder of results."""
    parts = []
    for suite, text in SECTIONS.items():
        if (results / suite / "results.csv").exists():
            table = pd.read_csv(results / suite / "results.csv")
            parts.append(text + "\n" + tables.contests(table) + "\n\n" + counted(table))
    if (results / "scaling" / "scaling.csv").exists():
        parts.append(growth(pd.read_csv(results / "scaling" / "scaling.csv")))
    return "\n".join([TITLE.format(origin=origin(results)), *parts])


def origin(results: Path) -> str:
    """Which machine, which code, which versions; one line for every way it was measured."""
    lines: dict[str, list[str]] = {}
    for path in sorted(results.glob("*/provenance.json")):
        made = json.loads(path.read_text(encoding="utf-8"))
        lines.setdefault(_line(made), []).append(f"`{path.parent.name}`")
    return "\n".join(f"- {', '.join(names)}: {line}" for line, names in lines.items())


def _line(made: dict[str, Any]) -> str:
    clock = "CPU time" if made["threads"] == 1 else "wall time"
    peers = "".join(f", {n} {v}" for n, v in made.get("peers", {}).items())
    versions = f"torch {made['versions']['torch']}, NumPy {made['versions']['numpy']}"
    commit = f"commit {made['git_commit'][:7]}" if made["git_commit"] else "an installed copy"
    return (
        f"{made['device_name']}, {made['cores']} cores, {made['threads']} thread ({clock}), "
        f"Python {made['python']}, {versions}{peers}; {commit}, {made['created'][:10]}."
    )


def counted(table: pd.DataFrame) -> str:
    """How many targets are reached."""
    aimed = table[table["target"].notna() & table["ratio"].notna()]
    reached = int((aimed["ratio"] >= aimed["target"]).sum())
    return f"Targets reached: {reached} of {len(aimed)} that could be measured.\n"


def growth(table: pd.DataFrame) -> str:
    """The section on scaling."""
    fitted = scaling.exponents(table).set_index(["method", "axis"])
    head = GROWTH.format(d=scaling.D, n_t=scaling.N_T, heads=scaling.HEADS, k=scaling.K,
                         n=scaling.TOKENS)  # fmt: skip
    rows = []
    for name in sorted(table["method"].unique()):
        orders = "; ".join(f"${order}$" for order in stated(name)).replace("|", r"\vert ")
        powers = most(name) or {"n_v": "–", "k": "–"}
        cells = [f"`{name}`", orders or "–"]
        for axis in ("n_v", "k"):
            there = (name, axis) in fitted.index
            cells += [_slope(fitted.loc[(name, axis)]) if there else "–", str(powers[axis])]
        rows.append("| " + " | ".join(cells) + " |")
    return head + "\n".join(rows) + "\n"


def _slope(row: pd.Series) -> str:
    return f"{row['slope']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


def stated(method: str) -> tuple[str, ...]:
    """The orders of growth on a method's page, if it has any."""
    page = METHODS / f"{method}.md"
    return scaling.stated(page.read_text(encoding="utf-8")) if page.exists() else ()


def most(method: str) -> dict[str, int] | None:
    """The largest powers in them, if they are written in numbers of tokens."""
    powers = [scaling.powers(order) for order in stated(method)]
    largest = {axis: max((p[axis] for p in powers), default=0) for axis in ("n_v", "k")}
    return largest if largest["n_v"] else None


def main() -> None:
    """Write page and figure."""
    atomic_write_text(PAGE, document())
    table = RESULTS / "scaling" / "scaling.csv"
    if table.exists():
        powers = {name: own for name in scaling.SELECTORS if (own := most(name))}
        data = pd.read_csv(table)
        figure.save(data, scaling.exponents(data), powers, IMAGE)


if __name__ == "__main__":
    main()
