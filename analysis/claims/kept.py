"""What MI-Pruner keeps at each ratio, and pairs inside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mitheory.bundle import Sample
from mitheory.checks import check_budget
from mitheory.selection import select

from .context import Context

Integers = NDArray[np.int64]


def in_order_of_choice(sample: Sample, context: Context) -> Integers:
    """Tokens that Algorithm 1 keeps at the largest ratio, first choice first.

    Its search is greedy: what it keeps at a smaller ratio is a beginning of this.
    """
    chosen = select(
        "mi_pruner",
        visual=sample.visual,
        text=sample.text,
        budget=float(max(context.ratios)),
        temperature=context.temperature,
        relevance_weight=context.relevance_weight,
        zero_norm="uninformative",
    )
    return chosen.indices.numpy()


def budgets(context: Context, n_v: int) -> dict[float, int]:
    """Tokens kept by ratio."""
    return {ratio: check_budget(float(ratio), n_v) for ratio in context.ratios}


def nearest(grid: Sequence[int], token: int, others: Integers) -> int:
    """The other token nearest on the grid, the first of several; frames count as a third axis."""
    shape = (grid[2], grid[0], grid[1]) if len(grid) == 3 else (1, grid[0], grid[1])
    here = np.array(np.unravel_index(token, shape))[:, None]  # (3, 1)
    there = np.array(np.unravel_index(others, shape))  # (3, m)
    return int(others[np.square(here - there).sum(0).argmin()])
