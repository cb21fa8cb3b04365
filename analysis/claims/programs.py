"""Programs that make Algorithm 1's choices, and formulas for what they take.

Two stages, as the paper has them: *scoring* (lines 3-10: similarities, probabilities, PMI) and
*selection* (lines 11-19). Work is counted in similarities of two tokens, each d multiplications,
and in comparisons.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mitheory.pmi.row_sums import pairs_of_tiles
from mitheory.scores import mi_score
from mitheory.selection.engine import MARGIN, WHOLE
from mitheory.selection.mi import batched_greedy, mi_greedy, mi_problem
from mitheory.selection.search import lazy_greedy

from .algorithm_1 import Size, literal_selection
from .operations import Counted, Tally, watched


@dataclass(frozen=True)
class Work:
    """Of one program: similarities while scoring, comparisons while selecting."""

    similarities: int
    comparisons: int


# -- ours ----------------------------------------------------------------------------------------


def ours(visual: Tensor, text: Tensor, *, temperature: float, budget: int, relevance_weight: float
         ) -> tuple[list[int], Tally, Tally]:  # fmt: skip
    """What `mitheory.select("mi_pruner", ...)` keeps, and the operations of both stages.

    Selection at λ < 1 is watched in the loop over whole batches, which looks at every score at
    every choice; on a CPU `select` looks at fewer, and chooses the same.
    """
    options: dict[str, Any] = {
        "temperature": temperature, "self_temperature": None, "relevance_weight": relevance_weight,
        "aggregation": "max", "redundancy_aggregation": "max", "conditional": "softmax",
        "self_conditional": None, "prior": "uniform", "self_loop": True, "self_marginal": "uniform",
        "empty_redundancy": 0.0, "grid": None, "zero_norm": "error",
    }  # fmt: skip
    problem, scoring = watched(lambda: mi_problem(visual[None], text[None], **options))
    none = torch.empty(1, 0, dtype=torch.int64)
    picks, selection = watched(
        lambda: (
            mi_greedy(problem, budget)
            if problem.redundancy is None
            else batched_greedy(problem, budget, none)
        )
    )
    return picks.indices[0].tolist(), scoring, selection


def ours_scoring(s: Size, *, alone: bool) -> dict[str, int]:
    """`alone`: relevance alone, λ = 1.

    Exponentials: softmax over words, the softmax over tokens and its prior.
    """
    with_words = s.n * s.words
    return {
        "multiplications": (with_words + (0 if alone else pairs(s))) * s.d,
        "exponentials": with_words + (0 if alone else weights(s) + s.n),
    }


def ours_selection(s: Size, *, alone: bool) -> dict[str, int]:
    """Sorts at λ = 1; else per choice a column of PMI, a running maximum and the best.

    Columns are made from cosines that are kept, of up to 1,024 tokens, or when they are asked for.
    """
    if alone:
        return {"multiplications": 0, "comparisons": sorts(s)}
    return {
        "multiplications": columns(s) * s.n * s.d,
        "comparisons": s.n * (2 * s.k + max(s.k - 2, 0)),
    }


def sorts(s: Size) -> int:
    """Comparisons for the best, and a few more that they might tie with: a heap of them."""
    return s.n * math.ceil(math.log2(min(s.n, s.k + MARGIN)))


def pairs(s: Size) -> int:
    """Similarities between visual tokens that scoring takes: half of them, since cosines are
    symmetric; of tokens too many to keep all, with the whole of the blocks on the diagonal."""
    return s.n * (s.n + 1) // 2 if s.n <= WHOLE else weights(s)


def weights(s: Size) -> int:
    """Exponentials of them: half, with the whole of the blocks on the diagonal."""
    return pairs_of_tiles(s.n, keep=s.n <= WHOLE)


def columns(s: Size) -> int:
    """Columns of cosines that selecting makes: one for each choice but the last."""
    return 0 if s.n <= WHOLE else s.k - 1


# -- heaps ---------------------------------------------------------------------------------------


def heap_comparisons(scores: Sequence[float], budget: int) -> tuple[list[int], int]:
    """Footnote 2: what a heap built once gives, and how many comparisons it took.

    Examples
    --------
    >>> heap_comparisons([0.1, 0.9, 0.5], 2)[0]
    [1, 2]
    """
    tally: Tally = Counter()
    heap = [Counted(-score, tally) for score in scores]
    place = {id(x): i for i, x in enumerate(heap)}
    heapq.heapify(heap)
    kept = [place[id(heapq.heappop(heap))] for _ in range(budget)]
    return kept, tally["comparisons"]


def heap_bound(s: Size) -> int:
    """At most this many: two a node to build, two a level to take."""
    return 2 * s.n + 2 * s.k * math.ceil(math.log2(s.n + 1))


def lazy_worst_case(n: int, budget: int, relevance_weight: float) -> int:
    """Scores that a lazy heap evaluates on a PMI table where every choice lowers every score.

    PMI(v_i; v_j) = j, and relevance falls by less than a step: each choice is the next token, and
    moves all scores that the heap holds by a step.
    """
    place = torch.arange(n, dtype=torch.float64)
    step = (1 - relevance_weight) / relevance_weight
    rule = mi_score(-step * place / (2 * n), place.expand(n, n).contiguous(),
                    relevance_weight=relevance_weight)  # fmt: skip
    found = lazy_greedy(rule, budget, seed_after_first=True)
    assert found.evaluations is not None
    return found.evaluations


# -- all of them ---------------------------------------------------------------------------------

LITERAL, OURS, HEAP, LAZY = "Algorithm 1, literally", "ours", "heap, built once", "lazy heap, worst"
AT_ONE: dict[str, Callable[[Size], Work]] = {
    LITERAL: lambda s: Work(s.n * s.words + s.n**2, literal_selection(s)["comparisons"]),
    OURS: lambda s: Work(s.n * s.words, ours_selection(s, alone=True)["comparisons"]),
    HEAP: lambda s: Work(s.n * s.words, heap_bound(s)),
}
BELOW_ONE: dict[str, Callable[[Size], Work]] = {
    LITERAL: lambda s: Work(s.n * s.words + s.n**2, literal_selection(s)["comparisons"]),
    OURS: lambda s: Work(s.n * s.words + pairs(s) + s.n * columns(s),
                         ours_selection(s, alone=False)["comparisons"]),
    LAZY: lambda s: Work(s.n * s.words + s.n**2, s.scored),
}  # fmt: skip
