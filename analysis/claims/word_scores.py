"""Scores of a patch from its cosines with the words, in which words compete or do not."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from mitheory.aggregation import resolve_aggregation
from mitheory.distributions import minmax, softmax, softmax_over_vision
from mitheory.pmi import log_marginal, pmi

Score = Callable[[Tensor, float], Tensor]


def _uniform(like: Tensor) -> Tensor:
    """Log prior (n_v,) of equally likely patches."""
    return like.new_zeros(like.shape[0]).log_softmax(-1)


def over_words(aggregation: str, conditional: Callable[[Tensor], Tensor] = softmax) -> Score:
    """PMI with p(t given v), words competing, aggregated over words."""

    def score(cosine: Tensor, temperature: float) -> Tensor:
        log_cond = conditional(cosine / temperature)  # (n_v, n_t)
        found = pmi(log_cond, log_marginal(log_cond, _uniform(cosine)))
        return resolve_aggregation(aggregation)(found, log_cond)

    return score


def over_patches(combine: Callable[[Tensor], Tensor]) -> Score:
    """PMI with p(v given t): patches compete for a word, words do not."""

    def score(cosine: Tensor, temperature: float) -> Tensor:
        log_cond = softmax_over_vision(cosine / temperature)
        return combine(log_cond - _uniform(cosine)[:, None])

    return score


def sigmoid_per_word(combine: Callable[[Tensor], Tensor]) -> Score:
    """Each word is there or not, by itself: log of its probability less that of its mean.

    The logit is the cosine less the word's mean over patches, over temperature.
    """

    def score(cosine: Tensor, temperature: float) -> Tensor:
        log_p = logsigmoid((cosine - cosine.mean(0, keepdim=True)) / temperature)
        mean = log_p.logsumexp(0, keepdim=True) - torch.tensor(float(len(cosine))).log()
        return combine(log_p - mean)

    return score


def _max(x: Tensor) -> Tensor:
    return x.amax(-1)


def _lse(x: Tensor) -> Tensor:
    return x.logsumexp(-1)


def _sum(x: Tensor) -> Tensor:
    return x.sum(-1)


SCORES: dict[str, Score] = {
    "max PMI": over_words("max"),
    "KL": over_words("kl"),
    "Rényi, order 2": over_words("renyi:2"),
    "max PMI, MinMax": over_words("max", minmax),
    "max PMI, p(v|t)": over_patches(_max),
    "LSE of PMI, p(v|t)": over_patches(_lse),
    "max PMI, sigmoid": sigmoid_per_word(_max),
    "sum of PMI, sigmoid": sigmoid_per_word(_sum),
    "cosine, max": lambda cosine, temperature: cosine.amax(-1),
    "cosine, mean": lambda cosine, temperature: cosine.mean(-1),
}
"""From cosines (n_v, n_t) and a temperature to one score per patch (n_v,)."""
