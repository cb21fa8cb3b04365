"""How much an estimate depends on an option."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import EmptyInputError
from .front import cmi, mi
from .inputs import check_rng
from .records import Estimate

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Estimates that differ in one option.

    Attributes
    ----------
    option : str
    values : tuple
        Of the option.
    estimates : tuple of Estimate
        One for each.
    """

    option: str
    values: tuple[Any, ...]
    estimates: tuple[Estimate, ...]

    @property
    def nats(self) -> tuple[float, ...]:
        """The estimates' values."""
        return tuple(e.value for e in self.estimates)

    @property
    def spread(self) -> float:
        """Largest less smallest estimate, nats."""
        return max(self.nats) - min(self.nats)

    def to_frame(self) -> pd.DataFrame:
        """A row for each value of the option.

        Returns
        -------
        DataFrame
            The option under its own name, and ``nats``.

        Examples
        --------
        >>> x = np.random.default_rng(0).standard_normal(100)
        >>> sensitivity("histogram", x, x, "bins", (2, 4)).to_frame().columns.tolist()
        ['bins', 'nats']
        """
        import pandas as pd

        return pd.DataFrame({self.option: self.values, "nats": self.nats})


def sensitivity(
    name: str,
    x: ArrayLike,
    y: ArrayLike,
    option: str,
    values: Iterable[Any],
    *,
    z: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
    **options: Any,
) -> Sensitivity:
    """Estimate once for each value of an option: bins, bandwidth, neighbors.

    Parameters
    ----------
    name : str
        In `MI`, or in `CMI` if z is given.
    x, y : (n, d) or (n,)
    option : str
        Of the estimator.
    values : what to set it to, one after the other
    z : (n, d_z) or (n,), optional
    rng : np.random.Generator, optional
        For estimators that draw; all values see the same draws.
    **options
        Of the estimator, as they stay.

    Returns
    -------
    Sensitivity

    Raises
    ------
    EmptyInputError
        If there is no value.
    UnknownNameError, MissingInputError, DTypeError, ShapeError, NonFiniteError, ParameterError
        As `mi`.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal(1000)
    >>> y = x + np.random.default_rng(1).standard_normal(1000)
    >>> found = sensitivity("histogram", x, y, "bins", (2, 4, 8))  # the truth is 0.347
    >>> found.nats
    (0.15, 0.24, 0.28)
    """
    tried = tuple(values)
    if not tried:
        raise EmptyInputError(f"values of {option} must be one or more; got none")
    seed = None if rng is None else int(check_rng(rng).integers(2**63))
    estimates = []
    for value in tried:
        given = {**options, option: value}
        if seed is not None:
            given["rng"] = np.random.default_rng(seed)
        estimates.append(mi(name, x, y, **given) if z is None else cmi(name, x, y, z, **given))
    return Sensitivity(option, tried, tuple(estimates))
