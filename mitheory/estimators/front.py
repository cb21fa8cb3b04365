"""One call for mutual information, one for conditional; estimators by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import ArrayLike

from ..checks import lookup
from ..errors import MissingInputError, ParameterError
from .gaussian import gaussian_cmi, gaussian_mi
from .histogram import histogram_mi
from .kernel_density import kernel_density_cmi, kernel_density_mi
from .nearest import frenzel_pompe_cmi, ksg_mi
from .plug_in import plug_in_cmi, plug_in_mi
from .records import Estimate
from .variational import infonce_mi, nwj_mi


def mi(name: str, x: ArrayLike, y: ArrayLike, **options: Any) -> Estimate:
    """Estimate I(X;Y), in nats, unclipped.

    Parameters
    ----------
    name : str
        In `MI`.
    x : (n, d_x) or (n,)
    y : (n, d_y) or (n,)
    **options
        Of the estimator. `rng` may be given to all and is passed to those that draw.

    Returns
    -------
    Estimate

    Raises
    ------
    UnknownNameError
        If there is no such estimator.
    MissingInputError
        If the estimator draws and `rng` is not given.
    DTypeError, ShapeError, EmptyInputError, NonFiniteError
        If an array is not as said.
    ParameterError
        If an option is unknown or out of range, or the data do not suit the estimator.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((1000, 2))
    >>> y = x + np.random.default_rng(1).standard_normal((1000, 2))
    >>> mi("gaussian", x, y).value, mi("ksg", x, y, k=3, algorithm=1).value  # the truth is log 2
    (0.69, 0.65)
    """
    return _call(MI, "estimator of mutual information", name, (x, y), options)


def cmi(name: str, x: ArrayLike, y: ArrayLike, z: ArrayLike, **options: Any) -> Estimate:
    """Estimate I(X;Y|Z), in nats, unclipped.

    Parameters
    ----------
    name : str
        In `CMI`.
    x, y, z : (n, d) or (n,)
    **options
        Of the estimator.

    Returns
    -------
    Estimate

    Raises
    ------
    UnknownNameError, MissingInputError, DTypeError, ShapeError, EmptyInputError, NonFiniteError,
    ParameterError
        As `mi`.

    Examples
    --------
    Two fair bits say nothing of each other, and all if their exclusive or is known: log 2.

    >>> import numpy as np
    >>> x, y = np.tile([[0, 0, 1, 1], [0, 1, 0, 1]], 500)
    >>> mi("plug_in", x, y).value, cmi("plug_in", x, y, x ^ y).value
    (0.00, 0.69)
    """
    return _call(CMI, "estimator of conditional information", name, (x, y, z), options)


def _call(
    table: Mapping[str, Callable[..., Estimate]],
    family: str,
    name: str,
    sides: tuple[ArrayLike, ...],
    options: Mapping[str, Any],
) -> Estimate:
    estimator = lookup(name, table, family)
    known = [
        p.name for p in inspect.signature(estimator).parameters.values() if p.kind == p.KEYWORD_ONLY
    ]
    if "rng" not in known:
        options = {key: value for key, value in options.items() if key != "rng"}
    elif "rng" not in options:
        raise MissingInputError(f"{name} draws at random: give rng, a np.random.Generator")
    if unknown := sorted(set(options) - set(known)):
        raise ParameterError(f"{name} has no option {unknown}; it has {known}")
    return estimator(*sides, **options)


MI: Mapping[str, Callable[..., Estimate]] = {
    "plug_in": plug_in_mi,
    "histogram": histogram_mi,
    "gaussian": gaussian_mi,
    "ksg": ksg_mi,
    "kernel_density": kernel_density_mi,
    "infonce": infonce_mi,
    "nwj": nwj_mi,
}
CMI: Mapping[str, Callable[..., Estimate]] = {
    "plug_in": plug_in_cmi,
    "gaussian": gaussian_cmi,
    "frenzel_pompe": frenzel_pompe_cmi,
    "kernel_density": kernel_density_cmi,
}
