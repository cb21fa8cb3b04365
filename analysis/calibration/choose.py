"""Which estimator to use at a size: read from the committed calibration, or none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import pandas as pd

from mitheory.checks import lookup
from mitheory.errors import ParameterError

from .detection import MAIN_FAMILIES, detection_limit

STRUCTURES = ("leading", "trailing", "spread", "labels", "letters")
NUMBERS = ("leading", "trailing", "spread")  # what unlabeled embeddings may be


@dataclass(frozen=True)
class Recommendation:
    """An estimator with what was measured of it, or why there is none.

    Attributes
    ----------
    variant : str or None
        In `analysis.calibration.variants.VARIANTS`; None where no estimator is good enough.
    quantity : {"mi", "cmi"}
    n, d : int
        What was asked.
    at_n, at_d : int
        Where it was measured: the next smaller n and the next larger d.
    worst_rmse : float, nats
        Over the ground truths considered; of the best variant, even if that is not good enough.
    worst_truth : str
    bias : (float, float), nats
        Least and largest over those ground truths.
    spread : float, nats
        Largest standard deviation over repeats.
    detection_limit : float, nats
        Of the hardest family considered; infinite if the most that was planted is not seen.
    reason : str or None
        Why no estimator is recommended.
    """

    variant: str | None
    quantity: str
    n: int
    d: int
    at_n: int
    at_d: int
    worst_rmse: float
    worst_truth: str
    bias: tuple[float, float]
    spread: float
    detection_limit: float
    reason: str | None = None


@lru_cache(maxsize=1)
def committed_table() -> pd.DataFrame:
    """The calibration that comes with the package."""
    with files(__package__).joinpath("estimators.csv").open() as stream:
        return pd.read_csv(stream)


def choose(
    quantity: str,
    n: int,
    d: int,
    tolerance: float,
    *,
    structures: Sequence[str] = NUMBERS,
    truths: Sequence[str] | None = None,
    among: Sequence[str] | None = None,
    table: pd.DataFrame | None = None,
) -> Recommendation:
    """The variant with the smallest worst error at this size, if that is within `tolerance`.

    Parameters
    ----------
    quantity : {"mi", "cmi"}
    n, d : int
        Rows, and columns of a side, before any reduction.
    tolerance : float, nats
        Largest root mean square error that will do, on the worst ground truth considered.
    structures : names in `STRUCTURES`
        Where the dependence may lie. "leading" alone is for those who have checked that it lies in
        the directions of largest variance.
    truths : names of ground truths, optional
        Those considered, of these structures; for those who know more of their data.
    among : variants to choose from, optional
    table : DataFrame, optional
        A calibration other than the committed one.

    Returns
    -------
    Recommendation
        Whose `variant` is None, with the reason, where none is good enough or nothing was tried.

    Raises
    ------
    UnknownNameError, ParameterError
        If an argument is none of these.

    Examples
    --------
    >>> choose("mi", 1000, 1, 0.1).variant is not None, choose("mi", 1000, 1024, 0.1).variant
    (True, None)
    """
    lookup(quantity, MAIN_FAMILIES, "quantity")
    for structure in structures:
        lookup(structure, dict.fromkeys(STRUCTURES), "structure")
    if not structures or n < 1 or d < 1 or not tolerance > 0:
        raise ParameterError(
            "n, d, tolerance must be positive and structures not empty; "
            f"got {n}, {d}, {tolerance}, {tuple(structures)}"
        )
    table = committed_table() if table is None else table
    rows = table[(table["quantity"] == quantity) & table["structure"].isin(structures)]
    if truths is not None:
        rows = rows[rows["truth"].isin(truths)]
    if among is not None:
        rows = rows[rows["variant"].isin(among)]
    at_n, at_d = _grid_point(rows, n, d)
    if at_n is None or at_d is None:
        reason = f"nothing was measured at n <= {n}, d >= {d}"
        return Recommendation(
            None, quantity, n, d, 0, 0, math.inf, "", _NONE, math.nan, math.inf, reason
        )
    return _best(rows[(rows["n"] == at_n) & (rows["d"] == at_d)], quantity, n, d, tolerance)


_NONE = (math.nan, math.nan)


def _grid_point(rows: pd.DataFrame, n: int, d: int) -> tuple[int | None, int | None]:
    """The next smaller n and the next larger d: never a size that flatters."""
    larger = rows.loc[rows["d"] >= d, "d"]
    at_d = None if larger.empty else int(larger.min())
    smaller = rows.loc[(rows["n"] <= n) & (rows["d"] == at_d), "n"]
    return (None if smaller.empty else int(smaller.max())), at_d


def _best(rows: pd.DataFrame, quantity: str, n: int, d: int, tolerance: float) -> Recommendation:
    """The variant with the smallest worst error that ran on every ground truth of the cell."""
    cases = rows.groupby(["truth", "planted"], dropna=False).ngroups
    done = rows[rows["error"].isna()]
    complete = [str(v) for v in done["variant"].unique() if (done["variant"] == v).sum() == cases]
    at_n, at_d = int(rows["n"].iloc[0]), int(rows["d"].iloc[0])
    if not complete:
        reason = f"no estimator ran on all {cases} ground truths at n = {at_n}, d = {at_d}"
        return Recommendation(
            None, quantity, n, d, at_n, at_d, math.inf, "", _NONE, math.nan, math.inf, reason
        )
    worst = {name: float(done.loc[done["variant"] == name, "rmse"].max()) for name in complete}
    name = min(worst, key=lambda v: (worst[v], v))
    own = done[done["variant"] == name]
    at = own.sort_values("rmse").iloc[-1]
    limits = [
        detection_limit(own[own["truth"] == family])
        for family in MAIN_FAMILIES[quantity]
        if (own["truth"] == family).any()
    ]
    why: str | None = None
    if worst[name] > tolerance:
        why = (
            f"the best of {len(complete)} estimators, {name}, is off by {worst[name]:.2g} nats "
            f"(root mean square) on {at['truth']} at n = {at_n}, d = {at_d}; "
            f"{tolerance:g} was asked for"
        )
    return Recommendation(
        variant=None if why else name,
        quantity=quantity,
        n=n,
        d=d,
        at_n=at_n,
        at_d=at_d,
        worst_rmse=worst[name],
        worst_truth=str(at["truth"]),
        bias=(float(own["bias"].min()), float(own["bias"].max())),
        spread=float(own["spread"].max()),
        detection_limit=max(limits, default=math.nan),
        reason=why,
    )
