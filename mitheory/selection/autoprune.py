"""AutoPrune: tokens by the words' attention; mutual information says how fast to prune."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checks import check_count, check_finite_number, check_flag, lookup
from ..errors import DistributionError, MissingInputError
from .engine import Picks, relative_slack, top_picks
from .recycling import kept_beside_groups, pick_with_groups
from .retention_curve import LAYERS, retention_curve, slope

GUARD = 1e-6
SHARE_OF_TEXT = 0.3
RATINGS = ("text", "cls+text")


def autoprune(
    text_attention: Tensor,
    *,
    budget: int,
    cls_attention: Tensor | None = None,
    llm_visual_states: Tensor | None = None,
    rating: str = "text",
    recycle: bool | None = None,
    noise: bool = False,
    layer_target: float | None = None,
    n_layers: int = LAYERS,
    seeds: Sequence[int] = (0,),
    mode: str = "exact",
) -> Picks:
    """The tokens that the words attend to most, mean over heads and words.

    The mutual information of words and tokens is one number per sample. It scores no token: it
    shapes the schedule, how many tokens each layer keeps (`retention_curve`); a stage of that
    schedule is this selector. Before the first layer the public code rates by [CLS] attention plus
    0.3 (I / n_t) times that of the words (`rating="cls+text"`). With `recycle` some dropped tokens
    come back averaged (`Selection.merge`), as in `sparsevlm`: in mode "exact" the budget counts
    kept tokens and groups, in mode "faithful" the groups come on top.

    Source: wang2025autoprune.

    Parameters
    ----------
    text_attention : (b, heads, n_t, n_v)
    cls_attention : (b, heads, n_v), for rating "cls+text"
    llm_visual_states : (b, n_v, d_llm), for groups: what they are near in
    rating : "text" or "cls+text"
    recycle : bool; None recycles in mode "faithful", as the public code does, and not in "exact"
    noise : bool, uniform noise of 1e-6 on the densities of groups, as the public code has it
    layer_target : mean over layers of the tokens that are kept, if the sample's curve is wanted
    n_layers : of the decoder, for the curve
    seeds : one per sample, for the noise

    Returns
    -------
    Picks
        info: "information", in bits as coded; "mutual_information", in nats, of the attention as a
        proper joint distribution, mean over heads; "slope" of the curve; and "curve", the tokens
        that every layer keeps, None without a target.

    Raises
    ------
    UnknownNameError
        For another rating.
    MissingInputError
        If the rating needs `cls_attention` and there is none, or it recycles without states.
    BudgetError
        If no curve has that target, or there are more groups than the budget.
    DistributionError
        If attention is negative.
    ParameterError
        If the target, the number of layers or a flag is none of what they may be.

    Examples
    --------
    >>> seen = torch.tensor([[[[0.5, 0.1], [0.1, 0.5]]]])
    >>> picks = autoprune(seen, budget=1)
    >>> picks.indices, {name: x and round(x, 3) for name, x in picks.info[0].items()}
    (tensor([[0]]),
     {'information': 0.21, 'mutual_information': 0.243, 'slope': 0.358, 'curve': None})
    """
    lookup(rating, {name: name for name in RATINGS}, "rating")
    check_count("n_layers", n_layers, least=2)
    if layer_target is not None:
        check_finite_number("layer_target", layer_target)
    check_flag("noise", noise)
    recycles = mode == "faithful" if recycle is None else check_flag("recycle", recycle)
    if recycles and llm_visual_states is None:
        raise MissingInputError("autoprune: recycling needs llm_visual_states")
    if float(text_attention.amin()) < 0:
        raise DistributionError("text_attention: expected no negative attention, got some")
    logs = log2_of(text_attention)
    information = attention_information(text_attention, logs)
    scores = text_attention.mean((1, 2))
    if rating == "cls+text":
        if cls_attention is None:
            raise MissingInputError('autoprune: rating="cls+text" needs cls_attention')
        weight = SHARE_OF_TEXT * information[:, None].to(scores) / text_attention.shape[2]
        scores = cls_attention.mean(1).to(scores) + weight * scores
    picks = _pick(scores, budget, llm_visual_states if recycles else None, mode,
                  seeds if noise else None)  # fmt: skip
    proper = mutual_information(text_attention, logs)
    n_v = scores.shape[1]
    info = [
        {
            "information": bits,
            "mutual_information": nats,
            "slope": slope(bits),
            "curve": None
            if layer_target is None
            else list(retention_curve(bits, layer_target, n_v, n_layers=n_layers)),
        }
        for bits, nats in zip(information.tolist(), proper.tolist(), strict=True)
    ]
    return replace(picks, departures=_departures(recycles, noise, mode), info=info)


def _pick(
    scores: Tensor, budget: int, states: Tensor | None, mode: str, seeds: Sequence[int] | None
) -> Picks:
    """The best tokens and, if there are states, centers of groups."""
    b, n = scores.shape
    if states is None:
        return top_picks(scores, budget, slack=relative_slack(scores))
    kept = kept_beside_groups(budget, n) if mode == "exact" else budget
    indices, gains, counts, into = pick_with_groups(scores, [kept] * b, states, seeds)
    return Picks(indices, gains, n, counts=counts, into=into)


def _departures(recycles: bool, noise: bool, mode: str) -> tuple[str, ...]:
    notes = [
        "One stage keeps the budget; the public code prunes after every layer along its curve."
    ]
    if not recycles:
        notes.append("Dropped tokens are not merged; in the public code some are.")
    if recycles and not noise:
        notes.append("Densities are without the noise that the public code adds.")
    if recycles and mode == "exact":
        notes.append("The budget counts the groups; in the public code they come on top.")
    return tuple(notes)


def needed(options: Mapping[str, Any]) -> tuple[str, ...]:
    """What the rating and recycling need. Source: wang2025autoprune."""
    recycles = options["mode"] == "faithful" if options["recycle"] is None else options["recycle"]
    rated = ("cls_attention",) if options["rating"] == "cls+text" else ()
    return rated + (("llm_visual_states",) if recycles is True else ())


def log2_of(x: Tensor) -> Tensor:
    """Logarithms of base 2, those of 0 and of what is nearly 0 as of the least normal number: x
    times its logarithm is then 0, to rounding. On a CPU by NumPy, in half the time.

    Source: cover2006, Sec. 2.1.

    Examples
    --------
    >>> log2_of(torch.tensor([4.0, 0.0]))
    tensor([   2., -126.])
    """
    least = x.clamp(min=torch.finfo(x.dtype).tiny)
    plain = x.is_cpu and not x.requires_grad and x.dtype != torch.bfloat16
    return torch.from_numpy(np.log2(least.numpy())) if plain else least.log2_()


def attention_information(text_attention: Tensor, logs: Tensor | None = None) -> Tensor:
    r"""The public code's information (b,) of words and tokens, in bits, over all heads.

    .. math:: I = \sum_h \sum_{xy} p_{xy} \log_2
        \max\Bigl(\frac{p_{xy}}{p_y / n_t + 10^{-6}}, 10^{-6}\Bigr),
        \quad p_{xy} = A_{hxy} / n_t, \; p_y = \sum_x p_{xy}

    What words attend to beside tokens is missing from A, so that p does not sum to one: the number
    also says how much words look at the image at all.

    Source: wang2025autoprune.

    Parameters
    ----------
    text_attention : (b, heads, n_t, n_v)
    logs : `log2_of` it, where that is known
    """
    n_t = text_attention.shape[2]
    logs = log2_of(text_attention) if logs is None else logs
    tokens = text_attention.sum(2) / n_t  # p_y
    below = tokens / n_t + GUARD
    # p_xy log₂ of the quotient, with the logarithm of the quotient taken apart
    guarded = logs.maximum((GUARD * n_t * below).log2().unsqueeze(2))
    weighted = guarded.mul_(text_attention).sum(3).double().sum(2) / n_t
    rest = (tokens * (n_t * below).log2()).sum(-1, dtype=torch.float64)
    return (weighted - rest).sum(1)


def mutual_information(text_attention: Tensor, logs: Tensor | None = None) -> Tensor:
    """I(X; Y) (b,) in nats of the attention scaled to sum to one, mean over heads.

    Being a mean over heads, it is the information given a head that is drawn uniformly, and at most
    log min(n_t, n_v). Words weigh as much as they attend to the image.

    Source: cover2006, Eq. (2.28).

    Parameters
    ----------
    text_attention : (b, heads, n_t, n_v), a head of zeros has no information
    logs : `log2_of` it, where that is known
    """
    words, tokens = text_attention.sum(3), text_attention.sum(2)
    total = words.sum(-1).double()

    def negentropy(x: Tensor, logs: Tensor) -> Tensor:
        """Σ x log₂ x of every head (b, heads, m, n), in double precision but within a row."""
        return (x * logs).sum(-1).double().sum(-1)

    own = negentropy(text_attention, log2_of(text_attention) if logs is None else logs)
    for margin in (words, tokens):
        own = own - negentropy(margin[..., None], log2_of(margin)[..., None])
    mass = torch.where(total > 0, total, 1.0)
    return (own * math.log(2) / mass + mass.log()).mean(1)
