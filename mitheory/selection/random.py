"""Random: the baseline that every method must beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .engine import Picks


def random(visual: Tensor, *, budget: int, seeds: Sequence[int]) -> Picks:
    """The first `budget` entries of a random permutation, one generator per sample.

    A larger budget keeps what a smaller one keeps, and a sample's answer depends on its own seed
    alone. Source: Sec. 4.1 (Random).

    Examples
    --------
    >>> small = random(torch.zeros(1, 9, 1), budget=2, seeds=[7]).indices
    >>> large = random(torch.zeros(1, 9, 1), budget=5, seeds=[7]).indices
    >>> torch.equal(small, large[:, :2])
    True
    """
    chosen = permutations(visual.shape[1], seeds)[:, :budget].to(visual.device)
    return Picks(chosen, visual.new_zeros(chosen.shape), 0)


def permutations(n: int, seeds: Sequence[int]) -> Tensor:
    """A random order (b, n) of range(n) for every seed; the global generator is left alone.

    Source: Sec. 4.1 (Random).
    """
    return torch.stack([torch.randperm(n, generator=_generator(seed)) for seed in seeds])


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
