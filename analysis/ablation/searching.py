"""Searches that maximize MI-Pruner's score: the ones in use, and what each is exact for.

"lazy" fills its heap after the first choice and keeps what eager search keeps; "static_heap"
fills it before and never refreshes a score; "stochastic" looks at a random sample at each step;
"top_k" sorts by relevance alone. A static heap keeps the same set as "top_k": to the empty set
every token is equally redundant, so its heap is in the order of relevance whatever λ > 0 is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from analysis.claims.searches import Trusted
from mitheory.scores import MIScore, mi_score
from mitheory.selection import Selection, greedy, lazy_greedy, stochastic_greedy, top_k
from mitheory.selection.mi import mi_problem

SEARCHERS: dict[str, Callable[[MIScore, int | float, int], Selection]] = {
    "eager": lambda score, budget, seed: greedy(score, budget),
    "lazy": lambda score, budget, seed: lazy_greedy(score, budget, seed_after_first=True),
    "static_heap": lambda score, budget, seed: top_k(Trusted(score), budget),
    "top_k": lambda score, budget, seed: top_k(replace(score, relevance_weight=1.0), budget),
    "stochastic": lambda score, budget, seed: stochastic_greedy(
        score, budget, rng=torch.Generator().manual_seed(seed)
    ),
}


def searched(
    search: str,
    visual: Tensor,
    text: Tensor,
    options: dict[str, Any],
    budget: int | float,
    seed: int,
    grid: tuple[int, ...] | None = None,
) -> Selection:
    """What a search keeps of one sample by MI-Pruner's score under these options.

    Relevance and redundancy are those of the method itself, so that every option of it combines
    with every search. A search that is not proved exact for the score refuses it: a lazy heap
    refuses the redundancy of Eq. (21), whose scores may rise.

    Parameters
    ----------
    search : a name of `SEARCHERS`
    visual, text : (n_v, d), (n_t, d)
    options : all of `mi_pruner`
    budget : tokens, or a ratio
    seed : of a search that draws
    grid : of the patches, for priors on positions
    """
    problem = mi_problem(visual[None], text[None], grid=grid, zero_norm="error", **options)
    within = problem.redundancy
    n_v = len(visual)
    score = mi_score(
        problem.relevance[0],
        visual.new_zeros(n_v, n_v) if within is None else within.matrix()[0],
        relevance_weight=options["relevance_weight"],
        empty_redundancy=options["empty_redundancy"],
        aggregation=options["redundancy_aggregation"] if within is not None else "max",
        log_cond=None if within is None else within.log_cond()[0],
    )
    return SEARCHERS[search](score, budget, seed)
