"""SparseVLM's budgets: how many tokens each of its three stages keeps, and how many it adds.

Versions 1.5 and 2.0 know four targets for the 576 tokens of LLaVA-1.5 and no others; a target is
about the average over layers of the tokens that come out of a layer. Version 1.0 keeps a number
that grows with the rank of the attention of the rating words.
"""

from __future__ import annotations

from types import MappingProxyType

from ..checks import lookup
from ..errors import BudgetError

LAYERS = (2, 6, 15)
"""Layers, counted from 0, whose output is pruned."""

TABLES = MappingProxyType(
    {
        "1.5": MappingProxyType(
            {192: (300, 200, 110), 128: (303, 110, 36), 96: (238, 48, 26), 64: (66, 30, 17)}
        ),
        "2.0": MappingProxyType(
            {192: (300, 200, 118), 128: (238, 108, 60), 96: (246, 54, 28), 64: (66, 34, 20)}
        ),
    }
)
"""Tokens kept by each stage, by version and target; version 1.5 adds recycled ones."""


def stage_budgets(version: str, target: int) -> tuple[int, int, int]:
    """Tokens that the three stages keep, recycled ones not counted.

    Source: zhang2025sparsevlm.

    Raises
    ------
    UnknownNameError
        If there is no table of that version.
    BudgetError
        If its table has no such target; the public code fails there with a KeyError.

    Examples
    --------
    >>> stage_budgets("1.5", 64)
    (66, 30, 17)
    """
    table = lookup(version, dict(TABLES), "version of SparseVLM")
    if target not in table:
        raise BudgetError(f"target: expected one of {sorted(table)}, got {target!r}")
    return table[target]


def recycled(dropped: int) -> tuple[int, int]:
    """Of `dropped` tokens, how many version 1.5 takes up again, and into how many groups.

    ⌊0.3 D⌋ + 1 of the D dropped tokens become ⌊that / 10⌋ + 1 averaged ones.

    Source: zhang2025sparsevlm.

    Raises
    ------
    BudgetError
        If nothing is dropped.

    Examples
    --------
    >>> recycled(276), recycled(15)
    ((83, 9), (5, 1))
    """
    if dropped < 1:
        raise BudgetError(f"dropped: expected at least one token, got {dropped}")
    taken = int(0.3 * dropped) + 1
    return taken, taken // 10 + 1


RANK_SCALE = 13.5
"""Tokens that version 1.0 keeps for every unit of rank."""


def rank_budget(rank: int, n_v: int, *, scale: float = RANK_SCALE, bias: float = 0.0) -> int:
    """Tokens that a stage of version 1.0 keeps of n_v: min(⌊scale · rank + bias⌋, n_v − 1).

    All of them if the rank is full, n_v. The rank is that of the raters' attention.

    Source: zhang2025sparsevlm (version 1.0).

    Raises
    ------
    BudgetError
        If that is no token.

    Examples
    --------
    >>> rank_budget(4, 576), rank_budget(4, 30), rank_budget(30, 30)
    (54, 29, 30)
    """
    if rank == n_v:
        return n_v
    kept = min(int(scale * rank + bias), n_v - 1)
    if kept < 1:
        raise BudgetError(
            f"rank {rank} of {n_v} tokens: expected at least one token to keep, got {kept} from "
            f"scale {scale:g} and bias {bias:g}"
        )
    return kept
