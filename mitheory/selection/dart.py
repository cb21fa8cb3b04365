"""DART: pivots of large keys, and for each the tokens that are least like it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..distributions import unit_rows
from ..errors import BudgetError, ParameterError
from .engine import Picks, first_best, mark, ranking, relative_slack, rounding_slack


def dart(
    llm_visual_states: Tensor,
    llm_text_states: Tensor,
    llm_visual_keys: Tensor,
    llm_text_keys: Tensor,
    *,
    budget: int,
    image_pivots: int = 4,
    text_pivots: int = 4,
    zero_norm: str = "error",
    mode: str = "exact",
) -> Picks:
    """Pivots by the L1 norm of their keys; then, pivot by pivot, the tokens of lowest cosine to it.

    Image pivots are kept. Every pivot, those of the image first and both kinds by descending norm,
    takes its share of the tokens that nobody took yet. The public code visits the pivots in the
    order of a hash table, which moves one or two tokens.

    In mode "faithful" every pivot takes ⌊budget / 8⌋ tokens, so that 4 + 8 ⌊budget / 8⌋ are kept.
    In mode "exact" the shares add up to the budget: the first pivots take one more where it does
    not divide, and with fewer tokens or words than pivots there are fewer pivots. Gains are minus
    the cosine to the pivot, NaN for image pivots.

    Source: wen2025dart.

    Parameters
    ----------
    llm_visual_states, llm_text_states : (b, n_v, d_llm), (b, n_t, d_llm)
        Outputs of the layer before the pruning, behind the model's final norm in the public code.
    llm_visual_keys, llm_text_keys : (b, heads, n_v, d), (b, heads, n_t, d), after rotary angles
    image_pivots, text_pivots : how many; at least one of both together

    Raises
    ------
    ParameterError
        If a number of pivots is no nonnegative integer, or both are 0.
    BudgetError
        In mode "faithful", where the public code fails: fewer words or tokens than pivots, or
        fewer tokens than it would keep.

    Examples
    --------
    >>> states = torch.tensor([[[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [-1.0, 0.1]]])
    >>> keys = torch.tensor([[[[5.0], [1.0], [1.0], [1.0]]]])
    >>> word = torch.tensor([[[0.0, -1.0]]]), torch.ones(1, 1, 1, 1)
    >>> dart(states, word[0], keys, word[1], budget=3, image_pivots=1, text_pivots=1).indices
    tensor([[0, 3, 2]])
    """
    n, n_t = llm_visual_states.shape[1], llm_text_states.shape[1]
    _check_pivots(image_pivots, text_pivots)
    if mode == "faithful":
        share = budget // (image_pivots + text_pivots)
        _refuse(image_pivots, text_pivots, share, n, n_t)
        of_image, of_text = image_pivots, text_pivots
        shares = [share] * (of_image + of_text)
    else:
        of_image, of_text = min(image_pivots, budget), min(text_pivots, n_t)
        if not of_image + of_text:  # only possible without words to choose from
            raise ParameterError("text_pivots: expected a pivot, got none")
        each, more = divmod(budget - of_image, of_image + of_text)
        shares = [each + (i < more) for i in range(of_image + of_text)]
    visual = unit_rows("llm_visual_states", llm_visual_states, zero_norm=zero_norm)
    text = unit_rows("llm_text_states", llm_text_states, zero_norm=zero_norm)
    first = largest(llm_visual_keys, of_image)
    words = largest(llm_text_keys, of_text)
    pivots = torch.cat([_rows(visual, first), _rows(text, words)], 1)
    away = -(pivots @ visual.mT)  # (b, pivots, n)
    open_ = torch.ones_like(away[:, 0], dtype=torch.bool).scatter_(1, first, False)
    slack = rounding_slack(visual)
    chosen, gains = [first], [away.new_full(first.shape, math.nan)]
    for p, share in enumerate(shares):
        for _ in range(share):
            j = first_best(away[:, p], open_, slack)
            mark(open_, j)
            chosen.append(j[:, None])
            gains.append(away[:, p].gather(1, j[:, None]))
    return Picks(
        torch.cat(chosen, 1),
        torch.cat(gains, 1),
        n + n_t + len(shares) * n,
        departures=_departures(mode, sum(shares) + of_image != budget),
    )


def largest(keys: Tensor, count: int) -> Tensor:
    """The `count` tokens (b, count) of largest L1 norm of their keys (b, heads, n, d), all heads.

    Source: wen2025dart.

    Examples
    --------
    >>> largest(torch.tensor([[[[1.0], [-3.0]], [[1.0], [1.0]]]]), 1)
    tensor([[1]])
    """
    norms = keys.abs().sum((1, 3))
    return ranking(norms, relative_slack(norms))[:, :count]


def _rows(x: Tensor, index: Tensor) -> Tensor:
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))


def _check_pivots(image_pivots: int, text_pivots: int) -> None:
    for name, count in (("image_pivots", image_pivots), ("text_pivots", text_pivots)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ParameterError(f"{name}: expected a count of 0 or more, got {count!r}")
    if not image_pivots + text_pivots:
        raise ParameterError("image_pivots, text_pivots: expected at least one pivot, got 0 and 0")


def _refuse(image_pivots: int, text_pivots: int, share: int, n: int, n_t: int) -> None:
    if n_t < text_pivots or n < image_pivots:
        raise BudgetError(
            f"dart: expected at least {text_pivots} words and {image_pivots} tokens in mode "
            f"'faithful', got {n_t} and {n}: the public code fails"
        )
    kept = image_pivots + (image_pivots + text_pivots) * share
    if kept > n:
        raise BudgetError(
            f"dart: mode 'faithful' would keep {kept} tokens of {n}: the public code fails"
        )


def _departures(mode: str, is_other: bool) -> tuple[str, ...]:
    order = "Pivots are visited by descending norm; the public code visits them in hash order."
    if mode == "exact":
        return (order, "The pivots' shares add up to the budget; in the public code they do not.")
    return (order, "Not the budget is kept, but 4 + 8 ⌊budget / 8⌋.") if is_other else (order,)
