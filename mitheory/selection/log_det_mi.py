"""LogDetMI: what the kept tokens tell of all words together, as Gaussian variables."""

from __future__ import annotations

import torch
from torch import Tensor

from ..checks import lookup
from ..distributions import cosine_similarity, unit_rows
from ..errors import ParameterError
from .engine import CosineRows, Picks, at, first_best, mark, rounding_slack
from .kernels import (
    DEFAULT_TEMPERATURE,
    KERNELS,
    POSITIVE_DEFINITE,
    check_at_least_zero,
    nonnegative,
    word_weights,
)
from .log_det import RIDGE


def log_det_mi(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int,
    query_weight: float = 1.0,
    kernel: str = "shifted",
    ridge: float = RIDGE,
    temperature: float = DEFAULT_TEMPERATURE,
    zero_norm: str = "error",
) -> Picks:
    """Greedy f(S) = log det K_S − log det(K_S − η² K_SQ K_QQ⁻¹ K_QS), Q the words.

    K is the nonnegative similarity of tokens and words with ε added to its diagonal. Monotone but
    not submodular: greedy has no guarantee, and a heap of stale gains would choose otherwise.

    Source: iyer2021; chen2018, Algorithm 1.

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    query_weight : η in [0, 1]
    kernel, temperature : as in `facility_location`; "clipped" leaves no covariance
    ridge : ε > 0, without which copies make K singular

    Raises
    ------
    ParameterError
        If η, the kernel or the ridge is outside its range.

    Examples
    --------
    >>> v = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]])
    >>> log_det_mi(v, torch.tensor([[[0.0, 1.0]]]), budget=1).indices
    tensor([[1]])
    """
    check_at_least_zero("query_weight", query_weight)
    check_at_least_zero("ridge", ridge)
    lookup(kernel, KERNELS, "kernel")
    if query_weight > 1 or ridge == 0 or kernel not in POSITIVE_DEFINITE:
        raise ParameterError(
            f"log_det_mi: expected query_weight <= 1, ridge > 0 and kernel of {POSITIVE_DEFINITE}, "
            f"got {query_weight!r}, {ridge!r} and {kernel!r}"
        )
    b, n, _ = visual.shape
    crossed = word_weights(visual, text, kernel, temperature, zero_norm)  # (b, n_t, n_v)
    own = nonnegative(cosine_similarity(text, text, zero_norm=zero_norm), kernel, temperature)
    lower = torch.linalg.cholesky(own + ridge * torch.eye(own.shape[1]).to(own))
    told = query_weight * torch.linalg.solve_triangular(lower, crossed, upper=False)
    rows = CosineRows(unit_rows("visual", visual, zero_norm=zero_norm))
    norm = rows.unit.square().sum(-1).round()  # 1, or 0 of an uninformative row
    free = nonnegative(norm, kernel, temperature) + ridge
    bound = free - told.square().sum(1)
    factors = free.new_zeros(2, b, budget, n)
    open_ = torch.ones(b, n, dtype=torch.bool, device=free.device)
    unit = rounding_slack(free)
    chosen, gained = [], []
    for t in range(budget):
        gains = (free / bound).log()
        raw = gains.masked_fill(~open_, -torch.inf).argmax(-1)
        slack = unit * (1 / at(free, raw) + 1 / at(bound, raw))
        j = first_best(gains, open_, slack[:, None])
        chosen.append(j)
        gained.append(at(gains, j))
        mark(open_, j)
        kernel_row = nonnegative(rows.row(j), kernel, temperature)
        shared = told.gather(2, j[:, None, None].expand(-1, told.shape[1], 1)).mT @ told
        for factor, row, rest in (
            (factors[0], kernel_row, free),
            (factors[1], kernel_row - shared[:, 0], bound),
        ):
            earlier = factor[:, :t].gather(2, j[:, None, None].expand(-1, t, 1)).mT
            new = (row - (earlier @ factor[:, :t])[:, 0]) * at(rest, j).rsqrt()[:, None]
            factor[:, t] = new
            rest -= new.square().masked_fill_(~open_, 0.0)
            rest.clamp_(min=ridge)  # no eigenvalue is below ε, hence no residual; rounding may be
    evaluations = sum(n - t for t in range(budget))
    return Picks(torch.stack(chosen, 1), torch.stack(gained, 1), evaluations)
