"""MI-Pruner: relevance to the prompt less redundancy with what is kept, in nats."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..distributions import NO_NORMS
from .engine import Picks
from .mi import mi_greedy, mi_problem


def mi_pruner(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int,
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
    """Algorithm 1.

    The score depends on the order of selection and is the marginal gain of no set function, so
    that there is no guarantee; at λ = 1 it is modular and the sort is exact. At λ = 0 the first
    choice is undetermined and is the lowest index.

    Cost: O(N_V N_T d) at λ = 1, and a heap or a sort. Below, half of the products between tokens,
    N_V² d / 2, and as many exponentials; then at most N_V k d for the running redundancy, less
    where few tokens are in reach of the best. On a CPU memory beyond the inputs is O(N_V d), and
    N_V² up to 1,024 tokens. Other conditionals than the softmax and `self_loop` False take all
    N_V² d products.

    Source: Algorithm 1; Eqs. (15)-(24).

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    temperature, self_temperature : τ of the vision-text and the vision-vision conditional; the
        paper shares one, which is None
    relevance_weight : λ in [0, 1]
    aggregation : of relevance over words, a name of `AGGREGATIONS` or "renyi:α"
    redundancy_aggregation : "max" (Eq. 20) or "global" (Eq. 21 over the selected tokens)
    conditional, self_conditional : names of `CONDITIONALS`; None takes the first for both, or
        softmax where it is not defined between visual tokens
    prior : a name of `PRIORS`, or probabilities (n_v,) or (b, n_v)
    self_loop : whether a token counts in its own softmax denominator, as Eq. (16) has it
    self_marginal : p(v_j) is the prior ("uniform": Alg. 1, line 8) or its "total_probability"
        (Eq. 50)
    empty_redundancy : S^self before the first choice, which Eq. (20) leaves undefined; it shifts
        the first gain and no choice

    Examples
    --------
    Two copies of the best match: the second is redundant.

    >>> import torch
    >>> v = torch.tensor([[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.2]]])
    >>> t = torch.tensor([[[1.0, 0.1, 0.0], [0.0, 1.0, 0.0]]])
    >>> mi_pruner(v, t, budget=2, relevance_weight=0.5).indices
    tensor([[2, 0]])
    """
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
    return mi_greedy(problem, budget)
