"""Mutual information in a few principal components, fitted on other images than it is measured on.

By the data-processing inequality the information between projections is at most that between the
sides, so what is estimated here is smaller by what the projections drop. How much that is cannot be
known from the projections; the diagnostics say what can be: the variance kept on rows that were not
fitted on, what the next components would add to a Gaussian estimate, and what as many random
directions give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..checks import lookup
from ..errors import EmptyInputError, ParameterError
from ..statistics.clustered import clustered_mean
from ..statistics.inputs import cluster_codes
from .front import MI, mi
from .inputs import Floats, Integers, check_count, check_rng, tables
from .principal import PCA
from .records import Estimate


def mi_reduced(
    name: str,
    x: ArrayLike,
    y: ArrayLike,
    *,
    components: int,
    clusters: ArrayLike | None = None,
    whiten: bool = True,
    rng: np.random.Generator,
    **options: Any,
) -> Estimate:
    """Estimate I between principal components of X and Y, cross-fitted over halves of the clusters.

    Each half is projected by directions fitted on the other and estimated by itself; the value is
    the mean over rows of both.

    Parameters
    ----------
    name : str
        In `MI`.
    x : (n, d_x) or (n,)
    y : (n, d_y) or (n,)
    components : int
        Of each side; of a side with fewer columns, all.
    clusters : (n,) labels, optional
        Images; each row its own if not given. No image is in both halves.
    whiten : scale every component to variance 1 (on the rows fitted on)
    rng : np.random.Generator
        Draws the halves and the random directions of the diagnostics; passed to estimators that
        take it.
    **options
        Of the estimator.

    Returns
    -------
    Estimate
        `dims` are those of x and y as given. Diagnostics: `components` of each side; `retained`,
        the share of variance of each side on rows not fitted on; `lost`, Gaussian information at
        twice the components less that at these, and `lost_se`, its error over clusters;
        `random_subspace`, the estimate in as many random directions; `halves`, the estimator's
        own. `lost` and `random_subspace` are None where nothing is dropped, `lost` also where the
        rows are too few for it.

    Raises
    ------
    UnknownNameError, DTypeError, ShapeError, EmptyInputError, NonFiniteError
        As `mi`.
    ParameterError
        If a half spans fewer dimensions than `components`, or as the estimator says.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((1000, 30)) * np.r_[[3.0] * 2, [0.3] * 28]
    >>> y = x + rng.standard_normal((1000, 30))
    >>> found = mi_reduced("gaussian", x, y, components=2, rng=rng)
    >>> found.value  # of 2 · log(10)/2 = 2.30 in two directions; 28 · log(1.09)/2 = 1.2 is dropped
    2.3
    >>> {side: round(share, 2) for side, share in found.diagnostics["retained"].items()}
    {'x': 0.88, 'y': 0.39}
    """
    lookup(name, MI, "estimator of mutual information")
    one, other = tables(x=x, y=y)
    check_rng(rng)
    r = check_count("components", components)
    n = len(one)
    codes, n_clusters = cluster_codes(np.arange(n) if clusters is None else clusters, n)
    half = (rng.permutation(n_clusters) % 2)[codes]
    rows = [np.flatnonzero(half == h) for h in (0, 1)]
    found, in_random, gained, shares = [], [], [], []
    for fit, own in (rows[::-1], rows):
        sides = [
            _projected(label, side[fit], side[own], r, whiten, rng)
            for label, side in (("x", one), ("y", other))
        ]
        found.append(mi(name, *(s.leading for s in sides), rng=rng, **options))
        shares.append([s.retained for s in sides])
        if any(s.partial for s in sides):
            in_random.append(mi(name, *(s.random for s in sides), rng=rng, **options))
            gained.append(_gained(sides))
    pooled = _pool(found, rows)
    retained = np.average(shares, axis=0, weights=[len(own) for own in rows])
    lost, error = _lost(gained, rows, codes)
    return replace(
        pooled,
        dims=(one.shape[1], other.shape[1]),
        diagnostics={
            "components": list(found[0].dims),
            "whiten": whiten,
            "retained": {"x": float(retained[0]), "y": float(retained[1])},
            "lost": lost,
            "lost_se": error,
            "random_subspace": _pool(in_random, rows).value if in_random else None,
            "halves": [dict(e.diagnostics) for e in found],
        },
    )


@dataclass(frozen=True, eq=False)
class _Projected:
    """A side of one half in its leading, twice as many, and as many random directions."""

    leading: Floats
    wider: Floats
    random: Floats
    retained: float
    partial: bool


def _projected(
    name: str, fit: Floats, own: Floats, components: int, whiten: bool, rng: np.random.Generator
) -> _Projected:
    d = fit.shape[1]
    r = min(components, d)
    try:
        pca = PCA.fit(fit, r, whiten=whiten)
    except (ParameterError, EmptyInputError) as error:
        raise ParameterError(f"{name}, one half of the clusters: {error}") from error
    if r == d:
        leading = pca.apply(own)
        return _Projected(leading, leading, leading, 1.0, False)
    basis = np.linalg.qr(rng.standard_normal((d, r)))[0]
    return _Projected(
        leading=pca.apply(own),
        wider=PCA.up_to(fit, 2 * r).apply(own),
        random=PCA.fit(fit @ basis, r, whiten=whiten).apply(own @ basis),
        retained=pca.share_of(own),
        partial=True,
    )


def _gained(sides: Sequence[_Projected]) -> Floats | None:
    """What each row contributes more to Gaussian information at twice the components."""
    if sum(s.wider.shape[1] for s in sides) >= len(sides[0].wider) - 1:
        return None
    wider, leading = (
        mi("gaussian", *(getattr(s, which) for s in sides)).pointwise
        for which in ("wider", "leading")
    )
    return None if wider is None or leading is None else wider - leading


def _lost(
    gained: Sequence[Floats | None], rows: Sequence[Integers], codes: Integers
) -> tuple[float | None, float | None]:
    """Mean over the rows of both halves and its standard error over clusters."""
    known = [g for g in gained if g is not None]
    if len(known) < 2:
        return None, None
    mean = clustered_mean(np.concatenate(known), codes[np.concatenate(rows)])
    return float(mean[0]), float(mean[1])


def _pool(found: Sequence[Estimate], rows: Sequence[Integers]) -> Estimate:
    """Both halves as one estimate, contributions in the order of rows."""
    parts = [e.pointwise for e in found if e.pointwise is not None]
    first, n = found[0], sum(e.n for e in found)
    if len(parts) < len(found):
        value = float(np.average([e.value for e in found], weights=[e.n for e in found]))
        return replace(first, value=value, n=n, pointwise=None, rows=None)
    used = [own if e.rows is None else own[e.rows] for e, own in zip(found, rows, strict=True)]
    order = np.argsort(np.concatenate(used))
    pointwise = np.concatenate(parts)[order]
    every = all(e.rows is None for e in found)
    return replace(
        first,
        value=float(pointwise.mean()),
        n=n,
        pointwise=pointwise,
        rows=None if every else np.concatenate(used)[order],
    )
