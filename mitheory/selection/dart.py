"""DART: a few pivots of large norm, and the tokens that are least like them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checks import check_count, check_nonzero_rows, lookup
from ..distributions import unit_rows
from ..errors import BudgetError, MissingInputError, ParameterError
from .engine import Picks, ranking, relative_slack, rounding_slack, rows_at

PIVOTS = 4
VISITS = ("norm", "set")
IMAGE_START = 35
"""Tokens before the image in the prompt of LLaVA-1.5."""


def dart(
    llm_visual_states: Tensor,
    llm_visual_keys: Tensor,
    *,
    budget: int,
    llm_text_states: Tensor | None = None,
    llm_text_keys: Tensor | None = None,
    image_pivots: int = PIVOTS,
    text_pivots: int = PIVOTS,
    visit: str = "norm",
    image_start: int = IMAGE_START,
    zero_norm: str = "error",
    mode: str = "exact",
) -> Picks:
    """Visual pivots, and for every pivot the tokens whose states have the lowest cosine with its.

    Pivots are the visual and the text tokens with the largest L1 norm of all their keys together.
    Each takes its share of the visual tokens not yet taken; text pivots are not kept themselves.
    Visual pivots come first, then text pivots, each in descending order of their norms
    (``visit="norm"``); the public code visits them in the order of a Python set of their positions
    in the prompt, ``visit="set"`` with the image at `image_start`.

    In mode "faithful" every pivot takes ⌊budget / pivots⌋ tokens, and the visual pivots come on
    top: 4 + 8 ⌊budget / 8⌋ tokens. In mode "exact" the visual pivots are of the budget, as many as
    fit into it; the rest is shared equally, pivots visited first taking one more; and the text may
    be shorter than the number of its pivots.

    Source: wen2025dart.

    Parameters
    ----------
    llm_visual_states, llm_text_states : (b, n_v, d), (b, n_t, d), behind the model's final norm
    llm_visual_keys, llm_text_keys : (b, heads, n_v, d_key), (b, heads, n_t, d_key), after rotation
    image_pivots, text_pivots : how many of each; the inputs of text are needed if there are any
    visit : "norm" or "set"
    image_start : position of the first visual token in the prompt

    Returns
    -------
    Picks
        Gains are 1 − cosine with the pivot that took the token, NaN for the pivots themselves.

    Raises
    ------
    BudgetError
        In mode "faithful", where the public code fails: fewer tokens than pivots, or no tokens left
        for the last of them.
    MissingInputError
        If there are text pivots without inputs of text.
    ParameterError
        If there is no pivot, or a number or `visit` is none of what they may be.

    Examples
    --------
    >>> states = torch.tensor([[[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-1.0, 0.0]]])
    >>> keys = torch.tensor([[[[3.0], [1.0], [-2.0], [0.0]]]])
    >>> dart(states, keys, budget=3, image_pivots=2, text_pivots=0).indices
    tensor([[0, 2, 3]])
    """
    _check(image_pivots, text_pivots, visit, image_start)
    b, n, _ = llm_visual_states.shape
    if text_pivots and (llm_text_states is None or llm_text_keys is None):
        missing = "llm_text_states" if llm_text_states is None else "llm_text_keys"
        raise MissingInputError(f"dart: text_pivots={text_pivots} needs {missing}")
    n_t = 0 if llm_text_keys is None or not text_pivots else llm_text_keys.shape[2]
    if mode == "faithful":
        _refuse(n, n_t, image_pivots, text_pivots)
    own = image_pivots if mode == "faithful" else min(image_pivots, n, budget)
    total = own + min(text_pivots, n_t)
    shares = _shares(budget, own, total, n, mode)
    first = largest(llm_visual_keys, own)
    words = first[:, :0] if llm_text_keys is None else largest(llm_text_keys, total - own)
    if zero_norm == "error":
        check_nonzero_rows("llm_visual_states", llm_visual_states)
    pivots = unit_rows("pivots", rows_at(llm_visual_states, first), zero_norm="uninformative")
    if llm_text_states is not None and total > own:
        text = unit_rows("llm_text_states", rows_at(llm_text_states, words), zero_norm=zero_norm)
        pivots = torch.cat([pivots, text.to(pivots.dtype)], 1)
    if visit == "set":
        order = _set_order(first, words, image_start, n)
        pivots = rows_at(pivots, order)
    distance = 1 - cosine_with(pivots, llm_visual_states)  # (b, pivots, n)
    farthest = ranking(distance.flatten(0, 1), rounding_slack(distance)).view(b, total, n)
    taken = _taken_in_turn(farthest, first, shares)
    takers = torch.arange(total).repeat_interleave(torch.tensor(shares)).to(distance.device)
    gains = distance[torch.arange(b, device=distance.device)[:, None], takers, taken]
    notes = FAITHFUL if mode == "faithful" else EXACT
    return Picks(
        torch.cat([first, taken], 1),
        torch.cat([distance.new_full(first.shape, math.nan), gains], 1),
        n + n_t + total * n,
        departures=(*notes, *((NORM_ORDER,) if visit == "norm" else ())),
        info=[{"image_pivots": own, "text_pivots": row} for row in words.tolist()],
    )


def _taken_in_turn(farthest: Tensor, first: Tensor, shares: Sequence[int]) -> Tensor:
    """Of every pivot's ranking (b, pivots, n) as many as its share, of what is still to be had, in
    (b, sum of shares); NumPy, whose small operations cost less."""
    b, _, n = farthest.shape
    order, open_, samples = farthest.cpu().numpy(), np.ones((b, n), bool), np.arange(b)[:, None]
    open_[samples, first.cpu().numpy()] = False
    taken = []
    for ranked, share in zip(order.swapaxes(0, 1), shares, strict=True):
        free = open_[samples, ranked]
        free &= free.cumsum(1) <= share
        taken.append(ranked[free].reshape(b, share))
        open_[samples, taken[-1]] = False
    return torch.from_numpy(np.concatenate(taken, 1)).to(farthest.device)


FAITHFUL = (
    "The visual pivots come on top of the budget, and its remainder by the number of pivots is "
    "lost.",
)
EXACT = ("Exactly the budget is kept; the public code keeps 4 + 8 ⌊budget / 8⌋ tokens.",)
NORM_ORDER = (
    "Pivots are visited in descending order of norm; the public code visits them in the order of "
    'a Python set: visit="set".'
)


def needed(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The inputs that text pivots are made of, if there are any. Source: wen2025dart."""
    return ("llm_text_states", "llm_text_keys") if options["text_pivots"] != 0 else ()


