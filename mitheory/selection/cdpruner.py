"""CDPruner: a determinantal point process of quality and diversity, by greedy MAP."""

from __future__ import annotations

import torch
from torch import Tensor

from ..checks import lookup
from ..distributions import cosine_similarity, unit_rows
from ..errors import MissingInputError, ParameterError
from .cholesky import log_det_greedy
from .engine import CosineRows, Picks, rounding_slack
from .similarity import WORD_AGGREGATIONS

SHIFT = 1e-6
SOURCES = ("tokens", "clip")


def cdpruner(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int,
    clip_visual: Tensor | None = None,
    clip_text: Tensor | None = None,
    relevance_source: str = "tokens",
    relevance_sign: float = 1.0,
    word_aggregation: str = "mean",
    zero_norm: str = "error",
) -> Picks:
    """Greedy maximization of log det of K_ij = r_i cos(v_i, v_j) r_j, r the min-max relevance.

    The public code takes relevance from CLIP's two towers and *negates* it; that is
    ``relevance_source="clip", relevance_sign=-1``. The default needs V and T only, with the sign
    that the word relevance means. Min-max runs over one sample, so that no answer depends on batch
    neighbors; constant relevance is 1 throughout. Where the rank of V is used up and nothing
    explains more, tokens follow by relevance. The determinant is submodular but not monotone, so
    there is no guarantee.

    Source: zhang2025cdpruner; chen2018, Algorithm 1.

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    clip_visual, clip_text : (b, n_v, d_c), (b, m, d_c)
        Joint-space embeddings, for ``relevance_source="clip"``.
    relevance_source : "tokens" or "clip"
    relevance_sign : 1 or -1
    word_aggregation : "mean" (as the original) or "max"

    Returns
    -------
    Picks
        Gains are the growth of log det, −∞ past the rank.

    Raises
    ------
    MissingInputError
        If "clip" is asked for without both CLIP inputs.
    ParameterError
        If the source or the sign is another.
    """
    image, words = visual, text
    if relevance_source not in SOURCES:
        raise ParameterError(
            f"relevance_source: expected one of {SOURCES}, got {relevance_source!r}"
        )
    if relevance_sign not in (1, -1):
        raise ParameterError(f"relevance_sign: expected 1 or -1, got {relevance_sign!r}")
    if relevance_source == "clip":
        if clip_visual is None or clip_text is None:
            missing = "clip_visual" if clip_visual is None else "clip_text"
            raise MissingInputError(f'cdpruner: relevance_source="clip" needs {missing}')
        image, words = clip_visual, clip_text
    cosine = cosine_similarity(image, words, zero_norm=zero_norm)  # (b, n_v, n_t)
    aggregate = lookup(word_aggregation, WORD_AGGREGATIONS, "word aggregation")
    relevance = min_max(relevance_sign * aggregate(cosine))
    rows = CosineRows(unit_rows("visual", visual, zero_norm=zero_norm))
    return log_det_greedy(rows, relevance, budget)


def min_max(x: Tensor) -> Tensor:
    """Each row of (b, n) mapped to about [0, 1]; 1 throughout where it is constant to rounding.

    Source: zhang2025cdpruner.

    Examples
    --------
    >>> min_max(torch.tensor([[1.0, 3.0], [2.0, 2.0]]))
    tensor([[0.0000, 1.0000],
            [1.0000, 1.0000]])
    """
    low, high = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
    constant = high - low <= rounding_slack(x)
    return torch.where(constant, 1.0, (x - low + SHIFT) / torch.where(constant, 1.0, high - low))
