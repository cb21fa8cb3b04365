"""SparseVLM: the words that matter rate the patches by their attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..checks import check_count, check_finite_number, check_flag, lookup
from ..distributions import row_products
from ..errors import BudgetError, MissingInputError, ParameterError
from .engine import Picks, ranking, relative_slack, rounding_slack
from .recycling import kept_beside_groups, pick_with_groups
from .sparsevlm_budgets import LAYERS, RANK_SCALE, rank_budget, stage_budgets

VERSIONS = ("1.0", "1.5", "2.0")
HEADS = 14  # that version 2.0 listens to, of the 32 of LLaVA-1.5


def sparsevlm(
    visual: Tensor,
    text: Tensor,
    text_attention: Tensor,
    *,
    budget: int,
    llm_visual_states: Tensor | None = None,
    version: str = "1.5",
    heads: int | None = None,
    layer: int | None = None,
    recycle: bool | None = None,
    noise: bool = False,
    rank_scale: float = RANK_SCALE,
    rank_bias: float = 0.0,
    seeds: Sequence[int] = (0,),
    mode: str = "exact",
) -> Picks:
    """One stage: raters among the words, their mean attention, the best tokens.

    A word rates if its marginal p(t_j), the mean over patches of softmax_j(v_i · t_j), is above
    the mean 1 / n_t. With `recycle` some dropped tokens come back averaged (`Selection.merge`);
    the budget then counts kept tokens and groups.

    In mode "faithful" a stage keeps at most one token less than there are, and groups come on top.
    Version "1.0" keeps min(⌊13.5 rank⌋, n_v − 1) tokens, where rank is that of the raters'
    attention, whatever the budget, or all if the rank is n_v. Versions "1.5" and "2.0" keep
    `budget` tokens, or with `layer` the number that their table has for the target `budget`.

    Source: zhang2025sparsevlm.

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d), input embeddings, not normalized
    text_attention : (b, heads, n_t, n_v)
    llm_visual_states : (b, n_v, d_llm), needed by `recycle`: what groups are near in
    version : "1.0", "1.5" or "2.0"
    heads : how many to listen to, those of largest attention on patches; if None, 14 in version
        "2.0" and all in the others
    layer : 2, 6 or 15 in mode "faithful", to take the number of tokens from the version's table
    recycle : bool; None recycles in mode "faithful" in versions "1.0" and "1.5", as their public
        code does, and not in mode "exact"
    noise : bool, uniform noise of 1e-6 on the densities of `recycle`, as the public code has it
    rank_scale, rank_bias : of version "1.0", tokens for a unit of rank and besides
    seeds : one per sample, for the noise

    Returns
    -------
    Picks
        info: "raters", places of the words that rate, among those that are no padding; of version
        "1.0" also "rank". Gains are the scores, NaN for the centers of groups.

    Raises
    ------
    UnknownNameError
        For another version.
    MissingInputError
        If it recycles without states.
    ParameterError
        If an option is none of what it may be; in mode "faithful" also if no word rates: the public
        code gives NaN.
    BudgetError
        If there are more groups than the budget; in mode "faithful" also if the table has no such
        target (a KeyError in the public code), or nothing would be kept.

    Examples
    --------
    >>> v, t = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]]), torch.eye(2)[None]
    >>> seen = torch.tensor([[[[0.1, 0.2, 0.3], [0.9, 0.0, 0.0]]]])
    >>> picks = sparsevlm(v, t, seen, budget=1)
    >>> picks.indices, picks.info  # the first word is what the patches are most about
    (tensor([[2]]), [{'raters': [0]}])
    """
    count = _check(version, heads, layer, recycle, noise, rank_scale, rank_bias, mode)
    if recycle is None:
        recycle = _recycles(version, mode)
    if recycle and llm_visual_states is None:
        raise MissingInputError("sparsevlm: recycling needs llm_visual_states")
    rates = raters(visual, text)
    silent = ~rates.any(-1)
    if mode == "faithful" and bool(silent.any()):
        raise ParameterError(
            "text: no word's marginal is above the mean in mode 'faithful': the public code "
            "averages nothing"
        )
    rates = rates | silent[:, None]  # where none stands out, all rate
    attention = loudest(text_attention, count)
    weight = rates.to(attention.dtype)
    scores = (weight[:, None] @ attention)[:, 0] / weight.sum(-1, keepdim=True)
    b, n = scores.shape
    info: list[dict[str, Any]] = [{"raters": row.nonzero()[:, 0].tolist()} for row in rates]
    if version == "1.0":
        ranks = rater_ranks(attention, rates)
        for own, rank in zip(info, ranks, strict=True):
            own["rank"] = rank
    if version == "1.0" and mode == "faithful":
        kept = [rank_budget(rank, n, scale=rank_scale, bias=rank_bias) for rank in ranks]
    else:
        kept = [_kept(budget, n, version, layer, recycle, mode)] * b
    states = llm_visual_states if recycle else None
    chosen, gains, counts, into = pick_with_groups(scores, kept, states, seeds if noise else None)
    return Picks(
        chosen,
        gains,
        n,
        counts=counts,
        departures=[_departures(version, mode, recycle, noise, s) for s in silent.tolist()],
        into=into,
        info=info,
    )


def needed(options: Mapping[str, Any]) -> tuple[str, ...]:
    """What recycling needs. Source: zhang2025sparsevlm."""
    recycle = options["recycle"]
    if recycle is None:
        recycle = _recycles(options["version"], options["mode"])
    return ("llm_visual_states",) if recycle is True else ()


def _recycles(version: str, mode: str) -> bool:
    """Whether the public code of the version does, and it is to be followed."""
    return mode == "faithful" and version != "2.0"


def word_shares(visual: Tensor, text: Tensor) -> Tensor:
    """Marginal p(t_j) (b, n_t): the mean over patches of softmax_j(v_i · t_j).

    It is that of MI-Pruner under a uniform prior, with dot products at temperature 1 instead of
    cosines over τ.

    Source: zhang2025sparsevlm; Eq. (17).

    Examples
    --------
    >>> word_shares(torch.zeros(1, 2, 3), torch.ones(1, 4, 3))
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    return _marginal(row_products(visual, text))


