r"""Size and power of a test on the user's own data: z stays, x and y are made anew from fits.

x* = x̂(z) + r_x with the residuals of whole images dealt out to other images, y* likewise and
independently: given z and the residuals, x* and y* are independent by construction, while their
marginals, their dependence on z as far as the fit finds it, and what rows of one image share are
those of the data. A dependence is planted by a component that both residuals share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ParameterError
from ..ground_truth.gaussian import correlation_for
from .inputs import Floats, Integers, Rows, check_count, check_rng, check_rows
from .methods import SMOOTHED, run_test
from .records import PowerResult, Rate, SizeResult
from .residual import whitened
from .smoothing import CrossFit, cross_fit

N_SIMULATIONS = 200
REPEATS = 4
NATS = (0.02, 0.05, 0.1, 0.2, 0.4)


def empirical_size(
    name: str,
    x: ArrayLike,
    y: ArrayLike,
    z: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    n_simulations: int = N_SIMULATIONS,
    level: float = 0.05,
    rng: np.random.Generator,
    options: Mapping[str, object] | None = None,
) -> SizeResult:
    """How often the test rejects where X ⊥ Y | Z by construction, on data like these.

    Parameters
    ----------
    name : str
        In `TESTS`.
    x, y, z : (n, d) or (n,)
    clusters : (n,) labels, optional
        Rows of one image depend on one another; each its own if None.
    n_simulations : int
    level : float
    rng : np.random.Generator
    options : mapping, optional
        Of the test.

    Returns
    -------
    SizeResult

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError, ParameterError, UnknownNameError
        As `test`.

    Notes
    -----
    A dependence on z that no fit finds cannot be simulated either. With one to four columns of z
    the size found here follows the true one; with 16 and a rough effect a test that rejected every
    true null came out at 0.12, so that `is_usable` is False above four.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, y, z = rng.standard_normal((3, 100))
    >>> size = empirical_size("gcm", x, y, z, n_simulations=40, rng=rng)
    >>> size.rate.n_simulations, size.is_usable
    (40, True)
    """
    model = null_model(check_rows(x, y, z, clusters, rng), rng)
    rate = _rate(name, model, 0.0, n_simulations, level, rng, options)
    return SizeResult(
        name, rate, level, model.rows.n, model.rows.n_clusters, model.rows.dims, model.shares
    )


def planted_power(
    name: str,
    x: ArrayLike,
    y: ArrayLike,
    z: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    nats: Sequence[float] = NATS,
    n_simulations: int = N_SIMULATIONS,
    level: float = 0.05,
    power: float = 0.8,
    rng: np.random.Generator,
    options: Mapping[str, object] | None = None,
) -> PowerResult:
    """How often the test finds so many nats of direct dependence, on data like these.

    Parameters
    ----------
    name, x, y, z, clusters, n_simulations, level, rng, options : as in `empirical_size`
    nats : sequence of float
        I(X*;Y*|Z) planted; it is exactly that where residuals are Gaussian.
    power : float
        That `smallest_detectable` must reach.

    Returns
    -------
    PowerResult

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError, ParameterError, UnknownNameError
        As `test`; ParameterError if `nats` is empty or not positive.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, y, z = rng.standard_normal((3, 100))
    >>> found = planted_power("gcm", x, y, z, nats=(0.02, 0.4), n_simulations=40, rng=rng)
    >>> [rate.value > 0.8 for rate in found.rates], found.smallest_detectable
    ([False, True], 0.4)
    """
    check_rng(rng)
    planted = tuple(sorted(map(float, nats)))
    if not planted or not (np.isfinite(planted).all() and planted[0] > 0):
        raise ParameterError(f"nats must be positive numbers; got {tuple(nats)}")
    model = null_model(check_rows(x, y, z, clusters, rng), rng)
    rates = tuple(_rate(name, model, v, n_simulations, level, rng, options) for v in planted)
    rows = model.rows
    return PowerResult(name, planted, rates, level, power, rows.n, rows.n_clusters)


@dataclass(frozen=True, eq=False)
class NullModel:
    """The fit on z and the whitened residuals of each side; `draw` makes data of them."""

    rows: Rows
    fitted: tuple[Floats, Floats]
    white: tuple[Floats, Floats]  # residuals with covariance the identity
    roots: tuple[Floats, Floats]  # residual = white @ root.T
    shares: dict[str, float]  # of the variance: what the fit explains, what data are made with
    smoother: CrossFit
    order: Integers  # rows sorted by cluster
    starts: Integers
    sizes: Integers
    place: Integers  # of each row within its cluster

    def draw(self, nats: float, rng: np.random.Generator) -> Rows:
        """Data with z as it is, and this much direct dependence between x and y."""
        white = [side[self.deal(rng)] for side in self.white]
        if nats > 0:  # along a random direction of either residual
            white = list(self._shared(white, correlation_for(nats), rng))
        x, y = (
            fitted + side @ root.T
            for fitted, side, root in zip(self.fitted, white, self.roots, strict=True)
        )
        return replace(self.rows, x=x, y=y)

    def deal(self, rng: np.random.Generator) -> Integers:
        """For each row a row of another image: images trade places, rows stay with their image.

        Images with more rows than their donor take some of its rows again.
        """
        donor = rng.permutation(len(self.sizes))[self.rows.codes]
        offset = rng.integers(0, 1 << 30, len(self.sizes))[self.rows.codes]
        return self.order[self.starts[donor] + (self.place + offset) % self.sizes[donor]]

    def _shared(
        self, white: list[Floats], rho: float, rng: np.random.Generator
    ) -> tuple[Floats, ...]:
        """Along one direction of each side √(1−ρ) of its own and √ρ of a common part.

        The common part is dealt from the residuals of x as the rest is: rows of one image share as
        much of it as they do of x.
        """
        along = [_direction(side.shape[1], rng) for side in white]
        common = self.white[0][self.deal(rng)] @ along[0]
        return tuple(
            side + np.outer(np.sqrt(rho) * common + (np.sqrt(1 - rho) - 1) * (side @ u), u)
            for side, u in zip(white, along, strict=True)
        )


def null_model(rows: Rows, rng: np.random.Generator) -> NullModel:
    """The model of these rows under the null."""
    smoother = cross_fit(rows.z, rows.codes, rng=rng)
    found = [smoother.predict(side) for side in (rows.x, rows.y)]
    left = [side - fit for side, fit in zip((rows.x, rows.y), found, strict=True)]
    left = [r - r.mean(0) for r in left]
    explained = [1 - float((r**2).mean()) for r in left]  # columns have variance 1
    scaled = [
        _as_hard_as_the_data(fit, r, smoother, rng) for fit, r in zip(found, left, strict=True)
    ]
    fitted, left = [f for f, _ in scaled], [r for _, r in scaled]
    made = [float(f.var(0).mean()) for f in fitted]
    shares = dict(
        zip(("explained_x", "explained_y", "made_x", "made_y"), [*explained, *made], strict=True)
    )
    (white_x, root_x), (white_y, root_y) = (whitened(r) for r in left)
    sizes = np.bincount(rows.codes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    order = np.argsort(rows.codes, kind="stable")
    place = np.empty(rows.n, dtype=np.int64)
    place[order] = np.arange(rows.n) - np.repeat(starts, sizes)
    return NullModel(
        rows,
        (fitted[0], fitted[1]),
        (white_x, white_y),
        (root_x, root_y),
        shares,
        smoother,
        order,
        starts,
        sizes,
        place,
    )


def _as_hard_as_the_data(
    fit: Floats, left: Floats, smoother: CrossFit, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Fit and residual of one side, scaled so that a fit to them finds what the fit to data found.

    A penalized fit is flatter than what it was fitted to; data made from it as it stands would
    have too little dependence on z, and a test would look better than it is.
    """
    n, d = fit.shape
    signal, noise = (fit - fit.mean(0)) / fit.std(0).clip(1e-12), left / left.std(0)
    shares = np.linspace(0.0, 0.95, 20)
    target = 1 - (left**2).mean(0)  # (d,) explained out of sample, of variance 1
    dealt = noise[rng.permuted(np.tile(np.arange(n), (REPEATS, 1)), axis=1)]  # (repeats, n, d)
    made = (
        np.sqrt(shares)[:, None, None, None] * signal
        + np.sqrt(1 - shares)[:, None, None, None] * dealt
    )  # (shares, repeats, n, d)
    flat = np.moveaxis(made, 2, 0).reshape(n, -1)
    explained = 1 - ((flat - smoother.predict(flat)) ** 2).mean(0).reshape(len(shares), REPEATS, d)
    reached = explained.mean(1) >= target  # (shares, d)
    share = np.where(reached.any(0), shares[reached.argmax(0)], shares[-1])
    return signal * np.sqrt(share), noise * np.sqrt(1 - share)


def _direction(d: int, rng: np.random.Generator) -> Floats:
    u = rng.standard_normal(d)
    return np.asarray(u / np.linalg.norm(u))


def _rate(
    name: str,
    model: NullModel,
    nats: float,
    n_simulations: int,
    level: float,
    rng: np.random.Generator,
    options: Mapping[str, object] | None,
) -> Rate:
    if not 0 < level < 1:
        raise ParameterError(f"level must lie in (0, 1); got {level}")
    given = dict(options or {})
    if name in SMOOTHED:
        given.setdefault("smoother", model.smoother)  # z is the same in every simulation
    rejections = sum(
        run_test(name, model.draw(nats, rng), rng=rng, options=given).p_value <= level
        for _ in range(check_count("n_simulations", n_simulations))
    )
    return Rate(int(rejections), n_simulations)
