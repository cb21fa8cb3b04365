"""CDPruner: a determinantal point process of quality and diversity, by greedy MAP."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checks import lookup
from ..distributions import NO_NORMS, unit_cosines, unit_rows
from ..errors import MissingInputError, ParameterError
from .cholesky import log_det_greedy
from .engine import CosineRows, Picks, at, rounding_slack
from .refusal import refuse_zero_rows
from .similarity import WORD_AGGREGATIONS

SHIFT = 1e-6
SOURCES = {"clip": ("clip_visual", "clip_text"), "tokens": ("text",)}
"""What relevance is computed from, besides V, by the name of the source."""
DEPARTURES = (
    "min-max runs over one sample, in the public code over all images of a batch (the crops of "
    "one); for a single image they coincide",
    "past the rank of V tokens follow by relevance, where the public code repeats tokens",
    "constant relevance is 1 throughout, where the public code divides by zero",
)
PECULIARITIES = (
    DEPARTURES[0],
    "past the rank of V residuals are rounding noise, and tokens may be repeated",
)


def cdpruner_inputs(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Inputs that these options need besides V."""
    source = options["relevance_source"]
    return SOURCES.get(source, ()) if isinstance(source, str) else ()


def cdpruner(
    visual: Tensor,
    *,
    budget: int,
    text: Tensor | None = None,
    clip_visual: Tensor | None = None,
    clip_text: Tensor | None = None,
    relevance_source: str = "clip",
    sign: float = -1.0,
    word_aggregation: str = "mean",
    zero_norm: str = "error",
    mode: str = "exact",
    norms: Mapping[str, Tensor] = NO_NORMS,
) -> Picks:
    """Greedy maximization of log det of K_ij = r_i cos(v_i, v_j) r_j, r the min-max relevance.

    The public code takes relevance from CLIP's two towers and *negates* it: both are the defaults.
    ``relevance_source="tokens", sign=1.0`` needs V and T only and has the sign that the word
    relevance means. The determinant is submodular but not monotone, so there is no guarantee.

    Mode "faithful" is the recursion as coded, on K itself and without excluding rounding noise.
    Mode "exact" factors the cosines alone, and where their rank is used up tokens follow by
    relevance.

    Source: zhang2025cdpruner; chen2018, Algorithm 1.

    Parameters
    ----------
    visual : (b, n_v, d)
    text : (b, n_t, d), for ``relevance_source="tokens"``
    clip_visual, clip_text : (b, n_v, d_c), (b, m, d_c)
        Joint-space embeddings, for ``relevance_source="clip"``; of the text, one for each segment.
    relevance_source : "clip" or "tokens"
    sign : -1 (as the public code) or 1
    word_aggregation : "mean" (as the public code) or "max"

    Returns
    -------
    Picks
        Gains are the growth of log det, −∞ past the rank; in mode "faithful" its logarithm is NaN
        where noise is negative.

    Raises
    ------
    MissingInputError
        If the inputs of the source are not given.
    ParameterError
        If the source or the sign is another; in mode "faithful", for constant relevance.
    ZeroNormError
        In mode "faithful", for a zero row, even where it may be uninformative.

    Examples
    --------
    The second token is a copy of the first.

    >>> v = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]]])
    >>> t = torch.tensor([[[1.0, 0.2]]])
    >>> cdpruner(v, text=t, budget=2, relevance_source="tokens", sign=1.0).indices
    tensor([[0, 2]])
    """
    if relevance_source not in tuple(SOURCES):
        raise ParameterError(
            f"relevance_source: expected one of {tuple(SOURCES)}, got {relevance_source!r}"
        )
    if sign not in (1, -1):
        raise ParameterError(f"sign: expected 1 or -1, got {sign!r}")
    sources = ("visual", "text") if relevance_source == "tokens" else ("clip_visual", "clip_text")
    image, words = (visual, text) if relevance_source == "tokens" else (clip_visual, clip_text)
    if image is None or words is None:
        needed = " and ".join(SOURCES[relevance_source])
        raise MissingInputError(f'cdpruner: relevance_source="{relevance_source}" needs {needed}')
    aggregate = lookup(word_aggregation, WORD_AGGREGATIONS, "word aggregation")
    if mode == "faithful":
        for name, x in zip(("visual", *sources), (visual, image, words), strict=True):
            if name not in norms:
                refuse_zero_rows("cdpruner", name, x)
    known = {n: norms[s] for n, s in zip(("visual", "text"), sources, strict=True) if s in norms}
    cosine = unit_cosines(image, words, zero_norm=zero_norm, norms=known)  # (b, n_v, m)
    relevance = (sign * aggregate(cosine)).to(visual.dtype)
    rows = CosineRows(unit_rows("visual", visual, zero_norm=zero_norm, norm=norms.get("visual")))
    if mode == "faithful":
        _refuse_constant(relevance)
        return _as_coded(rows, min_max(relevance), budget)
    picks = log_det_greedy(rows, min_max(relevance), budget)
    return dataclasses.replace(picks, departures=DEPARTURES)


