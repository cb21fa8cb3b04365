"""FastV: rank patches by the attention that the last word pays to them."""

from __future__ import annotations

from torch import Tensor

from ..checks import lookup
from .engine import Picks, relative_slack, top_picks


def fastv(text_attention: Tensor, *, budget: int, rows: str = "last") -> Picks:
    """The tokens of largest attention from the last word of the prompt, mean over heads.

    The paper's text says attention from all tokens; the public code takes the last row alone, and
    so does the default. Both modes keep the same tokens.

    Source: chen2024fastv.

    Parameters
    ----------
    text_attention : (b, heads, n_t, n_v), of the layer before the pruning
    rows : "last", or "all": the mean over the words

    Raises
    ------
    UnknownNameError
        If `rows` is neither.

    Examples
    --------
    >>> import torch
    >>> seen = torch.tensor([[[[0.6, 0.1, 0.1], [0.1, 0.2, 0.3]]]])
    >>> fastv(seen, budget=1).indices, fastv(seen, budget=1, rows="all").indices
    (tensor([[2]]), tensor([[0]]))
    """
    scores = lookup(rows, ROWS, "rows")(text_attention)
    notes = () if rows == "last" else (ALL,)
    picks = top_picks(scores, budget, slack=relative_slack(scores))
    return Picks(picks.indices, picks.gains, picks.evaluations, picks.guarantee, departures=notes)


ALL = "The mean over all words, as the paper's text has it; the public code takes the last one."


def _last(attention: Tensor) -> Tensor:
    return attention[:, :, -1].mean(1)


def _mean(attention: Tensor) -> Tensor:
    return attention.mean((1, 2))


ROWS = {"last": _last, "all": _mean}
"""From (b, heads, n_t, n_v) to scores (b, n_v), by name."""