def largest(keys: Tensor, count: int) -> Tensor:
    """The tokens (b, count) with the largest L1 norm of their keys, all heads together.

    Source: wen2025dart.

    Parameters
    ----------
    keys : (b, heads, n, d_key)

    Examples
    --------
    >>> largest(torch.tensor([[[[1.0], [-3.0], [2.0]], [[0.0], [1.0], [0.5]]]]), 2)
    tensor([[1, 2]])
    """
    norm = keys.abs().sum((1, 3))
    return ranking(norm, relative_slack(norm))[:, :count]


def cosine_with(unit: Tensor, states: Tensor) -> Tensor:
    """Cosine (b, m, n) of a few unit vectors (b, m, d) with states (b, n, d), 0 with zero ones.

    The states are not copied to be scaled, unless their norms are out of the range of numbers.

    Source: wen2025dart.

    Examples
    --------
    >>> cosine_with(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[3.0, 4.0], [0.0, 0.0]]]))
    tensor([[[0.6000, 0.0000]]])
    """
    norm = torch.linalg.vector_norm(states, dim=-1)
    safe = (norm > torch.finfo(states.dtype).tiny ** 0.25) & norm.isfinite()
    if bool(safe.all()):
        return unit @ states.mT / norm[:, None]
    return unit @ unit_rows("states", states, zero_norm="uninformative").mT


def _shares(budget: int, own: int, total: int, n: int, mode: str) -> Sequence[int]:
    """How many tokens every pivot takes."""
    if mode == "faithful":
        share = budget // total
        if own + total * share > n:
            raise BudgetError(
                f"budget: expected {own} pivots and {total} · {share} others among {n} tokens in "
                f"mode 'faithful', got {own + total * share}: the public code stops with a "
                "RuntimeError"
            )
        return [share] * total
    share, more = divmod(budget - own, total)
    return [share + (p < more) for p in range(total)]


def _set_order(first: Tensor, words: Tensor, start: int, n: int) -> Tensor:
    """Places (b, pivots) of the pivots in the order of a Python set of positions in the prompt."""
    positions = torch.cat([first + start, words + start + n], 1).tolist()
    orders = [[row.index(position) for position in set(row)] for row in positions]
    return torch.tensor(orders, dtype=torch.long, device=first.device)


def _refuse(n: int, n_t: int, image_pivots: int, text_pivots: int) -> None:
    for name, there, wanted in (("visual", n, image_pivots), ("text", n_t, text_pivots)):
        if there < wanted:
            raise BudgetError(
                f"{name}: expected at least {wanted} tokens for as many pivots in mode 'faithful', "
                f"got {there}: the public code stops with a RuntimeError"
            )


def _check(image_pivots: int, text_pivots: int, visit: str, image_start: int) -> None:
    check_count("image_pivots", image_pivots)
    check_count("text_pivots", text_pivots)
    check_count("image_start", image_start)
    lookup(visit, {v: v for v in VISITS}, "visit")
    if not image_pivots + text_pivots:
        raise ParameterError("image_pivots, text_pivots: expected at least one pivot, got 0 and 0")
