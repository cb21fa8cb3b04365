"""Verdict: what one claim came to on one input, and the one rule that decides it.

An empirical claim says where an effect lies: near zero, clearly above zero, or not clearly above
zero, "clearly" being a smallest effect of interest fixed before any data are seen. The interval of
the effect wholly inside that region: *holds*; wholly outside: *violated*; across its border:
*inconclusive*; no interval to be had: *unassessed*, with the reason. A large p-value is never
evidence for a claim. A theorem is *refuted* by a counter-example and else, having been checked,
*verified*.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from scipy.stats import t as student

from . import notebook
from .errors import DTypeError, NonFiniteError, ParameterError

Kind = Literal["theorem", "empirical", "ablation", "efficiency", "bookkeeping"]
Region = Literal["negligible", "at_least", "at_most"]
Decision = Literal["holds", "violated", "inconclusive", "unassessed", "verified", "refuted"]

KINDS: tuple[Kind, ...] = ("theorem", "empirical", "ablation", "efficiency", "bookkeeping")
REGIONS: tuple[Region, ...] = ("negligible", "at_least", "at_most")
DECISIONS: tuple[Decision, ...] = (
    "verified", "holds", "inconclusive", "violated", "refuted", "unassessed",
)  # fmt: skip
LEVEL = 0.95


@dataclass(frozen=True)
class Effect:
    """An estimate with its standard error over clusters, hence an interval at any level.

    The interval is Student's, `value` ± t `se`, corrected for skewness: of T = (value - truth)/se
    it is T + g T²/3 + g² T³/27 + g/6 that is taken for Student's t. Source: hall1992. Without that
    correction five in a hundred were up to fifteen, for shares that few images carry.

    Attributes
    ----------
    name, unit : str
        Of the estimand; the unit is "nats", "points", "ratio", ...
    value, se : float
    df : float
    skew : float
        g, the skewness of `value` as an estimate; 0 gives Student's interval.

    Raises
    ------
    NonFiniteError
        If value or standard error is not finite.
    ParameterError
        If the standard error is negative or `df` is not positive.

    Examples
    --------
    >>> effect = Effect("mean difference", "nats", 0.5, se=0.1, df=24)
    >>> effect.low, effect.high
    (0.294, 0.706)
    >>> skewed = Effect("mean difference", "nats", 0.5, se=0.1, df=24, skew=0.4)
    >>> skewed.low, skewed.high  # a longer tail where large values were rare
    (0.338, 0.853)
    """

    name: str
    unit: str
    value: float
    se: float
    df: float
    skew: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.value, self.se, self.df, self.skew))):
            raise NonFiniteError(
                f"effect {self.name!r} must be finite; got {self.value} with error {self.se}, "
                f"df {self.df}, skew {self.skew}"
            )
        if self.se < 0:
            raise ParameterError(f"se of {self.name!r} must not be negative; got {self.se}")
        if self.df < 1:
            raise ParameterError(f"df of {self.name!r} must be positive; got {self.df}")

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Both ends of the two-sided interval at `level`."""
        if not 0 < level < 1:
            raise ParameterError(f"level must lie in (0, 1); got {level}")
        t = float(student.ppf((1 + level) / 2, self.df))
        return (
            self.value - self.se * _unskewed(t, self.skew),
            self.value - self.se * _unskewed(-t, self.skew),
        )

    def p_value(self, truth: float) -> float:
        """Two-sided: one less the level at which the interval just touches `truth`.

        Examples
        --------
        >>> effect = Effect("mean difference", "nats", 0.5, se=0.1, df=24, skew=0.4)
        >>> effect.p_value(effect.low)
        0.05
        """
        if self.se == 0:
            return 1.0 if truth == self.value else 0.0
        if math.isinf(truth):
            return 0.0
        t = _skewed((self.value - truth) / self.se, self.skew)
        return float(2 * student.sf(abs(t), self.df))

    @property
    def low(self) -> float:
        """Lower end at 95%."""
        return self.interval()[0]

    @property
    def high(self) -> float:
        """Upper end at 95%."""
        return self.interval()[1]


def _skewed(t: float, g: float) -> float:
    """t + g t²/3 + g² t³/27 + g/6, which grows with t."""
    return t + g * t**2 / 3 + g**2 * t**3 / 27 + g / 6


def _unskewed(w: float, g: float) -> float:
    """The t for which `_skewed` is w; exact, as t + g t²/3 + g² t³/27 = ((1 + g t/3)³ - 1) / g."""
    if abs(g) < 1e-9:
        return w
    return float((np.cbrt(1 + g * (w - g / 6)) - 1) * 3 / g)


