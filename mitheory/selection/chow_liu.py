"""Chow-Liu: relevance minus the heaviest tree of what the kept tokens tell of one another."""

from __future__ import annotations

import torch
from torch import Tensor

from ..distributions import unit_rows
from ..errors import ParameterError
from .engine import CosineRows, Picks, at, first_best, mark, rounding_slack
from .kernels import DEFAULT_TEMPERATURE, check_at_least_zero, word_relevance
from .log_det import RIDGE


def chow_liu(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int,
    relevance_weight: float = 1.0,
    relevance: str = "cosine",
    word_aggregation: str = "max",
    ridge: float = RIDGE,
    temperature: float = DEFAULT_TEMPERATURE,
    zero_norm: str = "error",
) -> Picks:
    """Greedy f(S) = w Σ_{i∈S} r_i − weight of the maximum spanning tree of I(V_i; V_j) over S.

    I(V_i; V_j) = −½ log(1 − ρ²) of Gaussian variables of correlation ρ = cos / (1 + ε). Not
    submodular, not monotone: no guarantee.

    Source: chow1968; Eq. (20).

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    ridge : ε above rounding, without which copies share infinitely much
    relevance_weight, relevance, word_aggregation, temperature : as in `log_det`

    Raises
    ------
    ParameterError
        If the ridge is within rounding of 0.

    Examples
    --------
    >>> v = torch.tensor([[[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]])
    >>> chow_liu(v, torch.tensor([[[1.0, 0.0]]]), budget=2).indices
    tensor([[0, 2]])
    """
    check_at_least_zero("relevance_weight", relevance_weight)
    check_at_least_zero("ridge", ridge)
    unit = rounding_slack(visual)
    if ridge < unit:
        raise ParameterError(
            f"ridge: expected at least {unit:.2g} for chow_liu in {visual.dtype}, got {ridge!r}"
        )
    worth = relevance_weight * word_relevance(
        visual,
        text,
        relevance=relevance,
        word_aggregation=word_aggregation,
        temperature=temperature,
        zero_norm=zero_norm,
    )
    rows = CosineRows(unit_rows("visual", visual, zero_norm=zero_norm))
    b, n = worth.shape
    # a correlation of 1 / (1 + ε) magnifies the rounding of the cosine by about 1 / 2ε
    slack = unit * (worth.abs().amax(-1, keepdim=True) + 1 + 1 / ridge)
    open_ = torch.ones(b, n, dtype=torch.bool, device=worth.device)
    shared = worth.new_zeros(b, 0, n)  # information of each chosen token with every token
    tree = Tree.of(shared, torch.zeros(b, 0, dtype=torch.int64, device=worth.device))
    chosen: list[Tensor] = []
    gained = []
    for _ in range(budget):
        gains = worth - tree.growth(shared)
        j = first_best(gains, open_, slack)
        chosen.append(j)
        gained.append(at(gains, j))
        mark(open_, j)
        correlation = rows.row(j).clamp(-1, 1) / (1 + ridge)
        shared = torch.cat([shared, pair_information(correlation)[:, None]], 1)
        tree = Tree.of(shared, torch.stack(chosen, 1))
    evaluations = sum(n - t for t in range(budget))
    return Picks(torch.stack(chosen, 1), torch.stack(gained, 1), evaluations)


def pair_information(correlation: Tensor) -> Tensor:
    """−½ log(1 − ρ²), nats.

    Source: cover2006, Example 8.5.1.

    Examples
    --------
    >>> pair_information(torch.tensor([0.0, 0.6]))
    tensor([0.0000, 0.2231])
    """
    return -0.5 * torch.log1p(-correlation.square())


class Tree:
    """A maximum spanning tree of the chosen tokens of every sample, the root first.

    Parameters
    ----------
    places : (b, t) in an order in which parents come before children, places among the chosen
    parents : (b, t) place of each one's parent in that order; the root's means nothing
    weights : (b, t) of the edge to the parent

    Source: chow1968.
    """

    def __init__(self, places: Tensor, parents: Tensor, weights: Tensor) -> None:
        self.places, self.parents, self.weights = places, parents, weights

    @classmethod
    def of(cls, shared: Tensor, chosen: Tensor) -> Tree:
        """Prim's tree.

        Source: chow1968.

        Parameters
        ----------
        shared : (b, t, n) weight of each chosen token with every token
        chosen : (b, t)
        """
        b, t, _ = shared.shape
        pairs = shared.gather(2, chosen[:, None].expand(-1, t, -1))  # (b, t, t)
        device = shared.device
        outside = torch.ones(b, t, dtype=torch.bool, device=device)
        best = shared.new_zeros(b, t)
        parent = torch.zeros(b, t, dtype=torch.int64, device=device)
        places, parents, weights = [], [], []
        samples = torch.arange(b, device=device)
        for step in range(t):
            place = best.masked_fill(~outside, -torch.inf).argmax(-1)
            places.append(place)
            parents.append(at(parent, place))
            weights.append(at(best, place))
            outside[samples, place] = False
            row = pairs[samples, place]
            closer = row > best if step else torch.ones_like(outside)
            best = torch.where(closer, row, best)
            parent = torch.where(closer, step, parent)
        empty = torch.zeros(b, 0, dtype=torch.int64, device=device)
        return cls(
            torch.stack(places, 1) if places else empty,
            torch.stack(parents, 1) if parents else empty,
            torch.stack(weights, 1) if weights else shared.new_zeros(b, 0),
        )

    def growth(self, shared: Tensor) -> Tensor:
        """By how much (b, n) the tree would outgrow itself with each token added.

        A new vertex brings its edges to the chosen ones. From the leaves to the root, of a
        subtree's best edge to the new vertex and the edge to its parent the heavier one stays in
        the tree, and the lighter one is what the parent may use to reach it.

        Source: chin1978.

        Parameters
        ----------
        shared : (b, t, n) weight of each chosen token with every token
        """
        b, t, n = shared.shape
        if not t:
            return shared.new_zeros(b, n)
        reach = shared.gather(1, self.places[..., None].expand(-1, -1, n))  # in the tree's order
        grown = shared.new_zeros(b, n)
        samples = torch.arange(b, device=shared.device)
        for v in range(t - 1, 0, -1):
            own, edge = reach[:, v], self.weights[:, v, None]
            grown = grown + own.maximum(edge) - edge
            parent = self.parents[:, v]
            reach[samples, parent] = reach[samples, parent].maximum(own.minimum(edge))
        return grown + reach[:, 0]