def _marginal(products: Tensor) -> Tensor:
    return products.softmax(-1).mean(1)


def raters(visual: Tensor, text: Tensor) -> Tensor:
    """Words (b, n_t) bool whose marginal is above the mean of all, 1 / n_t, by more than rounding.

    Source: zhang2025sparsevlm; Eq. (17).

    Examples
    --------
    >>> raters(torch.tensor([[[2.0, 0.0]]]), torch.eye(2)[None])
    tensor([[ True, False]])
    """
    products = row_products(visual, text)
    marginal = _marginal(products)
    largest = torch.linalg.vector_norm(products, torch.inf, dim=(1, 2)).unsqueeze(-1)
    slack = rounding_slack(marginal) * (1 + largest)  # what a softmax makes of their rounding
    return marginal > (1 + slack) / text.shape[1]


def loudest(text_attention: Tensor, heads: int | None = HEADS) -> Tensor:
    """Mean (b, n_t, n_v) over the heads in which words attend most to patches, or over all.

    Source: zhang2025sparsevlm (version 2.0).

    Parameters
    ----------
    text_attention : (b, heads, n_t, n_v)
    heads : how many; None for all
    """
    if heads is None or heads >= text_attention.shape[1]:
        return text_attention.mean(1)
    mass = text_attention.sum((2, 3))
    chosen = ranking(mass, relative_slack(mass))[:, :heads]
    samples = torch.arange(len(chosen), device=chosen.device)[:, None]
    return text_attention[samples, chosen].mean(1)


def rater_ranks(attention: Tensor, rates: Tensor) -> list[int]:
    """Numerical rank of the raters' rows of (b, n_t, n_v), by the usual tolerance max(m, n) ε σ₁.

    Source: zhang2025sparsevlm (version 1.0).

    Examples
    --------
    >>> rows = torch.tensor([[[0.5, 0.5], [0.1, 0.9], [0.2, 0.2]]])
    >>> rater_ranks(rows, torch.tensor([[True, False, True]]))
    [1]
    """
    values = torch.linalg.svdvals(attention * rates.to(attention)[..., None])
    size = rates.sum(-1, keepdim=True).clamp(min=attention.shape[2])
    tolerance = size * torch.finfo(attention.dtype).eps * values[:, :1]
    return [int(rank) for rank in (values > tolerance).sum(-1)]


def _kept(budget: int, n: int, version: str, layer: int | None, recycle: bool, mode: str) -> int:
    """Tokens that the stage keeps besides groups."""
    if mode == "exact":
        return kept_beside_groups(budget, n) if recycle else budget
    if layer is not None:
        budget = stage_budgets(version, budget)[LAYERS.index(layer)]
    if n < 2:
        raise BudgetError(f"budget: mode 'faithful' keeps one token less than there are, {n}")
    return min(budget, n - 1)


ROTARY = (
    "Attention is not divided by the pattern that rotary angles alone cause: that takes the "
    "positions of words and tokens and the decoder's frequencies, which are no inputs here."
)


def _departures(
    version: str, mode: str, recycle: bool, noise: bool, silent: bool
) -> tuple[str, ...]:
    notes = []
    if silent:
        notes.append("No word stands out, so that all rate; the public code averages nothing.")
    if version == "2.0":
        notes.append(ROTARY)
    if version == "1.0" and mode == "faithful":
        notes.append("The number of tokens follows from a rank; the budget does not count.")
    if version == "1.0" and mode == "exact":
        notes.append("The budget is kept; the public code derives its own from a rank.")
    if version != "1.0" and mode == "exact":
        notes.append("The budget is that of one stage; the public code has a table for three.")
    if version != "2.0" and not recycle:
        notes.append("Dropped tokens are not recycled; in the public code they are.")
    if version == "2.0" and recycle:
        notes.append("Dropped tokens are recycled; in the public code of version 2.0 they are not.")
    if recycle and not noise:
        notes.append("Densities are without the noise that the public code adds.")
    if recycle and mode == "exact":
        notes.append("The budget counts the groups; in the public code they come on top.")
    return tuple(notes)


def _check(
    version: str,
    heads: int | None,
    layer: int | None,
    recycle: bool | None,
    noise: bool,
    scale: float,
    bias: float,
    mode: str,
) -> int | None:
    """The number of heads to listen to, or None for all."""
    lookup(version, {v: v for v in VERSIONS}, "version of SparseVLM")
    if recycle is not None:
        check_flag("recycle", recycle)
    check_flag("noise", noise)
    check_finite_number("rank_scale", scale)
    check_finite_number("rank_bias", bias)
    if layer is not None:
        if isinstance(layer, bool) or not isinstance(layer, int) or layer not in LAYERS:
            raise ParameterError(f"layer: expected None or one of {LAYERS}, got {layer!r}")
        if mode == "exact" or version == "1.0":
            raise ParameterError(
                "layer: expected None in mode 'exact' and with version 1.0, where no table says "
                f"how many tokens a stage keeps, got {layer}"
            )
    if heads is None:
        return HEADS if version == "2.0" else None
    return check_count("heads", heads, least=1)
