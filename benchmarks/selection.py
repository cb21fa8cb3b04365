"""The fast selection against Algorithm 1 written out literally: same patches, how much sooner?

Run as `python -m benchmarks.selection [--quick]`; prints a Markdown table of median CPU times, on
one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

import mitheory

TEMPERATURE = 0.1


@dataclass(frozen=True)
class Case:
    """One problem size: the tokens of a model, and how many of them to keep."""

    model: str
    n_v: int
    n_t: int
    d: int
    budget: int
    relevance_weight: float


CASES = (
    Case("fruitfly", n_v=144, n_t=12, d=96, budget=16, relevance_weight=0.5),
    Case("LLaVA-1.5", n_v=576, n_t=32, d=256, budget=64, relevance_weight=0.5),
    Case("LLaVA-1.5", n_v=576, n_t=32, d=256, budget=64, relevance_weight=1.0),
    Case("LLaVA-NeXT", n_v=2880, n_t=32, d=256, budget=160, relevance_weight=0.5),
)
QUICK = CASES[:1]


@dataclass(frozen=True)
class Row:
    """Median seconds of one case, and whether both sides kept the same patches."""

    case: Case
    literal: float
    fast: float
    batched: float
    agree: bool

    @property
    def ratio(self) -> float:
        """How many times sooner one sample is done."""
        return self.literal / self.fast


def embeddings(case: Case, *, samples: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random float64 tokens: `samples` images and their prompts."""
    rng = torch.Generator().manual_seed(seed)
    visual = torch.randn(samples, case.n_v, case.d, generator=rng, dtype=torch.float64)
    text = torch.randn(samples, case.n_t, case.d, generator=rng, dtype=torch.float64)
    return visual, text


def softmax(logits: np.ndarray) -> np.ndarray:
    """Eq. (16), along the second dimension."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def algorithm_1(
    visual: np.ndarray,
    text: np.ndarray,
    *,
    budget: int,
    temperature: float,
    relevance_weight: float,
) -> list[int]:
    """Lines 4-21 of Algorithm 1, one statement each; the empty set has redundancy 0."""
    lam = relevance_weight
    v = visual / np.linalg.norm(visual, axis=1, keepdims=True)
    t = text / np.linalg.norm(text, axis=1, keepdims=True)
    cross, self_ = softmax(v @ t.T / temperature), softmax(v @ v.T / temperature)
    pmi_cross = np.log(cross / cross.mean(axis=0))
    pmi_self = np.log(self_ * len(v))
    selected: list[int] = []
    while len(selected) < budget:
        scores = np.full(len(v), -np.inf)
        for i in range(len(v)):
            if i not in selected:
                relevance = pmi_cross[i].max()
                redundancy = pmi_self[i, selected].max() if selected else 0.0
                scores[i] = lam * relevance - (1 - lam) * redundancy
        selected.append(int(scores.argmax()))
    return selected


def median_seconds(call: Callable[[], object], *, repeats: int) -> float:
    """Median CPU time of `call` after one unmeasured call: what else runs here does not count."""
    call()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def measure(case: Case, *, repeats: int = 5, batch: int = 16) -> Row:
    """Time both sides on one sample, and the fast one on a batch as well."""
    visual, text = embeddings(case, samples=batch)
    weight = case.relevance_weight

    def literal() -> list[int]:
        return algorithm_1(
            visual[0].numpy(),
            text[0].numpy(),
            budget=case.budget,
            temperature=TEMPERATURE,
            relevance_weight=weight,
        )

    def fast() -> mitheory.Selection:
        return mitheory.select(
            "mi_pruner",
            visual=visual[0],
            text=text[0],
            budget=case.budget,
            temperature=TEMPERATURE,
            relevance_weight=weight,
        )

    def batched() -> tuple[mitheory.Selection, ...]:
        return mitheory.select_batch(
            "mi_pruner",
            visual=visual,
            text=text,
            budget=case.budget,
            temperature=TEMPERATURE,
            relevance_weight=weight,
        )

    return Row(
        case=case,
        literal=median_seconds(literal, repeats=max(1, repeats // 5)),
        fast=median_seconds(fast, repeats=repeats),
        batched=median_seconds(batched, repeats=repeats) / batch,
        agree=literal() == fast().indices.tolist() == batched()[0].indices.tolist(),
    )


def markdown(rows: list[Row]) -> str:
    """The rows as a table; milliseconds per sample."""
    lines = [
        "| tokens of | N_V | N_T | keep | λ | Algorithm 1, ms | select, ms | batched, ms | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        case = row.case
        ms = " | ".join(f"{1e3 * s:.2f}" for s in (row.literal, row.fast, row.batched))
        size = f"{case.n_v} | {case.n_t} | {case.budget} | {case.relevance_weight}"
        lines.append(f"| {case.model} | {size} | {ms} | {row.ratio:.0f}× |")
    return "\n".join(lines)


def main() -> None:
    """Measure every case and print the table; fails if any kept patch differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the smallest case alone")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    rows = [measure(case, repeats=3 if quick else 5) for case in (QUICK if quick else CASES)]
    print(markdown(rows))
    different = [row.case for row in rows if not row.agree]
    if different:
        raise SystemExit(f"the kept patches differ: {different}")


if __name__ == "__main__":
    main()
