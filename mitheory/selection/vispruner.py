"""VisPruner: important tokens by [CLS] attention, and of the rest what is not a duplicate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checks import check_share, lookup
from ..distributions import gram_of, unit_rows
from ..errors import BudgetError, MissingInputError
from .attention import NO_SUMS, column_sums
from .engine import BLOCK, WHOLE, Picks, ranking, relative_slack, rounding_slack

ROUND = 8  # tokens removed in a round, at most
LISTED = 64  # nearest neighbors of a token that are known at a time
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
    sums: Mapping[str, Tensor] = NO_SUMS,
) -> Picks:
    """⌊budget · important_ratio⌋ tokens by attention, and others after removal of duplicates.

    The residual R, in descending attention, loses up to 8 tokens a round until what is left of it
    fills the budget: R splits into its even places A and its odd places B, the tokens of A with
    the largest cosine to their nearest one in B go, and the survivors of A in descending order of
    that cosine, then B, are the next R.

    Mode "exact" is the same rule where the public code has none: of an odd residual A holds one
    token more than B, a round never removes more than A holds, and the single token that has no B
    goes if it must. Wherever mode "faithful" does not refuse, both modes keep the same tokens.
    Computed in float64 whatever the input: the order of survivors decides all later splits, so
    that one rounding error changes much of the end. Which of several equal tokens survive depends
    on their places in R, not on their indices.

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
    scores = _importance(importance, cls_attention, patch_attention, sums)
    important = int(budget * important_ratio)
    order = ranking(scores, relative_slack(scores))
    unit = unit_rows("encoder_features", encoder_features.double(), zero_norm=zero_norm)
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

    Of few tokens on a CPU the matrix of cosines is kept, and read. Of many the 64 nearest neighbors
    of every token are listed once, and anew among the tokens that are left whenever half of them
    are gone, so that a call reads lists: a token with none of its neighbors among the others is
    compared with all of them. So a residual of m tokens costs O(m² d) on the whole, not in each
    round; blocks of 512 rows exist at a time.

    Source: zhang2025vispruner.

    Parameters
    ----------
    unit : (b, n, d), rows of norm 1

    Examples
    --------
    >>> similar = NearestInOther(torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]]))
    >>> similar(torch.tensor([[0, 1]]), torch.tensor([[2]]))
    tensor([[0.6000, 0.8000]])
    """

    def __init__(self, unit: Tensor) -> None:
        self._unit = unit
        kept = unit.is_cpu and unit.shape[1] <= WHOLE
        self._whole = gram_of(unit).numpy() if kept else None
        self._listed = 0  # tokens that the lists were made of
        self._place = torch.zeros(unit.shape[:2], dtype=torch.long, device=unit.device)

    def __call__(self, tokens: Tensor, others: Tensor) -> Tensor:
        if not others.shape[1]:
            return self._unit.new_full(tokens.shape, -torch.inf)
        if self._whole is not None:
            pairs = zip(self._whole, tokens.numpy(), others.numpy(), strict=True)
            return torch.from_numpy(np.stack([x.take(a, 0).take(o, 1).max(1) for x, a, o in pairs]))
        left = tokens.shape[1] + others.shape[1]
        if 2 * left <= self._listed or not self._listed:
            self._list(torch.cat([tokens, others], 1))
        is_other = torch.zeros_like(self._place, dtype=torch.bool).scatter_(1, others, True)
        samples = torch.arange(len(tokens), device=tokens.device)[:, None]
        places = self._place.gather(1, tokens)
        ids, cosine = self._ids[samples, places], self._cosine[samples, places]  # (b, a, LISTED)
        found = is_other.gather(1, ids.flatten(1)).view(ids.shape)
        nearest = cosine.masked_fill(~found, -torch.inf).amax(-1)
        missed = nearest.isneginf()
        for sample in missed.any(1).nonzero()[:, 0].tolist():
            unit, rows = self._unit[sample], missed[sample]
            columns = unit[others[sample]].mT
            parts = tokens[sample, rows].split(BLOCK)
            nearest[sample, rows] = torch.cat([(unit[p] @ columns).amax(-1) for p in parts])
        return nearest

    def _list(self, tokens: Tensor) -> None:
        """The nearest neighbors of these tokens (b, m) among themselves."""
        b, m = tokens.shape
        samples = torch.arange(b, device=tokens.device)[:, None]
        own = torch.arange(m, device=tokens.device).expand(b, m)
        unit = self._unit[samples, tokens]
        tops = [(part @ unit.mT).topk(min(LISTED, m)) for part in unit.split(BLOCK, 1)]
        self._cosine = torch.cat([top.values for top in tops], 1)
        ids = torch.cat([top.indices for top in tops], 1)
        self._ids = tokens.gather(1, ids.flatten(1)).view(ids.shape)
        self._place.scatter_(1, tokens, own)
        self._listed = m


def _importance(
    importance: str,
    seen: Tensor | None,
    attention: Tensor | None,
    sums: Mapping[str, Tensor],
) -> Tensor:
    if importance == "cls":
        if seen is None:
            raise MissingInputError('vispruner: importance="cls" needs cls_attention')
        return seen.double().mean(1)
    if attention is None:
        raise MissingInputError('vispruner: importance="received" needs patch_attention')
    known = sums.get("patch_attention")
    return column_sums(attention, include_diagonal=True, sums=known).double()


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
