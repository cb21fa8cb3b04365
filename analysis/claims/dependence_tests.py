"""How far a verdict on conditional dependence can be trusted on the data at hand.

What the tests, and the decision itself, say of data like these in which nothing is planted, and in
which a dependence is, is what they are worth here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mitheory import independence
from mitheory.independence import PowerResult, Rate, SizeResult
from mitheory.independence.inputs import LEAST_CLUSTERS
from mitheory.verdict import Decision, Effect, SmallestEffect, decide

from .context import Context
from .draws import values
from .remade import Remaker, remade

TEST = "gcm"
SIMULATIONS = 100  # of the test; a rate near 0.05 is then known to 0.04
DECISIONS = 40  # of the whole decision, at nothing and at twice the smallest effect planted
LEVEL, POWER = 0.05, 0.8

Judged = Callable[[pd.DataFrame], Effect]


@dataclass(frozen=True)
class SecondOpinions:
    """Tests on the data, and rates on data like them.

    Attributes
    ----------
    p_values : by test, smallest of the two halves, doubled
    size, power : of the test `TEST`, on the larger half
    null, planted : what the claim's own decision says where nothing, and where `nats` are planted,
        as counts
    nats : twice the smallest effect, times the share of the patches' variance that is looked at: a
        dependence of twice the smallest effect, spread over directions as the variance is
    """

    p_values: dict[str, float]
    size: SizeResult
    power: PowerResult
    null: Counter[str]
    planted: Counter[str]
    nats: float

    def why_abstain(self, decision: Decision) -> str | None:
        """Why this decision is not warranted; None if it is."""
        alarms = Rate(self.null["violated"], sum(self.null.values()))
        if decision == "violated" and alarms.low > LEVEL:
            return (
                "where the null holds by construction on these data, it is called violated in "
                f"{alarms.rejections} of {alarms.n_simulations} simulations"
            )
        return why_blind(self.planted, self.nats) if decision == "holds" else None

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "p_values": self.p_values,
            f"{TEST}_size_on_these_data": self.size.rate.value,
            f"{TEST}_size_low": self.size.rate.low,
            f"{TEST}_size_high": self.size.rate.high,
            f"{TEST}_p_value_is_usable": self.size.is_usable,
            f"{TEST}_smallest_detectable_nats": self.power.smallest_detectable,
            f"{TEST}_power": dict(
                zip(map(str, self.power.nats), (r.value for r in self.power.rates), strict=True)
            ),
            "decisions_where_nothing_is_planted": dict(sorted(self.null.items())),
            "planted_nats": self.nats,
            "decisions_where_that_is_planted": dict(sorted(self.planted.items())),
        }


def why_blind(planted: Counter[str], nats: float) -> str | None:
    """Why "holds" is not warranted: with so many nats planted it is said too often as well."""
    missed, of = planted["holds"], sum(planted.values())
    if missed <= (1 - POWER) * of:
        return None
    return (
        f"the estimate is small, but a dependence of twice the smallest effect of interest, of "
        f"which these components would show {nats:.2g} nats, would have been missed in {missed} of "
        f"{of} simulations on these data"
    )


def too_few(lead: pd.DataFrame) -> str | None:
    """Why there can be no second opinion; None if there can."""
    counts = [lead.loc[lead["fold"] == half, "image_id"].nunique() for half in (0, 1)]
    if min(counts) >= LEAST_CLUSTERS:
        return None
    return (
        f"needs {LEAST_CLUSTERS} images in each half, to fit on one and estimate on the other; "
        f"got {counts[0]} and {counts[1]}"
    )


def second_opinions(
    lead: pd.DataFrame,
    context: Context,
    name: str,
    *,
    effect: Judged,
    smallest: SmallestEffect,
    share: float,
) -> SecondOpinions:
    """Tests and calibration on the rows that decide; see `too_few`.

    Parameters
    ----------
    lead : rows with x0.., y0.., z0.., image_id, draw, fold
    context, name : for seeds
    effect : what the decision is taken on
    smallest : what it is compared with
    share : of the patches' variance that is looked at
    """
    rng = context.rng(name, "calibration")
    halves = [lead[(lead["fold"] == half) & (lead["draw"] == 0)] for half in (0, 1)]
    p_values = {
        method: min(
            1.0, 2 * min(independence.test(method, *_xyz(h), rng=rng).p_value for h in halves)
        )
        for method in (TEST, "knn_permutation")
    }
    larger = _xyz(max(halves, key=len))
    steps = [smallest.value * factor for factor in (1, 2, 4)]
    size = independence.empirical_size(TEST, *larger, n_simulations=SIMULATIONS, rng=rng)
    power = independence.planted_power(
        TEST, *larger, nats=steps, n_simulations=SIMULATIONS, rng=rng
    )
    nats = 2 * smallest.value * share
    null, planted = (
        decisions(lead, effect, smallest, nats=planted, rng=rng) for planted in (0.0, nats)
    )
    return SecondOpinions(p_values, size, power, null, planted, nats)


def decisions(
    lead: pd.DataFrame,
    effect: Judged,
    smallest: SmallestEffect,
    *,
    nats: float,
    rng: np.random.Generator,
) -> Counter[str]:
    """What a claim decides on data like these with so many nats planted, as counts."""
    makers = tuple(Remaker.of(lead[lead["fold"] == half]) for half in (0, 1))
    intervals = (
        effect(remade(lead, (makers[0], makers[1]), nats, rng)).interval() for _ in range(DECISIONS)
    )
    return Counter(decide(*ends, smallest) for ends in intervals)


def _xyz(rows: pd.DataFrame) -> tuple[Any, Any, Any]:
    x, y, z = (values(rows, name) for name in "xyz")
    return x, y, z
