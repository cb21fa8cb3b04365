"""SparseVLM: the words that matter rate the patches by their attention."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..checks import lookup
from ..errors import BudgetError, MissingInputError, ParameterError
from .engine import Picks, ranking, relative_slack
from .recycling import kept_beside_groups, prune_with_groups
from .sparsevlm_budgets import rank_budget, recycled

VERSIONS = ("1.0", "1.5", "2.0")
HEADS = 14  # that version 2.0 listens to, of the 32 of LLaVA-1.5
NOISE = 1e-6


def sparsevlm(
    visual: Tensor,
    text: Tensor,
    text_attention: Tensor,
    *,
    budget: int,
    llm_visual_states: Tensor | None = None,
    version: str = "1.5",
    recycle: bool = False,
    noise: bool = False,
    seeds: Sequence[int] = (0,),
    mode: str = "exact",
) -> Picks:
    """One stage: raters among the words, their mean attention, the best tokens.

    A word rates if its marginal p(t_j), the mean over patches of softmax_j(v_i · t_j), is above
    the mean 1 / n_t. With `recycle` some dropped tokens come back averaged (`Selection.merge`);
    the budget then counts kept tokens and groups.

    In mode "faithful" a stage keeps at most one token less than there are. Version "1.0" keeps
    min(⌊13.5 rank⌋, n_v − 1) tokens, where rank is that of the raters' attention, whatever the
    budget, or all if the rank is n_v. Version "1.5" keeps `budget` tokens besides the groups.
    Versions' budgets for the three stages: `sparsevlm_budgets`.

    Source: zhang2025sparsevlm.

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d), input embeddings, not normalized
    text_attention : (b, heads, n_t, n_v)
    llm_visual_states : (b, n_v, d_llm), needed by `recycle`: what groups are near in
    version : "1.0", "1.5" or "2.0", which listens to the 14 heads of largest attention on patches
    recycle : bool, of version 1.5
    noise : bool, uniform noise of 1e-6 on the densities of `recycle`, as the public code has it
    seeds : one per sample, for the noise

    Returns
    -------
    Picks
        info: "raters", places of the words that rate.

    Raises
    ------
    UnknownNameError
        For another version.
    MissingInputError
        If `recycle` is without its states.
    ParameterError
        In mode "faithful", if no word rates: the public code gives NaN.
    BudgetError
        If there are more groups than the budget.

    Examples
    --------
    >>> v, t = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]]), torch.eye(2)[None]
    >>> seen = torch.tensor([[[[0.1, 0.2, 0.3], [0.9, 0.0, 0.0]]]])
    >>> picks = sparsevlm(v, t, seen, budget=1)
    >>> picks.indices, picks.info  # the first word is what the patches are most about
    (tensor([[2]]), [{'raters': [0]}])
    """
    lookup(version, {v: v for v in VERSIONS}, "version of SparseVLM")
    rates = raters(visual, text)
    silent = ~rates.any(-1)
    if mode == "faithful" and bool(silent.any()):
        raise ParameterError(
            "text: no word's marginal is above the mean in mode 'faithful': the public code "
            "averages nothing"
        )
    rates = rates | silent[:, None]  # where none stands out, all rate
    attention = loudest(text_attention) if version == "2.0" else text_attention.mean(1)
    weight = rates.to(attention.dtype)
    scores = (weight[:, None] @ attention)[:, 0] / weight.sum(-1, keepdim=True)
    order = ranking(scores, relative_slack(scores))
    info: list[dict[str, Any]] = [{"raters": row.nonzero()[:, 0].tolist()} for row in rates]
    notes = [_departures(version, mode, recycle, noise, bool(s)) for s in silent]
    n = scores.shape[1]
    if version == "1.0" and mode == "faithful":
        counts = torch.tensor(
            [rank_budget(a[r], n) for a, r in zip(attention, rates, strict=True)],
            device=order.device,
        )
        chosen = order[:, : int(counts.max())]
        gains = scores.gather(1, chosen)
        return Picks(chosen, gains, n, counts=counts, departures=notes, info=info)
    kept = budget if mode == "exact" else min(budget, n - 1)
    if mode == "faithful" and kept < 1:
        raise BudgetError(f"budget: mode 'faithful' keeps one token less than there are, {n}")
    if not recycle:
        chosen = order[:, :kept]
        return Picks(chosen, scores.gather(1, chosen), n, departures=notes, info=info)
    if llm_visual_states is None:
        raise MissingInputError("sparsevlm: recycle=True needs llm_visual_states")
    if mode == "exact":
        kept = kept_beside_groups(budget, n)
    if kept == n:
        into = order.sort(-1).values
        return Picks(order, scores.gather(1, order), n, departures=notes, into=into, info=info)
    added = _noise(seeds, recycled(n - kept)[0], scores) if noise else None
    indices, into = prune_with_groups(order, kept, llm_visual_states, noise=added)
    gains = torch.cat(
        [scores.gather(1, order[:, :kept]), scores.new_full(indices[:, kept:].shape, math.nan)], 1
    )
    return Picks(indices, gains, n, departures=notes, into=into, merge_rule="mean", info=info)


def needed(options: Mapping[str, Any]) -> tuple[str, ...]:
    """What `recycle` needs. Source: zhang2025sparsevlm."""
    return ("llm_visual_states",) if options["recycle"] else ()


def raters(visual: Tensor, text: Tensor) -> Tensor:
    """Words (b, n_t) bool whose marginal is above the mean of all.

    The marginal is that of MI-Pruner, with dot products at temperature 1 instead of cosines over τ.

    Source: zhang2025sparsevlm; Eq. (17).

    Examples
    --------
    >>> raters(torch.tensor([[[2.0, 0.0]]]), torch.eye(2)[None])
    tensor([[ True, False]])
    """
    marginal = (visual @ text.mT).softmax(-1).mean(1)
    return marginal > marginal.mean(-1, keepdim=True) + relative_slack(marginal)


def loudest(text_attention: Tensor, heads: int = HEADS) -> Tensor:
    """Mean (b, n_t, n_v) over the heads in which words attend most to patches.

    Source: zhang2025sparsevlm (version 2.0).
    """
    mass = text_attention.sum((2, 3))
    chosen = ranking(mass, relative_slack(mass))[:, :heads]
    samples = torch.arange(len(chosen), device=chosen.device)[:, None]
    return text_attention[samples, chosen].mean(1)


def _noise(seeds: Sequence[int], size: int, like: Tensor) -> Tensor:
    """Uniform on [0, 1e-6), from each sample's own seed."""
    rows = [torch.rand(size, generator=torch.Generator().manual_seed(s)) for s in seeds]
    return NOISE * torch.stack(rows).to(like)


def _departures(
    version: str, mode: str, recycle: bool, noise: bool, silent: bool
) -> tuple[str, ...]:
    notes = []
    if silent:
        notes.append("No word stands out, so that all rate; the public code averages nothing.")
    if version == "2.0":
        notes.append("The pattern that rotary angles alone cause is not divided out.")
    if version == "1.0" and mode == "faithful":
        notes.append("The number of tokens follows from a rank; the budget does not count.")
    if version == "1.0" and mode == "exact":
        notes.append("The budget is kept; the public code derives its own from a rank.")
    if version == "1.5" and not recycle:
        notes.append("Dropped tokens are not recycled; in the public code they are.")
    if recycle and not noise:
        notes.append("Densities are without the noise that the public code adds.")
    if recycle and mode == "exact":
        notes.append("The budget counts the groups; in the public code they come on top.")
    return tuple(notes)
