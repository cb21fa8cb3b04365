"""Pairs of patches with a prompt, one per image and draw, and information estimated over draws.

A draw is a sample with one row per image, at one place of the grid for all: rows are independent,
and what two places share by being where they are is no dependence. Estimates of several draws are
averaged; the error is over images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from mitheory.bundle import Sample
from mitheory.errors import ParameterError
from mitheory.estimators import Estimate, cmi, mi
from mitheory.verdict import Kind, Verdict, unassessed

from .calibrated import estimator_for
from .context import Context, fold
from .linear import Affine
from .patches import Reductions, mean_word, unit

Floats = NDArray[np.float64]

DRAWS = 8
DIRECTIONS = np.array([(0, 1), (1, 0)])
UNREDUCED = (
    "needs at least 4 images in both halves, and patches and prompts that vary, to fit the "
    "projections"
)


@dataclass(frozen=True, eq=False)
class Seen:
    """A question with what is left of it after reduction: patches (n_v, r), prompt (r,)."""

    sample: Sample
    half: int
    patches: Floats
    prompt: Floats
    ring: Mapping[int, Affine]


def by_draw(
    samples: Sequence[Sample], context: Context, reductions: Reductions
) -> Iterator[tuple[int, Seen]]:
    """Each image's questions dealt out to the draws, again from the first if they are fewer.

    Shuffled within the image: in order of their ids all questions of a draw may be of one type.
    """
    ordered = sorted(samples, key=lambda s: (s.image_id, s.sample_id))
    for image, group in groupby(ordered, key=lambda s: s.image_id):
        questions, half = list(group), fold(image)
        dealt = context.rng("questions", image).permutation(len(questions))[:DRAWS]
        patches = reductions[half].patch(unit(questions[0].visual))
        seen = [
            Seen(s, half, patches, reductions[half].prompt(mean_word(s)), reductions[half].ring)
            for s in (questions[i] for i in dealt)
        ]
        for draw in range(DRAWS):
            yield draw, seen[draw % len(seen)]


def where(context: Context, name: str, draw: int) -> Floats:
    """(3,) where in the grid a draw looks: the same for every image."""
    return context.rng("place", name, draw).random(3)


def at_distance(draw: int, distance: int) -> NDArray[np.int64]:
    """(1, 2) offset of a pair: along rows and along columns by turns."""
    return distance * DIRECTIONS[[draw % 2]]


def record(
    seen: Seen,
    draw: int,
    tokens: Sequence[int] | NDArray[np.int64],
    *,
    through: int | None = None,
    **words: Any,
) -> dict[str, Any]:
    """A row: patch x, patches y as one vector, prompt z; all reduced.

    The first token is x, the rest are y. `through`: the size of neighborhood whose prediction of x
    stands for y.
    """
    visual = seen.patches[list(tokens)]  # (1 + m, r)
    others = visual[1:].ravel()
    parts = {
        "x": visual[0],
        "y": others if through is None else seen.ring[through](others),
        "z": seen.prompt,
    }
    numbers = {f"{name}{i}": float(v) for name, part in parts.items() for i, v in enumerate(part)}
    return {
        "image_id": seen.sample.image_id,
        "sample_id": seen.sample.sample_id,
        "draw": draw,
        "fold": seen.half,
        **words,
        **numbers,
    }


def values(rows: pd.DataFrame, prefix: str) -> Floats:
    """Columns x0, x1, ... of rows of one half, which may have fewer than the other half's."""
    numbers = sorted(
        int(name[len(prefix) :])
        for name in map(str, rows.columns)
        if name.startswith(prefix) and name[len(prefix) :].isdigit()
    )
    block = rows[[f"{prefix}{i}" for i in numbers]].to_numpy(np.float64)
    return np.ascontiguousarray(block[:, ~np.isnan(block).all(0)])


Estimator = Callable[[pd.DataFrame], Estimate]
Judge = Callable[[pd.DataFrame, Context], Verdict]


def or_unassessed(name: str, kind: Kind) -> Callable[[Judge], Judge]:
    """Data that an estimator refuses, such as exact copies of a patch, get no verdict."""

    def guarded(judge: Judge) -> Judge:
        @wraps(judge)
        def wrapper(table: pd.DataFrame, context: Context) -> Verdict:
            try:
                return judge(table, context)
            except ParameterError as error:
                n = context.facts.n_images
                return unassessed(name, kind, f"no estimate: {error}", seed=context.seed, n=n)

        return wrapper

    return guarded


def normal_scores(block: Floats) -> Floats:
    """Columns (n, r) with their ranks made normal.

    Information is the same, for it knows no scale; but components of patches have tails so heavy
    that the covariance of some sixty of them overstates it by a third.

    Examples
    --------
    >>> normal_scores(np.array([[1.0], [1000.0], [3.0]])).ravel().round(3)
    array([-0.967,  0.967,  0.   ])
    """
    return np.asarray(norm.ppf((rankdata(block, axis=0) - 0.5) / len(block)))


def mutual(x: str, *y: str, estimator: str | None = None) -> Estimator:
    """I(x; y) of a frame of rows, of several y together.

    Without a name the estimator that the calibration prefers at this size; the Gaussian one sees
    normal scores.
    """

    def estimate(rows: pd.DataFrame) -> Estimate:
        sides = [values(rows, x), np.hstack([values(rows, name) for name in y])]
        name = estimator or estimator_for("mi", len(rows), _widest(sides))
        return mi(name, *_seen_by(name, sides))

    return estimate


def conditional(estimator: str | None = None) -> Estimator:
    """I(x; y given z) of a frame of rows; the estimator as for `mutual`."""

    def estimate(rows: pd.DataFrame) -> Estimate:
        sides = [values(rows, name) for name in "xyz"]
        name = estimator or estimator_for("cmi", len(rows), _widest(sides))
        return cmi(name, *_seen_by(name, sides))

    return estimate


def _widest(sides: Sequence[Floats]) -> int:
    return max(side.shape[1] for side in sides)


def _seen_by(estimator: str, sides: Sequence[Floats]) -> list[Floats]:
    return [normal_scores(side) if estimator == "gaussian" else side for side in sides]


def rows_at_once(table: pd.DataFrame) -> int:
    """Fewest rows that an estimate of `over_draws` is made of."""
    return int(table.groupby(["draw", "fold"]).size().min())


def over_draws(table: pd.DataFrame, estimator: Estimator) -> Floats:
    """Contribution of every row: estimated apart in every draw and half of the images.

    Raises
    ------
    ValueError
        If the estimator has no contributions of all rows.
    """
    found = np.full(len(table), np.nan)
    for _, places in sorted(table.groupby(["draw", "fold"]).indices.items()):
        estimate = estimator(table.iloc[places])
        if estimate.pointwise is None or len(estimate.pointwise) != len(places):
            raise ValueError(f"{estimate.estimator} does not say what each row contributes")
        found[places] = estimate.pointwise
    return found
