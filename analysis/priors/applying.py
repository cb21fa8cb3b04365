"""Giving a prior to a selector by name: learned ones from their file, checked against the data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mitheory.bundle import Sample
from mitheory.errors import MissingInputError, ParameterError, ShapeError

from .features import features
from .kinds import log_prior
from .records import LearnedPrior, load

LEARNED = "learned:"
"""Before the path of a fitted prior."""

ORACLE = "oracle"
"""The patches that the question is about: no prior, but a bound for what any could do."""

FLOOR = 0.1
"""Of the oracle's probability, spread over all patches: with 0 other patches had none."""


def prior_of(prior: Any, samples: Sequence[Sample], model: object = None) -> Any:
    """What `select_batch` takes as `prior`: what is given, or probabilities (b, n_v).

    Parameters
    ----------
    prior : "learned:FILE", "oracle", or anything that `mitheory.priors` takes, returned as it is
    samples : the batch
    model : whose tokens they are; a learned prior asks for its ``revision``

    Raises
    ------
    ParameterError
        If the prior was fitted on another model, or on the scene of a sample.
    ShapeError
        If it was fitted on another grid or width of token.
    MissingInputError
        If a sample lacks what the prior needs.
    """
    if prior == ORACLE:
        return torch.stack([_asked_about(s) for s in samples])
    if not isinstance(prior, str) or not prior.startswith(LEARNED):
        return prior
    found = _loaded(prior.removeprefix(LEARNED))
    check_fits(found, samples, model)
    visual = torch.stack([s.visual for s in samples])
    p = log_prior(found.kind, found.arrays, features(visual.cpu(), found.grid)).exp()
    return p.to(visual.device, visual.dtype)


def check_fits(prior: LearnedPrior, samples: Sequence[Sample], model: object) -> None:
    """Refuse a prior of another grid, width or model, or that has seen a sample's scene.

    Raises
    ------
    ParameterError, ShapeError
        As `prior_of`.
    """
    revision = getattr(model, "revision", None)
    if revision != prior.revision:
        raise ParameterError(
            f"prior: fitted on {prior.model} of revision {prior.revision[:12]}, "
            f"got a model of revision {str(revision)[:12]}"
        )
    seen = set(prior.scenes)
    for sample in samples:
        if sample.grid != prior.grid or sample.visual.shape[-1] != prior.width:
            raise ShapeError(
                f"prior: fitted on grid {prior.grid} and width {prior.width}, "
                f"got {sample.grid} and {sample.visual.shape[-1]} in {sample.sample_id}"
            )
        if sample.image_id in seen:
            raise ParameterError(
                f"prior: expected scenes it was not fitted on, got {sample.image_id}"
            )


def _asked_about(sample: Sample) -> Tensor:
    if sample.relevant is None:
        raise MissingInputError(f"prior 'oracle' needs 'relevant' of {sample.sample_id}")
    spread = torch.full((sample.n_v,), 1 / sample.n_v, dtype=sample.visual.dtype)
    if not bool(sample.relevant.any()):
        return spread
    share = sample.relevant.to(spread) / sample.relevant.sum()
    return (1 - FLOOR) * share + FLOOR * spread


@lru_cache(maxsize=16)
def _loaded(path: str) -> LearnedPrior:
    """Once per worker process; a file named by its content does not change."""
    prior = load(path)
    if Path(path).stem.rpartition("-")[2] != prior.digest:
        raise ParameterError(
            f"prior: expected a file named by its content, KIND-{prior.digest}.safetensors, "
            f"got {Path(path).name}"
        )
    return prior
