r"""The data-processing refutation: no conditional estimator, no test of independence.

If V_j – T – V_i is a Markov chain, I(V_i;V_j) ≤ I(V_i;T). Two comparisons: by one estimator on the
same rows and dimensions, so that its bias is in both; and without any estimator's bias, a lower
bound of the left side against log of the number of prompts, which is at least H(T) ≥ I(V_i;T).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from ..errors import ParameterError, ShapeError
from ..estimators.records import Estimate
from ..statistics.clustered import clustered_mean
from ..verdict import Effect
from .inputs import (
    Floats,
    check_count,
    check_rng,
    groups,
    one_row_per_cluster,
    standardized,
    table,
)
from .projection import principal_directions

Estimator = Callable[[Floats, Floats], Estimate]
MOST_BATCH, BATCHES_PER_HALF = 64, 4
CRITIC_AXES = 8


@dataclass(frozen=True)
class DataProcessing:
    """Both comparisons.

    Attributes
    ----------
    excess : Effect
        I(V_i;V_j) - I(V_i;T) in nats, by one estimator; above 0 contradicts the Markov chain.
    between_patches, with_prompt : float, nats
    lower_bound : Effect
        InfoNCE bound of I(V_i;V_j) on images that its critic was not fitted on.
    ceiling : float, nats
        The most that the bound can reach, log of its batch.
    upper_bound : float, nats, or None
        log of the number of distinct prompts, if they were given.
    n_clusters : int
    """

    excess: Effect
    between_patches: float
    with_prompt: float
    lower_bound: Effect
    ceiling: float
    upper_bound: float | None
    n_clusters: int

    @property
    def is_refuted(self) -> bool | None:
        """Whether the lower bound, less its error at 97.5% one-sided, exceeds the upper bound.

        None where there is no upper bound. False is no evidence for the chain.
        """
        return None if self.upper_bound is None else self.lower_bound.low > self.upper_bound


def data_processing(
    x_i: ArrayLike,
    x_j: ArrayLike,
    t: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    estimator: Estimator,
    prompts: ArrayLike | None = None,
    n_draws: int = 8,
    rng: np.random.Generator,
) -> DataProcessing:
    """Compare I(V_i;V_j) with I(V_i;T), on one random row per image and draw.

    Source: cover2006, theorem 2.8.1. Under conditional independence given T the excess is at most
    0.

    Parameters
    ----------
    x_i, x_j, t : (n, d)
        Two patches and the prompt, projected to one d; columns are scaled to variance 1.
    clusters : (n,) labels, optional
        The image of each row.
    estimator : (x, y) -> Estimate with `pointwise`
        Such as ``partial(estimators.mi, "ksg", k=3)``.
    prompts : (n,) labels, optional
        Which prompt each row has; the population of prompts is then taken to be these.
    n_draws : int
        Estimates are averaged over so many draws, where some image has several rows.
    rng : np.random.Generator

    Returns
    -------
    DataProcessing

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError
        If the arrays are not as said or x_j and t differ in columns.
    ParameterError
        If there are fewer than 20 images, or the estimator gives no pointwise contributions of
        every row.

    Examples
    --------
    Patches that share what the prompt says nothing of; two prompts tell at most log 2.

    >>> from functools import partial
    >>> from mitheory.estimators import mi
    >>> rng = np.random.default_rng(0)
    >>> common, a, b, t = rng.standard_normal((4, 400, 1))
    >>> found = data_processing(
    ...     common + a / 5, common + b / 5, t, estimator=partial(mi, "ksg", k=3),
    ...     prompts=np.arange(400) % 2, rng=rng,
    ... )
    >>> found.between_patches, found.with_prompt, found.upper_bound
    (1.33, 0.00, 0.69)
    >>> found.excess.low > 0, found.is_refuted
    (True, True)
    """
    check_rng(rng)
    i, j, prompt = (table(k, a) for k, a in (("x_i", x_i), ("x_j", x_j), ("t", t)))
    if not len(i) == len(j) == len(prompt):
        raise ShapeError(f"expected one n; got x_i {i.shape}, x_j {j.shape}, t {prompt.shape}")
    if j.shape[1] != prompt.shape[1]:
        raise ShapeError(f"x_j and t: expected one d, got {j.shape[1]} and {prompt.shape[1]}")
    i, j, prompt = (standardized(k, a) for k, a in (("x_i", i), ("x_j", j), ("t", prompt)))
    codes, g = groups(clusters, len(i))
    draws = 1 if g == len(i) else check_count("n_draws", n_draws)
    picked = [one_row_per_cluster(codes, rng) for _ in range(draws)]
    of_pair = np.mean([_pointwise(estimator, i[p], j[p]) for p in picked], axis=0)  # (G,)
    of_prompt = np.mean([_pointwise(estimator, i[p], prompt[p]) for p in picked], axis=0)
    bound, ceiling = info_nce(i[picked[0]], j[picked[0]], rng=rng)
    excess = clustered_mean(of_pair - of_prompt, np.arange(g))
    return DataProcessing(
        excess=Effect("I(V_i;V_j) - I(V_i;T)", "nats", *excess),
        between_patches=float(of_pair.mean()),
        with_prompt=float(of_prompt.mean()),
        lower_bound=bound,
        ceiling=ceiling,
        upper_bound=None if prompts is None else math.log(_distinct(prompts, len(i))),
        n_clusters=g,
    )


def info_nce(x: Floats, y: Floats, *, rng: np.random.Generator) -> tuple[Effect, float]:
    """Lower bound of I(X;Y) from independent rows, and the most it can reach.

    Source: oord2018. Each half of the rows is scored, in batches, by the log density ratio of the
    Gaussian fitted to the other half: a critic fixed before, whatever its merit, makes the mean
    over batches a lower bound.
    """
    n = len(x)
    batch = min(MOST_BATCH, n // 2 // BATCHES_PER_HALF)
    halves = np.array_split(rng.permutation(n), 2)
    scores = []
    for own, other in (halves, halves[::-1]):
        critic = _gaussian_critic(x[other], y[other])
        for rows in own[: len(own) // batch * batch].reshape(-1, batch):
            ratio = critic(x[rows], y[rows])  # (batch, batch)
            scores.append(np.diag(ratio).mean() - logsumexp(ratio, axis=1).mean() + np.log(batch))
    values = np.asarray(scores)
    error = values.std(ddof=1) / np.sqrt(len(values))
    return Effect("InfoNCE bound", "nats", float(values.mean()), float(error), len(values) - 1), (
        math.log(batch)
    )


def _gaussian_critic(x: Floats, y: Floats) -> Callable[[Floats, Floats], Floats]:
    """Log density ratio of every x with every y, by canonical correlations, shrunk."""
    to_x, to_y = _whitening(x), _whitening(y)
    u, v = (x - x.mean(0)) @ to_x, (y - y.mean(0)) @ to_y
    left, r, right = np.linalg.svd(u.T @ v / len(u), full_matrices=False)
    noise = max(u.shape[1], v.shape[1]) / len(u)  # of a squared correlation under independence
    r = np.sqrt(np.clip(r**2 - noise, 0.0, 0.999))
    mean_x, mean_y = x.mean(0), y.mean(0)
    to_u, to_v = to_x @ left, to_y @ right.T

    def ratio(a: Floats, b: Floats) -> Floats:
        s, w = (a - mean_x) @ to_u, (b - mean_y) @ to_v
        quadratic = r**2 / (1 - r**2) / 2
        cross = (s * (r / (1 - r**2))) @ w.T
        return np.asarray(cross - ((s**2) @ quadratic)[:, None] - (w**2) @ quadratic)

    return ratio


def _whitening(side: Floats) -> Floats:
    """(d, r) to at most eight uncorrelated columns of variance 1."""
    axes = principal_directions(side, min(CRITIC_AXES, side.shape[1], len(side) // 5))
    scores = (side - side.mean(0)) @ axes
    values, vectors = np.linalg.eigh(scores.T @ scores / len(side))
    kept = values > 1e-10 * values[-1]
    return np.asarray(axes @ (vectors[:, kept] / np.sqrt(values[kept])))


def _pointwise(estimator: Estimator, x: Floats, y: Floats) -> Floats:
    estimate = estimator(x, y)
    if estimate.pointwise is None or estimate.rows is not None:
        raise ParameterError(
            f"estimator {estimate.estimator!r} must give a contribution of every row, in order"
        )
    return estimate.pointwise


def _distinct(prompts: ArrayLike, n: int) -> int:
    labels = np.asarray(prompts)
    if labels.shape != (n,):
        raise ShapeError(f"prompts must have one label for each of n = {n}; got {labels.shape}")
    return len(np.unique(labels))
