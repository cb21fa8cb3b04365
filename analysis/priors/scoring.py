"""How much a prior knows of where the patches asked about are, on scenes it has not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from mitheory.bundle import Sample
from mitheory.errors import MissingInputError
from mitheory.pmi import self_pmi
from mitheory.priors import PriorContext, resolve_prior

from .applying import prior_of
from .features import TEMPERATURE


def probabilities(prior: str, samples: Sequence[Sample], model: object) -> Tensor:
    """What a selector takes as p(v) of every sample: (b, n_v) float64.

    Parameters
    ----------
    prior : a name of `mitheory.priors.PRIORS`, "learned:FILE" or "oracle"
    samples : of one grid
    model : whose tokens they are

    Raises
    ------
    ParameterError, ShapeError, MissingInputError
        As `prior_of`.
    """
    given = prior_of(prior, samples, model)
    if isinstance(given, Tensor):
        return given.double()
    found = []
    for sample in samples:
        visual, text = sample.visual.double(), sample.text.double()
        cross = torch.nn.functional.cosine_similarity(visual[:, None], text[None], dim=-1)
        context = PriorContext(
            n_v=sample.n_v,
            log_degree=self_pmi(visual, temperature=TEMPERATURE).log_degree(),
            cross=cross / TEMPERATURE,
            grid=sample.grid,
            dtype=torch.float64,
        )
        found.append(resolve_prior(given, context).exp())
    return torch.stack(found)


def scores(p: Tensor, samples: Sequence[Sample]) -> pd.DataFrame:
    """One row per question that is about some patch: what the prior gains, and what it claims.

    Columns: sample_id, image_id, ``gain`` (nats: mean log p(v) of the patches asked about, plus
    log n_v, so that the uniform prior has 0), ``deficit`` (nats: log n_v less its entropy, the gain
    it would have if patches asked about were drawn from it).

    Parameters
    ----------
    p : (b, n_v), of `probabilities`
    samples : the b questions

    Raises
    ------
    MissingInputError
        If a sample has no relevance mask.
    """
    rows = []
    for sample, own in zip(samples, p, strict=True):
        if sample.relevant is None:
            raise MissingInputError(f"{sample.sample_id}: expected 'relevant'")
        if not bool(sample.relevant.any()):
            continue
        top = math.log(sample.n_v)
        rows.append(
            {
                "sample_id": sample.sample_id,
                "image_id": sample.image_id,
                "gain": float(own[sample.relevant].log().mean()) + top,
                "deficit": top + float(torch.special.xlogy(own, own).sum()),
            }
        )
    return pd.DataFrame(rows, columns=["sample_id", "image_id", "gain", "deficit"])
