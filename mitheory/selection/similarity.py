"""Similarity: rank patches by their cosine with the words."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from ..checks import lookup
from ..distributions import NO_NORMS, unit_cosines
from .engine import Picks, rounding_slack, top_picks


def similarity(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int,
    word_aggregation: str = "max",
    zero_norm: str = "error",
    norms: Mapping[str, Tensor] = NO_NORMS,
) -> Picks:
    """The tokens of largest cosine with the prompt.

    The paper does not say how it aggregates over words, and the choice moves results a lot.

    Source: Eq. (15); Sec. 4.1 (Similarity).

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    word_aggregation : "max" or "mean" over words

    Examples
    --------
    >>> import torch
    >>> v = torch.tensor([[[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]]])
    >>> similarity(v, torch.tensor([[[0.0, 1.0]]]), budget=2).indices
    tensor([[1, 0]])
    """
    cosine = unit_cosines(visual, text, zero_norm=zero_norm, norms=norms)  # (b, n_v, n_t)
    scores = lookup(word_aggregation, WORD_AGGREGATIONS, "word aggregation")(cosine)
    return top_picks(scores, budget, slack=rounding_slack(scores))


def _max(cosine: Tensor) -> Tensor:
    return cosine.amax(-1)


def _mean(cosine: Tensor) -> Tensor:
    return cosine.mean(-1)


WORD_AGGREGATIONS: dict[str, Callable[[Tensor], Tensor]] = {"max": _max, "mean": _mean}
"""From (b, n_v, n_t) to (b, n_v), by name."""
