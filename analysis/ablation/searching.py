"""Searches that maximize MI-Pruner's score: the ones in use, and what each is exact for.

"lazy" fills its heap after the first choice and keeps what eager search keeps; "static heap"
never refreshes a score; "stochastic" looks at a random sample at each step; "top-k" takes the
scores of the empty set, which at λ < 1 is "static heap" by another route and at λ = 1 exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from analysis.claims.searches import Trusted
from mitheory.aggregation import resolve_aggregation
from mitheory.pmi import cross_pmi, self_pmi
from mitheory.scores import MIScore, mi_score
from mitheory.selection import Selection, greedy, lazy_greedy, stochastic_greedy, top_k

SEARCHERS: dict[str, Callable[[MIScore, int | float, int], Selection]] = {
    "eager": lambda score, budget, seed: greedy(score, budget),
    "lazy": lambda score, budget, seed: lazy_greedy(score, budget, seed_after_first=True),
    "static_heap": lambda score, budget, seed: top_k(Trusted(score), budget),
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
) -> Selection:
    """What a search keeps of one sample by MI-Pruner's score under these options."""
    warmth = options["temperature"]
    within = options["self_temperature"] or warmth
    cross = cross_pmi(
        visual,
        text,
        temperature=warmth,
        conditional=options["conditional"],
        prior=options["prior"],
    )
    relevance = resolve_aggregation(options["aggregation"])(
        cross.pmi, cross.log_cond, log_prior=cross.log_prior
    )
    own = self_pmi(
        visual,
        temperature=within,
        conditional=options["self_conditional"] or options["conditional"],
        prior=options["prior"],
        self_loop=options["self_loop"],
        self_marginal=options["self_marginal"],
    )
    score = mi_score(
        relevance,
        own.matrix(),
        relevance_weight=options["relevance_weight"],
        empty_redundancy=options["empty_redundancy"],
        aggregation=options["redundancy_aggregation"],
        log_cond=own.log_cond(),
    )
    return SEARCHERS[search](score, budget, seed)
