"""What the tests and their checks return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scipy.stats import beta

from ..errors import ParameterError
from ..ground_truth.gaussian import correlation_for

if TYPE_CHECKING:
    import pandas as pd

MOST_CONDITIONS = 4  # columns of z up to which the size on the user's own data is to be trusted


@dataclass(frozen=True)
class TestResult:
    """A test of X ⊥ Y | Z.

    Attributes
    ----------
    method : str
        Its name in `TESTS`.
    statistic : float
    p_value : float
        In (0, 1]. Say beside it what `empirical_size` gives on the same data; where the size is
        out of hand it means nothing.
    effect : float, nats, or None
        Conditional mutual information, unclipped; how it was estimated is the method's.
    se : float, nats, or None
        Standard error of `effect` over clusters.
    n, n_clusters : int
        Rows, and independent units (images).
    dims : tuple of int
        Columns of x, y, z.
    diagnostics : mapping
        JSON values.
    """

    __test__ = False  # not a class of tests, whatever pytest makes of its name

    method: str
    statistic: float
    p_value: float
    effect: float | None
    se: float | None
    n: int
    n_clusters: int
    dims: tuple[int, int, int]
    diagnostics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def share_to_explain_away(self) -> float | None:
        """Share of what is left of x and of y that an unseen function of z would have to be.

        A common function of z that the test's regression misses looks like a direct dependence:
        with share s of either residual it gives correlation s, thus -½ log(1 - s²) nats. No data
        can tell the two apart.
        """
        return None if self.effect is None else correlation_for(max(self.effect, 0.0))


@dataclass(frozen=True)
class Rate:
    """A share of simulations with its exact (Clopper-Pearson) 95% interval.

    Examples
    --------
    >>> rate = Rate(0, 60)
    >>> rate.value, rate.low, round(rate.high, 4)
    (0.0, 0.0, 0.0596)
    """

    rejections: int
    n_simulations: int

    def __post_init__(self) -> None:
        if not 0 <= self.rejections <= self.n_simulations or self.n_simulations < 1:
            raise ParameterError(
                f"a rate needs 0 <= rejections <= n_simulations; got {self.rejections} of "
                f"{self.n_simulations}"
            )

    @property
    def value(self) -> float:
        """Share of rejections."""
        return self.rejections / self.n_simulations

    @property
    def low(self) -> float:
        """Lower end at 95%."""
        r, n = self.rejections, self.n_simulations
        return 0.0 if r == 0 else float(beta.ppf(0.025, r, n - r + 1))

    @property
    def high(self) -> float:
        """Upper end at 95%."""
        r, n = self.rejections, self.n_simulations
        return 1.0 if r == n else float(beta.ppf(0.975, r + 1, n - r))


@dataclass(frozen=True)
class SizeResult:
    """How often a test rejects a null that holds by construction, on the user's own data.

    Attributes
    ----------
    method : str
    rate : Rate
    level : float
        Nominal.
    n, n_clusters : int
    dims : tuple of int
    generator : mapping
        Shares of variance of x and y: what the fit on z explains out of sample, and what z explains
        in the simulated data, so that a fit to them finds as much.
    """

    method: str
    rate: Rate
    level: float
    n: int
    n_clusters: int
    dims: tuple[int, int, int]
    generator: Mapping[str, float]

    @property
    def is_usable(self) -> bool:
        """Whether the size is in hand: no evidence that it exceeds the level, and not twice it.

        Where False, a claim abstains. Always False where z has more than four columns: there this
        very check was found blind.
        """
        in_hand = self.rate.low <= self.level and self.rate.value <= 2 * self.level
        return in_hand and self.dims[2] <= MOST_CONDITIONS


@dataclass(frozen=True)
class PowerResult:
    """How often a test finds a planted dependence, on the user's own data.

    Attributes
    ----------
    method : str
    nats : tuple of float
        Planted conditional mutual information, ascending.
    rates : tuple of Rate
    level, power : float
        Of the test, and that asked for.
    n, n_clusters : int
    """

    method: str
    nats: tuple[float, ...]
    rates: tuple[Rate, ...]
    level: float
    power: float
    n: int
    n_clusters: int

    @property
    def smallest_detectable(self) -> float | None:
        """Least planted nats from which on every rate reaches `power`; None where none does."""
        found = None
        for nats, rate in reversed(list(zip(self.nats, self.rates, strict=True))):
            if rate.value < self.power:
                break
            found = nats
        return found

    def to_frame(self) -> pd.DataFrame:
        """A row for each strength that was planted.

        Returns
        -------
        DataFrame
            ``nats``, ``power`` (share found) and ``low`` and ``high``, its exact 95% interval.

        Examples
        --------
        >>> found = PowerResult("gcm", (0.1, 0.2), (Rate(3, 10), Rate(9, 10)), 0.05, 0.8, 50, 50)
        >>> found.to_frame()[["nats", "power"]].values.tolist()
        [[0.1, 0.3], [0.2, 0.9]]
        """
        import pandas as pd

        rates = zip(self.nats, self.rates, strict=True)
        rows = [(nats, rate.value, rate.low, rate.high) for nats, rate in rates]
        return pd.DataFrame(rows, columns=["nats", "power", "low", "high"])
