"""Oracle: keep what the question is about, where the world knows it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .engine import Picks, top_picks
from .random import permutations


def oracle(relevant: Tensor, *, budget: int, seeds: Sequence[int]) -> Picks:
    """Relevant tokens first, in random order, then random others.

    An upper row for tables and no method: it is told the answer. Source: the patches of the
    objects in question, as the world drew them.

    Parameters
    ----------
    relevant : (b, n_v) bool
    seeds : one per sample

    Examples
    --------
    >>> import torch
    >>> relevant = torch.tensor([[False, True, False, True]])
    >>> oracle(relevant, budget=2, seeds=[0]).indices.sort().values
    tensor([[1, 3]])
    """
    n = relevant.shape[1]
    rank = permutations(n, seeds).argsort(-1).to(relevant.device)  # (b, n) distinct
    keys = relevant * n - rank  # relevant ones above all others
    picks = top_picks(keys.double(), budget, slack=0.0, guarantee=None)
    return Picks(picks.indices, relevant.gather(1, picks.indices).float(), 0)