@dataclass(frozen=True)
class SmallestEffect:
    """The smallest effect of interest, the region that the claim names with it, and why this size.

    `region` "negligible": the claim is that the effect lies inside ± value. "at_least": that it is
    value or more. "at_most": that it is less than value.
    """

    value: float
    unit: str
    region: Region
    reason: str

    def __post_init__(self) -> None:
        if self.region not in REGIONS:
            raise ParameterError(f"region must be one of {REGIONS}; got {self.region!r}")
        if not (math.isfinite(self.value) and self.value > 0):
            raise ParameterError(f"smallest effect must be positive; got {self.value}")

    @property
    def bounds(self) -> tuple[float, float]:
        """The region's ends."""
        return {
            "negligible": (-self.value, self.value),
            "at_least": (self.value, math.inf),
            "at_most": (-math.inf, self.value),
        }[self.region]


def decide(low: float, high: float, smallest_effect: SmallestEffect) -> Decision:
    """The decision rule: interval wholly inside the claim's region, wholly outside, or across.

    Examples
    --------
    >>> negligible = SmallestEffect(0.1, "nats", "negligible", "an example")
    >>> decide(-0.05, 0.05, negligible), decide(0.2, 0.3, negligible), decide(0.0, 0.3, negligible)
    ('holds', 'violated', 'inconclusive')
    >>> better = SmallestEffect(0.1, "points", "at_least", "an example")
    >>> decide(0.2, 0.3, better), decide(-0.3, 0.05, better)
    ('holds', 'violated')
    """
    inside_low, inside_high = smallest_effect.bounds
    if inside_low < low and high < inside_high:
        return "holds"
    if high < inside_low or low > inside_high:
        return "violated"
    return "inconclusive"


@dataclass(frozen=True)
class Verdict:
    """What a claim came to. The decision is computed from the rest, never given.

    Attributes
    ----------
    claim : str
        The claim's stable name.
    kind : {"theorem", "empirical", "ablation", "efficiency", "bookkeeping"}
    method : str
        How it was measured, in a line.
    effect : Effect or None
    smallest_effect : SmallestEffect or None
        Where given with an effect, the pair decides; else the counter-example does.
    n : int
        Units, of the kind that `unit` names ("images", "tables", "instances").
    unit : str
    seed : int
    level : float
        Of the interval that decides: 0.95, or more after Holm's correction (`holm_verdicts`).
    checked : int
        Instances on which a theorem was checked.
    counter_example : mapping or None
        A worked instance that refutes a theorem, as JSON values.
    reason : str or None
        Why the claim could not be assessed; the decision is then *unassessed*.
    caveats : tuple of str
    diagnostics : mapping
        Secondary numbers by name, as JSON values.

    Examples
    --------
    >>> smallest = SmallestEffect(0.1, "nats", "negligible", "an example")
    >>> verdict = Verdict(
    ...     "some_claim", "empirical", "mean over images", n=25, unit="images", seed=0,
    ...     effect=Effect("excess", "nats", 0.5, se=0.1, df=24), smallest_effect=smallest,
    ... )
    >>> verdict.decision
    'violated'
    """

    claim: str
    kind: Kind
    method: str
    n: int
    unit: str
    seed: int
    effect: Effect | None = None
    smallest_effect: SmallestEffect | None = None
    level: float = LEVEL
    checked: int = 0
    counter_example: Mapping[str, Any] | None = None
    reason: str | None = None
    caveats: tuple[str, ...] = ()
    diagnostics: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ParameterError(f"kind must be one of {KINDS}; got {self.kind!r}")
        if not isinstance(self.caveats, tuple):
            raise DTypeError(f"caveats must be a tuple; got {type(self.caveats).__name__}")
        if (
            self.reason is None
            and not self._is_graded
            and not (self.checked or self.counter_example)
        ):
            raise ParameterError(
                f"{self.claim}: a verdict needs an effect with a smallest effect, a check, "
                "a counter-example, or the reason why it has none"
            )

    @property
    def _is_graded(self) -> bool:
        return self.effect is not None and self.smallest_effect is not None

    @property
    def decision(self) -> Decision:
        """*holds*, *violated*, *inconclusive*; *verified*, *refuted*; or *unassessed*."""
        if self.reason is not None:
            return "unassessed"
        if self.effect is not None and self.smallest_effect is not None:
            return decide(*self.effect.interval(self.level), self.smallest_effect)
        return "refuted" if self.counter_example is not None else "verified"

    @property
    def p_value(self) -> float | None:
        """The level at which the interval would just touch the border of the claim's region.

        Two-sided; small when the data decide, for or against the claim.
        """
        if self.reason is not None or self.effect is None or self.smallest_effect is None:
            return None
        return max(self.effect.p_value(end) for end in self.smallest_effect.bounds)

    def _repr_html_(self) -> str:
        """The verdict as a small table, for notebooks."""
        return notebook.table(self.claim, self.decision, self._lines())

    def _lines(self) -> list[tuple[str, str]]:
        """What a reader needs to know of it, by name; some may be empty."""
        effect, smallest = self.effect, self.smallest_effect
        lines = [("why", self.reason or "")]
        if effect is not None:
            low, high = effect.interval(self.level)
            ends = f"[{low:.3g}, {high:.3g}] at {100 * self.level:.4g}%"
            lines.append(("effect", f"{effect.name}: {effect.value:.3g} {effect.unit}"))
            lines.append(("interval", ends))
        if smallest is not None:
            region = smallest.region.replace("_", " ")
            lines.append(("claimed", f"{region} {smallest.value:g} {smallest.unit}"))
        if self.counter_example is not None:
            pairs = ", ".join(f"{k} = {v}" for k, v in self.counter_example.items())
            lines.append(("counter-example", pairs))
        counted = f"{self.n:,} {self.unit}" + f"; {self.checked:,} checked" * bool(self.checked)
        return [
            *lines,
            ("n", counted),
            ("method", self.method),
            *(("but", c) for c in self.caveats),
        ]

    def to_dict(self) -> dict[str, Any]:
        """JSON values, with the decision, the p-value and both intervals written out."""
        effect = self.effect
        graded = self.smallest_effect
        return {
            "claim": self.claim,
            "kind": self.kind,
            "decision": self.decision,
            "effect": None
            if effect is None
            else {
                "name": effect.name,
                "unit": effect.unit,
                "value": effect.value,
                "se": effect.se,
                "df": effect.df,
                "skew": effect.skew,
                "low": effect.low,
                "high": effect.high,
                "level": LEVEL,
                "low_corrected": effect.interval(self.level)[0],
                "high_corrected": effect.interval(self.level)[1],
                "level_corrected": self.level,
            },
            "smallest_effect": None
            if graded is None
            else {
                "value": graded.value,
                "unit": graded.unit,
                "region": graded.region,
                "reason": graded.reason,
            },
            "p_value": self.p_value,
            "n": self.n,
            "unit": self.unit,
            "seed": self.seed,
            "method": self.method,
            "checked": self.checked,
            "counter_example": None if self.counter_example is None else dict(self.counter_example),
            "reason": self.reason,
            "caveats": list(self.caveats),
            "diagnostics": dict(self.diagnostics),
        }


