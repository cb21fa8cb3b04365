"""Calibration of the decision rule: how often each decision comes, where the answer is known.

Images of unequal size are simulated, their effect through `clustered_mean`, its interval through
`Effect` and `decide`, families of claims through `holm_verdicts`: the code that claims go through.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray

from mitheory.io import atomic_write_csv
from mitheory.statistics import clustered_mean
from mitheory.verdict import (
    REGIONS,
    Effect,
    Region,
    SmallestEffect,
    Verdict,
    decide,
    holm_verdicts,
)

from ..progress import progress

Floats = NDArray[np.float64]
TABLE = "verdicts.csv"
IMAGES = (10, 25, 100, 400)
EFFECTS = {"zero": 0.0, "border": 1.0, "twice": 2.0}  # in units of the smallest effect
SIMULATIONS, QUICK_SIMULATIONS = 4000, 200
FAMILY_IMAGES, FAMILY_SIZE, FAMILY_SIMULATIONS = (25, 100, 400), 20, 2000
PATCHES = 144  # of an image, where shares of patches are measured
LARGEST_IMAGE = 14  # rows of an image: 1 to 14, evenly; about eight questions each, as bundles have


def normal(effect: float, sizes: Floats, rng: np.random.Generator) -> Floats:
    """Image means: half the variance between images, half between the rows of one."""
    noise = rng.standard_normal(sizes.shape) + rng.standard_normal(sizes.shape) / np.sqrt(sizes)
    return effect + noise * np.sqrt(0.5)


def skewed(effect: float, sizes: Floats, rng: np.random.Generator) -> Floats:
    """As `normal`, both parts exponential less their mean (skewness 2)."""
    between = rng.standard_exponential(sizes.shape) - 1
    within = rng.standard_gamma(sizes) / sizes - 1  # mean of `sizes` exponentials
    return effect + (between + within) * np.sqrt(0.5)


def bernoulli(effect: float, sizes: Floats, rng: np.random.Generator) -> Floats:
    """Rates of a rare event, whose chance in an image is Beta distributed around `effect`."""
    return share(effect, sizes, rng, of=1)


def share(effect: float, sizes: Floats, rng: np.random.Generator, *, of: int = PATCHES) -> Floats:
    """Shares of the patches of an image in which a rare event happens; as `bernoulli` otherwise."""
    if effect == 0:
        return np.zeros(sizes.shape)
    chance = rng.beta(4 * effect, 4 * (1 - effect), sizes.shape)  # intra-image correlation 0.2
    trials = sizes.astype(np.int64) * of
    return rng.binomial(trials, chance) / trials


# name: image means, smallest effect, span of a row's value
VALUES: Mapping[
    str, tuple[Callable[[float, Floats, np.random.Generator], Floats], float, float | None]
] = {
    "normal": (normal, 0.5, None),
    "skewed": (skewed, 0.5, None),
    "bernoulli": (bernoulli, 0.05, 1.0),
    "share": (share, 0.05, 1.0),
}


def simulate(values: str, images: int, effect: float, rng: np.random.Generator) -> Effect:
    """One simulated run's effect with its error over images; `effect` in smallest effects."""
    draw, smallest, span = VALUES[values]
    sizes = rng.integers(1, LARGEST_IMAGE + 1, images).astype(np.float64)
    means = draw(effect * smallest, sizes, rng)
    rows, weights, labels = compressed(values, means, sizes)
    return Effect("effect", "", *clustered_mean(rows, labels, weights=weights, span=span))


def compressed(values: str, means: Floats, sizes: Floats) -> tuple[Floats, Floats, Floats]:
    """Rows, weights and images that give the same mean and error as the single rows.

    One row per image with its size as weight; of rates, one for its ones and one for its zeros.
    """
    images = np.arange(len(means), dtype=np.float64)
    if values != "bernoulli":
        return means, sizes, images
    ones = means * sizes
    rows = np.repeat([1.0, 0.0], len(means))
    return rows, np.concatenate([ones, sizes - ones]), np.tile(images, 2)


def smallest_effect(values: str, region: Region) -> SmallestEffect:
    """The border used with these values."""
    return SmallestEffect(VALUES[values][1], "", region, "calibration")


def right_decision(region: str, effect: float) -> str | None:
    """What is true of an effect in units of the border; None at the border: nothing is to be said.

    Examples
    --------
    >>> right_decision("negligible", 0.0), right_decision("at_least", 0.0)
    ('holds', 'violated')
    """
    if abs(effect) == 1:
        return None
    inside = effect > 1 if region == "at_least" else effect < 1
    return "holds" if inside else "violated"


