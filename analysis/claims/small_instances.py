"""Totals and objectives on a few patches, where the best set is found by trying all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mitheory.bundle import Sample
from mitheory.distributions import unit_rows
from mitheory.setfunctions import Coverage, FacilityLocation, LogDet, SetFunction

from .greedy_score import Parts

RIDGE = 1e-3
PROVED = ("facility_location", "coverage")  # normalized, monotone and submodular
POWER = 4  # of the similarity, so that coverage is of near patches


def totals_of(found: Parts, orders: NDArray[np.int64], relevance_weight: float) -> NDArray[Any]:
    """Total score of every order (m, k) of choice: the vectorized twin of `total`."""
    relevance, pmi = found.relevance.numpy(), found.pmi.numpy()
    summed = relevance_weight * relevance[orders].sum(1)
    for step in range(1, orders.shape[1]):
        against = pmi[orders[:, step, None], orders[:, :step]]  # (m, step)
        summed = summed - (1 - relevance_weight) * against.max(1)
    return np.asarray(summed)


def objectives(sample: Sample, chosen: Tensor, relevance: Tensor) -> dict[str, SetFunction]:
    """Objectives with a value, over these patches; relevance (len(chosen),) in nats."""
    unit = unit_rows("visual", sample.visual.double())
    own = unit[chosen] @ unit[chosen].T
    return {"log_det": LogDet(relevance, (own + own.T) / 2, RIDGE), **proved(unit, chosen)}


def proved(unit: Tensor, chosen: Tensor) -> dict[str, SetFunction]:
    """Those of `PROVED`: how well `chosen` stand for all unit-norm patches (n_v, d)."""
    near = ((1 + unit @ unit[chosen].T) / 2).clamp(0, 1)  # (n_v, few)
    weights = torch.full((len(near),), 1 / len(near), dtype=torch.float64)
    found = (FacilityLocation(near), Coverage(near**POWER, weights))
    return dict(zip(PROVED, found, strict=True))


def restricted(function: SetFunction, n: int) -> Callable[[Sequence[int]], float]:
    """The value on the first n elements."""
    return lambda chosen: function.value([i for i in chosen if i < n])