def unassessed(
    claim: str, kind: Kind, reason: str, *, seed: int, n: int = 0, unit: str = "images"
) -> Verdict:
    """A verdict that says why there is none.

    Examples
    --------
    >>> verdict = unassessed("some_claim", "empirical", "the bundle has no attention", seed=0)
    >>> verdict.decision, verdict.reason
    ('unassessed', 'the bundle has no attention')
    """
    return Verdict(claim, kind, "not run", n=n, unit=unit, seed=seed, reason=reason)


def holm_verdicts(verdicts: Sequence[Verdict], *, level: float = LEVEL) -> list[Verdict]:
    """The verdicts with Holm's correction over those that an interval decides.

    Source: holm1979. Ranked by p-value, the i-th of m is decided by its interval at
    1 - α/(m - i + 1); from the first that stays inconclusive on, all take that one's level and stay
    inconclusive. With probability `level` no decision of the whole set is wrong.

    Examples
    --------
    >>> smallest = SmallestEffect(0.1, "nats", "at_most", "an example")
    >>> verdicts = [
    ...     Verdict(name, "empirical", "…", n=25, unit="images", seed=0, smallest_effect=smallest,
    ...             effect=Effect("excess", "nats", value, se=0.1, df=24))
    ...     for name, value in (("a", 0.32), ("b", 0.6))
    ... ]
    >>> [v.decision for v in verdicts], [v.decision for v in holm_verdicts(verdicts)]
    (['violated', 'violated'], ['violated', 'violated'])
    >>> [round(v.level, 3) for v in holm_verdicts(verdicts)]
    [0.95, 0.975]
    """
    alpha = 1 - level
    ranked = [(p, i) for i, v in enumerate(verdicts) if (p := v.p_value) is not None]
    corrected = list(verdicts)
    stopped: float | None = None
    for rank, (p, i) in enumerate(sorted(ranked)):
        own = alpha / (len(ranked) - rank)
        if stopped is None and p > own:
            stopped = own
        corrected[i] = replace(verdicts[i], level=1 - (own if stopped is None else stopped))
    return corrected