def single_claim(
    values: str, images: int, effect: str, simulations: int, seed: int
) -> list[dict[str, object]]:
    """Rates of the decisions in the three regions, and the coverage of the interval."""
    rng = _rng(seed, "single", values, images, effect)
    true = EFFECTS[effect]
    effects = [simulate(values, images, true, rng) for _ in range(simulations)]
    ends = [e.interval() for e in effects]
    covered = np.mean([low <= true * VALUES[values][1] <= high for low, high in ends])
    rows = []
    for region in REGIONS:
        smallest, right = smallest_effect(values, region), right_decision(region, true)
        said = pd.Series([decide(low, high, smallest) for low, high in ends])
        decisive = said[said != "inconclusive"]
        rows.append(
            {
                "family": 1,
                "values": values,
                "images": images,
                "effect": effect,
                "region": region,
                "holds": float((said == "holds").mean()),
                "violated": float((said == "violated").mean()),
                "inconclusive": float((said == "inconclusive").mean()),
                "wrong": float((decisive != right).sum() / simulations),
                "decided": float(len(decisive) / simulations),
                "coverage": float(covered),
                "simulations": simulations,
            }
        )
    return rows


def family(
    values: str, images: int, effect: str, simulations: int, seed: int
) -> list[dict[str, object]]:
    """Twenty claims of one run under Holm: how often at least one of their decisions is wrong.

    "border": all at the border, where every decision is wrong. "mixed": half at the border, half
    at twice it, whose share decided is the power left.
    """
    rng = _rng(seed, "family", values, images, effect)
    true = np.ones(FAMILY_SIZE)
    if effect == "mixed":
        true[FAMILY_SIZE // 2 :] = 2.0
    smallest = smallest_effect(values, "at_most")
    right = [right_decision("at_most", e) for e in true]
    counts = {"holds": 0, "violated": 0, "inconclusive": 0}
    any_wrong = decided = 0
    for _ in range(simulations):
        said = [v.decision for v in holm_verdicts(_verdicts(values, images, true, smallest, rng))]
        for decision in said:
            counts[decision] += 1
        pairs = [(s, r) for s, r in zip(said, right, strict=True) if s != "inconclusive"]
        any_wrong += any(s != r for s, r in pairs)
        decided += sum(s == r for s, r in pairs)
    total = simulations * FAMILY_SIZE
    knowable = sum(r is not None for r in right) * simulations
    return [
        {
            "family": FAMILY_SIZE,
            "values": values,
            "images": images,
            "effect": effect,
            "region": "at_most",
            **{name: count / total for name, count in counts.items()},
            "wrong": any_wrong / simulations,
            "decided": decided / knowable if knowable else np.nan,
            "coverage": np.nan,
            "simulations": simulations,
        }
    ]


def _verdicts(
    values: str, images: int, true: Floats, smallest: SmallestEffect, rng: np.random.Generator
) -> list[Verdict]:
    return [
        Verdict(
            f"claim {i}",
            "empirical",
            "simulated",
            n=images,
            unit="images",
            seed=0,
            effect=simulate(values, images, effect, rng),
            smallest_effect=smallest,
        )
        for i, effect in enumerate(true)
    ]


def _rng(seed: int, *names: object) -> np.random.Generator:
    """A generator of this cell's own, so that no worker and no order decides."""
    from zlib import crc32

    return np.random.default_rng(crc32(repr((seed, *names)).encode()))


def run(out: Path, quick: bool = False, jobs: int = 1, seed: int = 0) -> Path:
    """Simulate every cell and write ``verdicts.csv`` into `out`."""
    simulations = QUICK_SIMULATIONS if quick else SIMULATIONS
    families = QUICK_SIMULATIONS if quick else FAMILY_SIMULATIONS
    tasks = [
        delayed(single_claim)(*cell, simulations, seed)
        for cell in itertools.product(VALUES, IMAGES, EFFECTS)
    ] + [
        delayed(family)(*cell, families, seed)
        for cell in itertools.product(VALUES, FAMILY_IMAGES, ("border", "mixed"))
    ]
    rows: list[dict[str, object]] = []
    with progress() as bar:
        task = bar.add_task("decision rule", total=len(tasks))
        for part in Parallel(n_jobs=jobs, return_as="generator")(tasks):
            rows += part
            bar.advance(task)
    path = Path(out) / TABLE
    atomic_write_csv(path, pd.DataFrame(rows).round(5))
    return path