def min_max(x: Tensor) -> Tensor:
    """Each row of (b, n) mapped to about [0, 1]; 1 throughout where it is constant to rounding.

    Source: zhang2025cdpruner.

    Examples
    --------
    >>> min_max(torch.tensor([[1.0, 3.0], [2.0, 2.0]]))
    tensor([[0.0000, 1.0000],
            [1.0000, 1.0000]])
    """
    low, high = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
    constant = high - low <= rounding_slack(x)
    return torch.where(constant, 1.0, (x - low + SHIFT) / torch.where(constant, 1.0, high - low))


def _refuse_constant(relevance: Tensor) -> None:
    spread = relevance.amax(-1) - relevance.amin(-1)
    if bool((spread <= rounding_slack(relevance)).any()):
        raise ParameterError(
            "cdpruner: the public code divides by the range of relevance, which is zero to "
            f'rounding: {float(spread.min()):.1e}; use mode="exact"'
        )


def _as_coded(rows: CosineRows, quality: Tensor, budget: int) -> Picks:
    """The recursion on K, whatever the residuals are worth; of a large K only the chosen rows."""
    residual = quality.square() * rows.unit.square().sum(-1)  # the diagonal of K
    search = _recursion_of_one if len(quality) == 1 and quality.is_cpu else _recursion
    indices, pivots = search(rows, quality, residual, budget)
    evaluations = budget * quality.shape[1]
    return Picks(indices, pivots.log(), evaluations, departures=PECULIARITIES)


def _recursion(
    rows: CosineRows, quality: Tensor, residual: Tensor, budget: int
) -> tuple[Tensor, Tensor]:
    """Choices and pivots (b, k). Source: chen2018, Algorithm 1."""
    b, n = quality.shape
    samples = torch.arange(b, device=quality.device)
    factor = quality.new_empty(b, budget, n)
    chosen, pivots = [], []
    for t in range(budget):
        j = residual.argmax(-1)
        chosen.append(j)
        pivots.append(at(residual, j))
        row = at(quality, j)[:, None] * rows.row(j) * quality
        if t:
            own = factor[samples, :t, j]
            row = torch.baddbmm(row[:, None], own[:, None], factor[:, :t], alpha=-1)[:, 0]
        factor[:, t] = row = row / pivots[t].sqrt()[:, None]
        residual = residual - row.square()
        residual.scatter_(1, j[:, None], -torch.inf)
    return torch.stack(chosen, 1), torch.stack(pivots, 1)


def _recursion_of_one(
    rows: CosineRows, quality: Tensor, residual: Tensor, budget: int
) -> tuple[Tensor, Tensor]:
    """`_recursion` through NumPy, whose small operations cost less. Source: chen2018, Alg. 1."""
    q, d, row_of = quality[0].numpy(), residual[0].numpy().copy(), rows.only(budget)
    factor = np.empty((budget, len(q)), dtype=q.dtype)
    chosen, pivots = [], []
    with np.errstate(invalid="ignore", divide="ignore"):  # past the rank anything may come
        for t in range(budget):
            j = int(d.argmax())
            chosen.append(j)
            pivots.append(d[j])
            row = np.multiply(row_of(j), q, out=factor[t])
            row *= q[j]
            row -= factor[:t, j] @ factor[:t]
            row /= np.sqrt(d[j])
            d -= row * row
            d[j] = -np.inf
    return torch.tensor([chosen]), torch.from_numpy(np.array([pivots], dtype=q.dtype))
