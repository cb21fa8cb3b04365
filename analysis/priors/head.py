"""A small network whose prior is trained through the marginal that it enters.

The network gives every patch a weight; their softmax is the prior; the prior gives the marginal
p(t) of Eq. (17), hence PMI and relevance. The loss asks the relevance to rank the patches asked
about first, and its gradient reaches the network through the marginal. Under "max" that is the only
way; under "joint", where relevance is p(v) times a divergence, the weight counts directly as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mitheory.aggregation import resolve_aggregation
from mitheory.distributions import unit_rows
from mitheory.pmi.cross import cross_pmi_of_logits

from .data import Labeled
from .ratio import Arrays, standard

TEMPERATURE = 0.1  # of the paper's conditional
HIDDEN, BATCH, RATE, DECAY = 16, 128, 0.01, 0.01


def log_weights(arrays: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """Unnormalized log prior (b, n_v) of features (b, n_v, f): one hidden layer of tanh."""
    x = ((features - arrays["mean"]) / arrays["spread"]).float()
    hidden = torch.tanh(x @ arrays["inner"] + arrays["bias"])
    return hidden @ arrays["outer"]


def ranking_loss(relevance: Tensor, relevant: Tensor) -> Tensor:
    """Cross-entropy, in nats, of the patches asked about under the softmax of relevance.

    Parameters
    ----------
    relevance : (b, n_v), nats
    relevant : (b, n_v) bool, no row empty

    Returns
    -------
    ()

    Examples
    --------
    >>> relevance = torch.tensor([[0.75, 0.25]]).log()
    >>> ranking_loss(relevance, torch.tensor([[True, False]])).exp() * 3
    tensor(4.)
    """
    log_p = relevance.log_softmax(-1)
    chosen = torch.where(relevant, log_p, 0.0).sum(-1) / relevant.sum(-1)
    return -chosen.mean()


def relevance_of(rho: Tensor, log_prior: Tensor, aggregation: str) -> Tensor:
    """S^cross (b, n_v) under a prior, in log where it is a product ("joint"); differentiable.

    Parameters
    ----------
    rho : (b, n_v, n_t), cosines over temperature
    log_prior : (b, n_v)
    aggregation : "max" or "joint"
    """
    cross = cross_pmi_of_logits(
        rho, conditional="softmax", prior=log_prior.exp(), grid=None, log_degree=None
    )
    if aggregation == "max":
        return resolve_aggregation("max")(cross.pmi, cross.log_cond)
    divergence = resolve_aggregation("kl")(cross.pmi, cross.log_cond)
    smallest = torch.finfo(divergence.dtype).eps  # a divergence of 0 may round below it
    return cross.log_prior + divergence.clamp(min=smallest).log()


Batch = tuple[Tensor, Tensor, Tensor]
"""rho (b, n_v, n_t), scene_of (b,), relevant (b, n_v): questions of one length."""


def batches(data: Labeled) -> list[Batch]:
    """The questions in batches of one number of words, so that nothing is padded."""
    unit = unit_rows("visual", data.visual.double())
    lengths = data.text_mask.sum(1)
    found: list[Batch] = []
    for length in lengths.unique().tolist():
        for own in (lengths == length).nonzero()[:, 0].split(BATCH):
            words = unit_rows("text", data.text[own, :length].double())
            scene = data.scene_of[own]
            rho = unit[scene] @ words.mT / TEMPERATURE
            found.append((rho.float(), scene, data.relevant[own]))
    return found


def fit_head(data: Labeled, options: Mapping[str, Any], seed: int) -> Arrays:
    """Train by AdamW from the uniform prior, where the outer weights are zero.

    Options: ``epochs``, and ``through``, the aggregation that the prior is trained for.

    Source: loshchilov2019.
    """
    rng = torch.Generator().manual_seed(seed)
    mean, spread = standard(data.features)
    n = data.features.shape[-1]
    arrays = {
        "inner": torch.randn(n, HIDDEN, generator=rng) / n**0.5,
        "bias": torch.zeros(HIDDEN),
        "outer": torch.zeros(HIDDEN),
    }
    for x in arrays.values():
        x.requires_grad_(True)
    optimizer = torch.optim.AdamW(list(arrays.values()), lr=RATE, weight_decay=DECAY)
    fixed = {"mean": mean, "spread": spread}
    parts = batches(data)
    for _ in range(options["epochs"]):
        for i in torch.randperm(len(parts), generator=rng).tolist():
            rho, scene, relevant = parts[i]
            log_prior = log_weights(arrays | fixed, data.features[scene]).log_softmax(-1)
            loss = ranking_loss(relevance_of(rho, log_prior, options["through"]), relevant)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return {k: v.detach() for k, v in arrays.items()} | fixed


def head_loss(data: Labeled, log_prior: Tensor, options: Mapping[str, Any]) -> float:
    """Mean `ranking_loss` over questions, of a prior (m, n_v) in log."""
    total, count = 0.0, 0
    for rho, scene, relevant in batches(data):
        relevance = relevance_of(rho, log_prior[scene].float(), options["through"])
        total += len(scene) * float(ranking_loss(relevance, relevant))
        count += len(scene)
    return total / count
