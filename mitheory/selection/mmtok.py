"""MMTok: the tokens that cover the prompt and the image."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..checks import check_temperature
from ..distributions import NO_NORMS, gram_of, row_products, unit_rows
from ..errors import MissingInputError, ParameterError
from .engine import Picks
from .facility import facility_greedy

SOURCES: dict[str, tuple[str, ...]] = {"encoder": ("encoder_features",), "tokens": ()}
"""What the image's own similarity is computed from, besides V, by the name of the source."""
TIES = "gains that are equal to rounding are a tie and the lowest index wins"


def mmtok_inputs(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Inputs that these options need besides V and T."""
    source = options["coverage_source"]
    return SOURCES.get(source, ()) if isinstance(source, str) else ()


def mmtok(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int,
    encoder_features: Tensor | None = None,
    coverage_source: str = "encoder",
    text_temperature: float = 0.02,
    visual_temperature: float = 0.2,
    visual_weight: float = 0.5,
    zero_norm: str = "error",
    norms: Mapping[str, Tensor] = NO_NORMS,
) -> Picks:
    """Greedy facility location on what words and patches look for among the patches.

    Rows are p(v | t_j) / n_t and α p(v | e_i) / n_v, both a softmax of cosines over *vision*; a set
    is worth the sum over rows of its best entry. Monotone and submodular: greedy has 1 − 1/e. The
    other conditioning, p(t | v), is MI-Pruner's.

    The public code keeps the words of the question that are in no list of stop words, and takes
    the image's own similarity from the encoder before the projector; T is what is given here.

    Source: dong2026mmtok; nemhauser1978.

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    encoder_features : (b, n_v, d_e), for ``coverage_source="encoder"``
    coverage_source : "encoder", or "tokens": V in place of the features
    text_temperature : τ of the words; the public code has 0.02, and 0.01 for Qwen
    visual_temperature : τ of the patches
    visual_weight : α ≥ 0

    Returns
    -------
    Picks
        Gains are those of the set function.

    Raises
    ------
    MissingInputError
        If the source is the encoder and its features are not given.
    ParameterError
        If the source is another, a temperature is not positive or the weight is negative.

    Examples
    --------
    Two words, one patch for each; the copy of the first patch covers nothing new.

    >>> v = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    >>> words = torch.tensor([[[1.0, 0.1], [0.0, 1.0]]])
    >>> mmtok(v, words, budget=2, coverage_source="tokens").indices
    tensor([[2, 0]])
    """
    weights = coverage(
        visual,
        text,
        encoder_features,
        coverage_source=coverage_source,
        text_temperature=text_temperature,
        visual_temperature=visual_temperature,
        visual_weight=visual_weight,
        zero_norm=zero_norm,
        norms=norms,
    )
    # a temperature magnifies the rounding of a cosine; in float32 those with words are rounded
    # afterwards, in float64 they are as coarse as theirs makes them
    lowest = min(visual_temperature, text_temperature)
    warmth = lowest if weights.dtype == torch.float64 else visual_temperature
    picks = facility_greedy(weights, budget, scale=1 + 1 / warmth)
    return dataclasses.replace(picks, departures=(TIES,))


def coverage(
    visual: Tensor,
    text: Tensor,
    encoder_features: Tensor | None,
    *,
    coverage_source: str,
    text_temperature: float,
    visual_temperature: float,
    visual_weight: float,
    zero_norm: str = "error",
    norms: Mapping[str, Tensor] = NO_NORMS,
) -> Tensor:
    """How well each patch serves each word and each patch, (b, n_t + n_v, n_v).

    Source: dong2026mmtok.

    Raises
    ------
    MissingInputError, ParameterError
        As `mmtok`.

    Examples
    --------
    >>> options = {"text_temperature": 1.0, "visual_temperature": 1.0, "visual_weight": 0.5}
    >>> v = torch.tensor([[[1.0], [1.0]]])
    >>> coverage(v, torch.ones(1, 1, 1), None, coverage_source="tokens", **options)
    tensor([[[0.5000, 0.5000],
             [0.1250, 0.1250],
             [0.1250, 0.1250]]])
    """
    if coverage_source not in tuple(SOURCES):
        raise ParameterError(
            f"coverage_source: expected one of {tuple(SOURCES)}, got {coverage_source!r}"
        )
    check_temperature(text_temperature, "text_temperature")
    check_temperature(visual_temperature, "visual_temperature")
    number = isinstance(visual_weight, int | float) and not isinstance(visual_weight, bool)
    if not number or not 0 <= visual_weight < math.inf:
        raise ParameterError(f"visual_weight: expected 0 or more, got {visual_weight!r}")
    unit = unit_rows("visual", visual, zero_norm=zero_norm, norm=norms.get("visual"))
    features = unit
    if coverage_source == "encoder":
        if encoder_features is None:
            raise MissingInputError('mmtok: coverage_source="encoder" needs encoder_features')
        features = unit_rows(
            "encoder_features",
            encoder_features,
            zero_norm=zero_norm,
            norm=norms.get("encoder_features"),
        ).to(visual.dtype)
    # words are few and their temperature is low: in double precision, or ties would be as wide
    words = unit_rows("text", text.double(), zero_norm=zero_norm)
    patches = unit
    if visual.dtype != torch.float64:
        patches = unit_rows("visual", visual.double(), zero_norm=zero_norm)
    n_t, n_v = words.shape[1], unit.shape[1]
    out = unit.new_empty(len(unit), n_t + n_v, n_v)
    found = row_products(patches, words).mT / text_temperature
    out[:, :n_t] = found.softmax(-1) / n_t
    torch.softmax(gram_of(features).div_(visual_temperature), -1, out=out[:, n_t:])
    out[:, n_t:] *= visual_weight / n_v
    return out
