"""TrimTokenator: near the mean word first, then unlike one another."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..distributions import unit_rows
from ..errors import BudgetError, ParameterError
from .dispersion import disperse
from .engine import CosineRows, Picks, at, first_best, rounding_slack, top_picks
from .refusal import refuse_zero_rows

WIDENED = "the first stage keeps at least the budget, where the public code keeps int(ratio · n_v)"


def trimtokenator(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int,
    first_ratio: float = 0.8,
    zero_norm: str = "error",
    mode: str = "exact",
) -> Picks:
    """A share of the tokens by distance to the words, then those of least mean similarity (RepMax).

    Stage one keeps ⌊ρ₁ n_v⌋ tokens by −(1/n_t) Σ_j ‖v_i − t_j‖² of unnormalized embeddings. Stage
    two starts from the least mean cosine with all of these, and adds the token of the least mean
    cosine with what is chosen: max-sum dispersion, which has no 1 − 1/e.

    The authors published no code; the rule is that of a third party's. Where the budget is more
    than ⌊ρ₁ n_v⌋, mode "faithful" refuses and mode "exact" lets stage one keep that many.

    Source: zhang2025trimtokenator.

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d), in one space and on one scale
    first_ratio : ρ₁ in (0, 1]

    Returns
    -------
    Picks
        Gains are one minus the mean cosine with the tokens chosen before; of the first, with all
        of stage one.

    Raises
    ------
    ParameterError
        If the ratio is outside (0, 1].
    BudgetError
        In mode "faithful", if stage one keeps less than the budget.
    ZeroNormError
        In mode "faithful", for a zero row, even where it may be uninformative.

    Examples
    --------
    The last token is unlike the others but far from the word.

    >>> v = torch.tensor([[[1.0, 0.0], [0.9, 0.1], [0.6, 0.8], [-3.0, 4.0]]])
    >>> trimtokenator(v, torch.tensor([[[1.0, 0.0]]]), budget=2).indices
    tensor([[2, 0]])
    """
    number = isinstance(first_ratio, int | float) and not isinstance(first_ratio, bool)
    if not number or not 0 < first_ratio <= 1:
        raise ParameterError(f"first_ratio: expected within (0, 1], got {first_ratio!r}")
    _, n, d = visual.shape
    size = int(first_ratio * n)
    if mode == "faithful":
        refuse_zero_rows("trimtokenator", "visual", visual)
        if size < budget:
            raise BudgetError(
                f"trimtokenator: expected at most the {size} tokens that stage one keeps of {n}, "
                f'got a budget of {budget}; use mode="exact" or a larger first_ratio'
            )
    size = max(size, budget)
    scores, slack = alignment(visual, text)
    places = top_picks(scores, size, slack=slack).indices.sort(-1).values
    kept = visual.gather(1, places[:, :, None].expand(-1, -1, d))
    rows = CosineRows(unit_rows("visual", kept, zero_norm=zero_norm))
    mean = (rows.unit @ rows.unit.mean(1)[:, :, None])[..., 0]  # of each row of the Gram matrix
    first = first_best(-mean, torch.ones_like(mean, dtype=torch.bool), rounding_slack(mean))
    picks = disperse(rows, first[:, None], budget, mean=True)
    picks.gains[:, 0] = 1 - at(mean, first)
    return dataclasses.replace(
        picks,
        indices=places.gather(1, picks.indices),
        evaluations=picks.evaluations + n + size,
        departures=() if mode == "faithful" else (WIDENED,),
    )


def alignment(visual: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
    """−(1/n_t) Σ_j ‖v_i − t_j‖² (b, n_v) in units of the largest entry, and its slack (b, 1).

    It is −‖v_i‖² + 2 v_i · t̄ − (1/n_t) Σ_j ‖t_j‖²: of the text it knows the mean, and the rest is a
    penalty on the norm. The unit makes no difference to the order and nothing overflows.

    Source: zhang2025trimtokenator.

    Examples
    --------
    >>> alignment(torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[0.0, 0.0], [0.0, 2.0]]]))[0]
    tensor([[-1.5000]])
    """
    unit = torch.maximum(visual.abs().amax((1, 2)), text.abs().amax((1, 2)))[:, None, None]
    unit = torch.where(unit > 0, unit, 1.0)
    v, t = visual / unit, text / unit
    own = v.square().sum(-1)
    words = t.square().sum(-1).mean(-1, keepdim=True)
    scores = 2 * (v @ t.mean(1)[:, :, None])[..., 0] - own - words
    scale = own.amax(-1, keepdim=True) + words
    return scores, rounding_slack(scores) * scale
