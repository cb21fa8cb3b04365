"""VisPruner: important tokens by [CLS] attention, and of the rest what is not a duplicate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..checks import check_share, lookup
from ..distributions import unit_rows
from ..errors import BudgetError, MissingInputError
from .attention import received_attention
from .engine import BLOCK, WHOLE, Picks, ranking, relative_slack, rounding_slack

ROUND = 8  # tokens removed in a round, at most
IMPORTANCE = {"cls": "cls_attention", "received": "patch_attention"}
"""The input that each kind of importance is made of."""


def vispruner(
    encoder_features: Tensor,
    *,
    budget: int,
    cls_attention: Tensor | None = None,
    patch_attention: Tensor | None = None,
    important_ratio: float = 0.5,
    importance: str = "cls",
    zero_norm: str = "error",
    mode: str = "exact",
) -> Picks:
    """⌊budget · important_ratio⌋ tokens by attention, and others after removal of duplicates.

    The residual R, in descending attention, loses up to 8 tokens a round until what is left of it
    fills the budget: R splits into its even places A and its odd places B, the tokens of A with
    the largest cosine to their nearest one in B go, and the survivors of A in descending order of
    that cosine, then B, are the next R.

    Mode "exact" is the same rule where the public code has none: of an odd residual A holds one
    token more than B, a round never removes more than A holds, and the single token that has no B
    goes if it must. Wherever mode "faithful" does not refuse, both modes keep the same tokens.
    Which of several equal tokens survive depends on their places in R, not on their indices.

    Indices are the important tokens by attention, then the others by attention; the gains of those
    are NaN, they are kept because others went.

    Source: zhang2025vispruner; Eq. (5).

    Parameters
    ----------
    encoder_features : (b, n_v, d_encoder), before the projector
    cls_attention : (b, heads, n_v), for importance "cls"
    patch_attention : (b, heads, n_v, n_v), for importance "received"
    important_ratio : share of the important tokens, in [0, 1]
    importance : "cls", or "received": the attention that each token receives from all tokens,
        itself included, the author's rule for encoders without a class token

    Raises
    ------
    BudgetError
        In mode "faithful", where the public code fails: tokens must go and the residual is odd, or
        has fewer than twice as many tokens as have to go in a round.
    MissingInputError
        If the input of that importance is not given.
    ParameterError
        If the ratio is outside [0, 1].

    Examples
    --------
    >>> seen = torch.tensor([[[0.4, 0.3, 0.2, 0.1]]])
    >>> features = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.1, 1.0], [1.0, 1.0]]])
    >>> vispruner(features, cls_attention=seen, budget=2).indices  # 0; of 1 and 3 | 2: not 1
    tensor([[0, 2]])
    """
    check_share("important_ratio", important_ratio)
    lookup(importance, IMPORTANCE, "importance")
    scores = _importance(importance, cls_attention, patch_attention)
    important = int(budget * important_ratio)
    order = ranking(scores, relative_slack(scores))
    unit = unit_rows("encoder_features", encoder_features, zero_norm=zero_norm)
    rest, removed = without_duplicates(
        unit, order[:, important:], budget - important, refuse=mode == "faithful"
    )
    place = order.argsort(-1).gather(1, rest)  # in the order of attention
    rest = rest.gather(1, place.argsort(-1))
    first = order[:, :important]
    gains = torch.cat([scores.gather(1, first), scores.new_full(rest.shape, math.nan)], 1)
    chosen = torch.cat([first, rest], 1)
    return Picks(chosen, gains, scores.shape[1] + removed, departures=_departures(importance, mode))


def needed(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The attention that `importance` is made of. Source: zhang2025vispruner."""
    return (lookup(options["importance"], IMPORTANCE, "importance"),)


def without_duplicates(
    unit: Tensor, residual: Tensor, size: int, *, refuse: bool = False
) -> tuple[Tensor, int]:
    """What is left (b, size) of a residual (b, m), and how many cosines were looked at for it.

    Source: zhang2025vispruner.

    Parameters
    ----------
    unit : (b, n_v, d), rows of norm 1
    residual : (b, m) indices, the order of which decides the splits
    size : tokens to be left
    refuse : an error where the public code fails

    Raises
    ------
    BudgetError
    """
    similar = NearestInOther(unit)
    slack = rounding_slack(unit)
    looked = 0
    while residual.shape[1] > size:
        m = residual.shape[1]
        excess = min(ROUND, m - size)
        if refuse:
            _refuse(m, excess)
        even, odd = residual[:, ::2], residual[:, 1::2]
        order = ranking(similar(even, odd), slack)
        survivors = even.gather(1, order[:, min(excess, even.shape[1]) :])
        residual = torch.cat([survivors, odd], 1)
        looked += even.shape[1] * odd.shape[1]
    return residual, looked


class NearestInOther:
    """Largest cosine (b, a) of tokens (b, a) with any of (b, o) others; −∞ if there are none.

    Small Gram matrices (n ≤ 1024) are computed once; of large ones 512 rows at a time exist.

    Source: zhang2025vispruner.

    Parameters
    ----------
    unit : (b, n, d), rows of norm 1
    """

    def __init__(self, unit: Tensor) -> None:
        self._unit = unit
        self._gram = unit @ unit.mT if unit.shape[1] <= WHOLE else None

    def __call__(self, tokens: Tensor, others: Tensor) -> Tensor:
        if not others.shape[1]:
            return self._unit.new_full(tokens.shape, -torch.inf)
        samples = torch.arange(len(tokens), device=tokens.device)[:, None]
        if self._gram is not None:
            columns = self._gram[samples[..., None], tokens[..., None], others[:, None]]
            return columns.amax(-1)
        b = self._unit[samples, others].mT
        parts = (self._unit[samples, part] @ b for part in tokens.split(BLOCK, 1))
        return torch.cat([part.amax(-1) for part in parts], 1)


def _importance(importance: str, seen: Tensor | None, attention: Tensor | None) -> Tensor:
    if importance == "cls":
        if seen is None:
            raise MissingInputError('vispruner: importance="cls" needs cls_attention')
        return seen.mean(1)
    if attention is None:
        raise MissingInputError('vispruner: importance="received" needs patch_attention')
    return received_attention(attention, include_diagonal=True)


def _refuse(m: int, excess: int) -> None:
    """Where the public code stops with an IndexError, or a RuntimeError."""
    if m % 2:
        raise BudgetError(
            f"budget: expected an even number of tokens that are not important in mode 'faithful', "
            f"got {m}: the public code stops with an IndexError"
        )
    if m // 2 < excess:
        raise BudgetError(
            f"budget: expected at most {m // 2} of {m} tokens to go in a round in mode 'faithful', "
            f"got {excess}: the public code stops with a RuntimeError"
        )


def _departures(importance: str, mode: str) -> tuple[str, ...]:
    notes = []
    if mode == "exact":
        notes.append("Odd and small residuals are pruned, where the public code fails.")
    if importance == "received":
        notes.append("Importance is received attention; the public code has [CLS] attention only.")
    return tuple(notes)
