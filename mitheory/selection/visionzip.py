"""VisionZip: dominant tokens by [CLS] attention, and the rest merged into contextual ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..distributions import row_products, unit_rows
from ..errors import ParameterError
from .engine import Picks, ranking, relative_slack, rounding_slack, rows_at

SHARE = 10 / 64  # of the published settings 54 + 10, 108 + 20, 162 + 30


def visionzip(
    cls_attention: Tensor,
    encoder_keys: Tensor,
    *,
    budget: int,
    contextual: int | float = SHARE,
    zero_norm: str = "error",
    mode: str = "exact",
) -> Picks:
    """Dominant tokens by [CLS] attention, then contextual ones at even steps over the rest.

    Of the M tokens that are not dominant, in raster order, those at places 0, s, 2s, ... with
    s = max(1, ⌊M / contextual⌋) are kept as well. Every other one is merged into the contextual
    token whose key has the largest cosine with its own (`Selection.merge`): contextual token plus
    the mean of what joins it. Indices are the dominant tokens by attention, then the contextual
    ones in raster order; the gains of those are NaN, they are kept for their place and no score.

    In mode "exact" the budget is of patches, and without contextual tokens the rest is dropped.
    In mode "faithful" the class token is one of the budget, as in the public code, so that
    ``budget - 1`` patches are kept.

    Source: yang2025visionzip; Eq. (5), left.

    Parameters
    ----------
    cls_attention : (b, heads, n_v)
    encoder_keys : (b, n_v, d_key), mean over heads
    contextual : how many of the budget: a count, or a share in [0, 1] rounded half up

    Returns
    -------
    Picks
        With `into` and rule "add_mean".

    Raises
    ------
    ParameterError
        If `contextual` is more than the budget, or no count and no share; in mode "faithful" also
        where it leaves no contextual token or no place for the class token: the public code
        divides by zero, or asks for a negative number of tokens.

    Examples
    --------
    >>> seen = torch.tensor([[[0.1, 0.5, 0.1, 0.1, 0.2]]])
    >>> keys = torch.tensor([[[1.0, 0.0], [1.0, 1.0], [0.9, 0.1], [0.0, 1.0], [0.1, 1.0]]])
    >>> picks = visionzip(seen, keys, budget=3, contextual=2)
    >>> picks.indices, picks.into  # 4 left over, in steps of 2: tokens 0 and 3
    (tensor([[1, 0, 3]]), tensor([[0, 1, 0, 3, 3]]))
    """
    count = contextual_count(contextual, budget)
    dominant = budget - count
    if mode == "faithful":
        if count < 1:
            raise ParameterError(
                f"contextual: expected at least 1 of {budget} in mode 'faithful', got 0 from "
                f"{contextual!r}: the public code divides by it"
            )
        if dominant < 1:
            raise ParameterError(
                f"contextual: expected at most {budget - 1} of {budget} in mode 'faithful', got "
                f"{count}: the class token is one of the dominant ones"
            )
        dominant -= 1
    scores = cls_attention.sum(1)  # (b, heads, n_v) -> (b, n_v)
    order = ranking(scores, relative_slack(scores))
    first, rest = order[:, :dominant], order[:, dominant:].sort(-1).values
    places = even_places(rest.shape[1], count).to(rest.device)
    targets = rest[:, places]
    indices = torch.cat([first, targets], 1)
    into = torch.full_like(order, -1).scatter_(1, indices, indices)
    evaluations = scores.shape[1]
    if count:
        joins = torch.ones(rest.shape[1], dtype=torch.bool, device=rest.device)
        joins[places] = False
        others = rest[:, joins]
        unit = unit_rows("encoder_keys", encoder_keys, zero_norm=zero_norm)
        into.scatter_(1, others, nearest(unit, others, targets))
        evaluations += others.shape[1] * count
    gains = torch.cat([scores.gather(1, first), scores.new_full(targets.shape, math.nan)], 1)
    return Picks(
        indices,
        gains,
        evaluations,
        departures=(FAITHFUL if mode == "faithful" else EXACT,),
        into=into,
        merge_rule="add_mean",
        info=[{"dominant": dominant, "contextual": count} for _ in indices],
    )


FAITHFUL = "The class token is one of the budget: budget - 1 patches are kept."
EXACT = "The budget is of patches; the public code counts the class token in it."


def contextual_count(contextual: int | float, budget: int) -> int:
    """How many of the budget are contextual.

    Source: yang2025visionzip.

    Raises
    ------
    ParameterError
        If it is neither a count up to the budget nor a share in [0, 1].

    Examples
    --------
    >>> [contextual_count(SHARE, budget) for budget in (64, 128, 192)], contextual_count(5, 64)
    ([10, 20, 30], 5)
    """
    is_count = isinstance(contextual, int) and not isinstance(contextual, bool)
    if is_count and 0 <= contextual <= budget:
        return int(contextual)
    if isinstance(contextual, float) and 0 <= contextual <= 1:
        return math.floor(contextual * budget + 0.5)
    raise ParameterError(
        f"contextual: expected a count from 0 to the budget {budget}, or a share in [0, 1], "
        f"got {contextual!r}"
    )


def even_places(n: int, count: int) -> Tensor:
    """The first `count` of the places 0, s, 2s, ... below n, with s = max(1, ⌊n / count⌋).

    Source: yang2025visionzip.

    Examples
    --------
    >>> even_places(11, 4), even_places(5, 0)
    (tensor([0, 2, 4, 6]), tensor([], dtype=torch.int64))
    """
    step = max(1, n // count) if count else 1
    return torch.arange(0, n, step)[:count]


def nearest(unit: Tensor, tokens: Tensor, targets: Tensor) -> Tensor:
    """For every token (b, m) the target (b, c) of largest cosine, the first of those that tie.

    Source: yang2025visionzip.
    """
    cosine = row_products(rows_at(unit, tokens), rows_at(unit, targets))  # (b, m, c)
    best = cosine.amax(-1, keepdim=True)
    owner = (cosine >= best - rounding_slack(cosine)).byte().argmax(-1)
    return targets.gather(1, owner)
