"""Algorithm 1 as printed, on numbers that count their own operations, and the formulas for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .operations import Counted, Tally, numbers

Table = list[list[Counted]]


@dataclass(frozen=True)
class Size:
    """N_V visual tokens, N_keep of them kept, N_T words, d dimensions."""

    n: int
    k: int
    words: int
    d: int = 1

    @property
    def scored(self) -> int:
        """Σ (N_V - s) over s = 0 … N_keep - 1: scores that a greedy search compares."""
        return self.k * self.n - self.k * (self.k - 1) // 2


def algorithm_1(
    visual: Sequence[Sequence[float]],
    text: Sequence[Sequence[float]],
    *,
    temperature: float,
    budget: int,
    relevance_weight: float,
) -> tuple[list[int], Tally, Tally]:
    """What it keeps, in order, and the operations of scoring and of selection.

    As printed: both matrices are built at every λ, and both maxima are taken anew at every step.
    S^self of an empty V_S, which it leaves undefined, is 0.
    """
    scoring: Tally = Counter()
    v, t = _unit(numbers(visual, scoring)), _unit(numbers(text, scoring))  # line 4
    tau = Counted(temperature, scoring)
    cross = _softmax([[_dot(a, b) / tau for b in t] for a in v])  # lines 5, 7
    within = _softmax([[_dot(a, b) / tau for b in v] for a in v])
    share = Counted(1.0, scoring) / Counted(float(len(v)), scoring)  # line 8
    words = [_total([row[j] for row in cross]) * share for j in range(len(t))]
    cross = [[(p / q).log() for p, q in zip(row, words, strict=True)] for row in cross]  # line 10
    within = [[(p / share).log() for p in row] for row in within]

    selection: Tally = Counter()
    for table in (cross, within):
        for row in table:
            for x in row:
                x.tally = selection
    lam, rest = Counted(relevance_weight, selection), Counted(1 - relevance_weight, selection)
    kept: list[int] = []
    while len(kept) < budget:  # lines 12-19
        open_ = [i for i in range(len(v)) if i not in kept]
        scores = []
        for i in open_:
            relevance = _largest(cross[i])
            redundancy = _largest([within[i][j] for j in kept]) if kept else Counted(0, selection)
            scores.append(lam * relevance - rest * redundancy)
        best = 0
        for place in range(1, len(open_)):
            if scores[place] > scores[best]:
                best = place
        kept.append(open_[best])
    return kept, scoring, selection


def _dot(a: list[Counted], b: list[Counted]) -> Counted:
    return _total([x * y for x, y in zip(a, b, strict=True)])


def _total(values: list[Counted]) -> Counted:
    total = values[0]
    for x in values[1:]:
        total = total + x
    return total


def _largest(values: list[Counted]) -> Counted:
    best = values[0]
    for x in values[1:]:
        best = x if x > best else best
    return best


def _unit(rows: Table) -> Table:
    return [[x / norm for x in row] for row in rows for norm in (_dot(row, row).sqrt(),)]


def _softmax(rows: Table) -> Table:
    powers = [[x.exp() for x in row] for row in rows]
    return [[p / total for p in row] for row in powers for total in (_total(row),)]


def literal_scoring(s: Size) -> dict[str, int]:
    """Lines 3-10, operation by operation."""
    n, words, d = s.n, s.words, s.d
    pairs, dots = n * words + n * n, n * words + n * n + n + words  # with those of the norms
    return {
        "multiplications": dots * d + words,
        "additions": dots * (d - 1) + n * (words - 1) + n * (n - 1) + words * (n - 1),
        "divisions": (n + words) * d + 3 * pairs + 1,  # unit rows; τ, softmax and PMI; 1/N_V
        "exponentials": pairs,
        "logarithms": pairs,
        "roots": n + words,
    }


def literal_selection(s: Size) -> dict[str, int]:
    """Lines 11-19: N_T - 1 and |V_S| - 1 comparisons for each score, then the largest of all."""
    k = s.k
    redundancies = (s.n - 1) * (k - 1) * (k - 2) // 2 - (k - 2) * (k - 1) * (2 * k - 3) // 6
    return {
        "multiplications": 2 * s.scored,
        "additions": s.scored,
        "comparisons": s.scored * s.words + redundancies - k,
    }
