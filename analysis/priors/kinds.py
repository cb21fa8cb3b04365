"""The kinds of learned priors, and fitting them with hyper-parameters chosen across scenes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mitheory.checks import lookup
from mitheory.errors import EmptyInputError
from mitheory.priors import empirical

from .data import Labeled
from .head import fit_head, head_loss, log_weights
from .ratio import Arrays, boosting_log_odds, fit_boosting, fit_logistic, logistic_log_odds
from .records import LearnedPrior

FOLDS = 3


def log_score_loss(data: Labeled, log_prior: Tensor, options: Mapping[str, Any]) -> float:
    """Cross-entropy in nats of a patch asked about, under a prior (m, n_v) in log."""
    return -float((data.target * log_prior).sum(1).mean())


@dataclass(frozen=True)
class Kind:
    """A family of priors.

    Parameters
    ----------
    title : what it is, in words
    fit : (data, options, seed) -> arrays
    log_weight : (arrays, features (b, n_v, f)) -> unnormalized log prior (b, n_v)
    candidates : options to choose from, across scenes
    loss : (data, log prior, options) -> what the choice minimizes
    """

    title: str
    fit: Callable[[Labeled, Mapping[str, Any], int], Arrays]
    log_weight: Callable[[Mapping[str, Tensor], Tensor], Tensor]
    candidates: tuple[Mapping[str, Any], ...]
    loss: Callable[[Labeled, Tensor, Mapping[str, Any]], float] = log_score_loss


def fit_histogram(data: Labeled, options: Mapping[str, Any], seed: int) -> Arrays:
    """How often each position was asked about, plus ``smoothing`` questions spread alike.

    Source: App. A.4, "an estimator from the validation set".
    """
    n = data.target.shape[1]
    counts = data.target.sum(0) * len(data.scene_of) / len(data.scenes)
    return {"log_probability": empirical(counts, smoothing=options["smoothing"] / n).log()}


def histogram_log_weight(arrays: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """The same (n_v,) for every image."""
    return arrays["log_probability"].expand(features.shape[:-1])


def _through(aggregation: str) -> Kind:
    return Kind(
        f"network trained through the marginal ({aggregation})",
        fit_head,
        log_weights,
        tuple({"epochs": n, "through": aggregation} for n in (2, 8)),
        head_loss,
    )


KINDS: dict[str, Kind] = {
    "histogram": Kind(
        "histogram of positions",
        fit_histogram,
        histogram_log_weight,
        tuple({"smoothing": s} for s in (10.0, 100.0, 1000.0, 10000.0)),
    ),
    "logistic": Kind(
        "logistic regression",
        fit_logistic,
        logistic_log_odds,
        tuple({"C": c} for c in (0.0001, 0.01, 1.0)),
    ),
    "boosting": Kind(
        "gradient boosting",
        fit_boosting,
        boosting_log_odds,
        tuple({"trees": n} for n in (20, 60)),
    ),
    "head_max": _through("max"),
    "head_joint": _through("joint"),
}


def log_prior(kind: str, arrays: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """Log prior (b, n_v) float64 of features (b, n_v, f).

    Raises
    ------
    UnknownNameError
        If there is no such kind.
    """
    own = lookup(kind, KINDS, "kind of prior")
    return own.log_weight(arrays, features).double().log_softmax(-1)


def fit(kind: str, data: Labeled, *, model: str, revision: str, seed: int = 0) -> LearnedPrior:
    """Fit a prior, its hyper-parameters chosen by cross-validation over the scenes given.

    Parameters
    ----------
    kind : a name of `KINDS`
    data : of the split to fit on
    model, revision : of whose tokens
    seed : of the folds and of whatever the fit draws

    Raises
    ------
    UnknownNameError
        If there is no such kind.
    EmptyInputError
        If there are fewer scenes than folds.
    """
    own = lookup(kind, KINDS, "kind of prior")
    options, losses = chosen(own, data, seed=seed)
    return LearnedPrior(
        kind=kind,
        arrays=own.fit(data, options, seed),
        grid=data.grid,
        width=data.visual.shape[-1],
        model=model,
        revision=revision,
        scenes=data.scenes,
        options={**options, "held_out_loss": losses},
    )


def chosen(kind: Kind, data: Labeled, *, seed: int) -> tuple[Mapping[str, Any], list[float]]:
    """The candidate with the smallest mean loss on scenes held out, and the losses of all.

    Folds are of whole scenes, so that no scene is on both sides.
    """
    m = len(data.scenes)
    if m < FOLDS:
        raise EmptyInputError(f"data: expected at least {FOLDS} scenes, got {m}")
    order = torch.randperm(m, generator=torch.Generator().manual_seed(seed))
    folds = order.tensor_split(FOLDS)
    losses = []
    for options in kind.candidates:
        total = 0.0
        for i, held in enumerate(folds):
            rest = torch.cat([f for j, f in enumerate(folds) if j != i])
            seen, out = data.part(rest), data.part(held)
            arrays = kind.fit(seen, options, seed)
            prior = kind.log_weight(arrays, out.features).double().log_softmax(-1)
            total += kind.loss(out, prior, options)
        losses.append(round(total / FOLDS, 6))
    return kind.candidates[losses.index(min(losses))], losses
