"""MI-Attention: attention chooses first, MI-Pruner fills up."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from ..checks import check_share
from ..distributions import NO_NORMS
from .attention import received_attention
from .engine import Picks, relative_slack, top_picks
from .mi import mi_greedy, mi_problem


def mi_attention(
    visual: Tensor,
    text: Tensor,
    patch_attention: Tensor,
    *,
    budget: int,
    attention_ratio: float = 0.5,
    include_diagonal: bool = False,
    temperature: float = 0.1,
    self_temperature: float | None = None,
    relevance_weight: float = 0.5,
    aggregation: str = "max",
    redundancy_aggregation: str = "max",
    conditional: str = "softmax",
    self_conditional: str | None = None,
    prior: str | Tensor = "uniform",
    self_loop: bool = True,
    self_marginal: str = "uniform",
    empty_redundancy: float = 0.0,
    grid: tuple[int, ...] | None = None,
    zero_norm: str = "error",
    norms: Mapping[str, Tensor] = NO_NORMS,
) -> Picks:
    """A share of the budget by received attention, the rest by MI-Pruner on the residual.

    The paper says attention in round one and MI in round two, and not how the budget is split or
    whether round two knows of round one. Here: half of it (rounded half up), and redundancy
    is measured against the tokens of round one too. Gains are NaN for round one: they are of
    another kind.

    Source: Sec. 4.1 (MI-Attention); Eqs. (5), (22)-(24).

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    patch_attention : (b, heads, n_v, n_v)
    attention_ratio : share of round one, in [0, 1]
    include_diagonal : as in `attention`

    The other options are those of `mi_pruner`.

    Raises
    ------
    ParameterError
        If the ratio is outside [0, 1].
    """
    check_share("attention_ratio", attention_ratio)
    problem = mi_problem(
        visual,
        text,
        temperature=temperature,
        self_temperature=self_temperature,
        relevance_weight=relevance_weight,
        aggregation=aggregation,
        redundancy_aggregation=redundancy_aggregation,
        conditional=conditional,
        self_conditional=self_conditional,
        prior=prior,
        self_loop=self_loop,
        self_marginal=self_marginal,
        empty_redundancy=empty_redundancy,
        grid=grid,
        zero_norm=zero_norm,
        norms=norms,
    )
    received = received_attention(patch_attention, include_diagonal=include_diagonal)
    received = received.to(visual.dtype)
    size = math.floor(attention_ratio * budget + 0.5)
    first = top_picks(received, size, slack=relative_slack(received)).indices
    picks = mi_greedy(problem, budget, first)
    return Picks(picks.indices, picks.gains, picks.evaluations + received.shape[1])
