"""Patches, neighborhoods and prompts as few numbers, by projections fitted on other images.

Estimators of information are blind in many dimensions, so patches are first reduced to their
leading principal components. What a prompt, or a set of patches, says of a patch is reduced to its
linear prediction of those components: for Gaussians that loses nothing. Everything fitted is fitted
on one half of the images and used on the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mitheory.bundle import Sample
from mitheory.distributions import unit_rows

from .context import Context, fold
from .linear import Affine, principal, ridge

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RANK = 3  # components of a patch: x, y and z of a conditional test then have 9 numbers together
TEXT_RANK = 32  # components of a prompt that may predict a patch
PLACES = 4  # neighborhoods per image that the projection is fitted on
FIT_IMAGES = 256  # seen by the fit, however large the bundle: bounds its memory
FOLDS = 4  # of the images, to choose among those
MIN_HALF = 4  # images in a half, so that there is something to fit
RING = np.array([(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1)])


@dataclass(frozen=True, eq=False)
class Reduction:
    """What is used on one half of the images and was fitted on the other.

    Attributes
    ----------
    patch : (d) -> RANK
        Leading principal components of unit patches, each of variance 1.
    prompt : (d) -> at most RANK
        Mean unit word to its linear prediction of the patch.
    ring : by size of the neighborhood, (size x RANK) -> at most RANK
        Components of the first `size` neighbors of `RING` to their prediction of the patch.
    variance : float
        Share of the variance of patches in the components.
    prompt_r2 : float
        Share of the mean patch's components predicted from the prompt, out of sample; below 0 where
        the prompt predicts nothing.
    """

    patch: Affine
    prompt: Affine
    ring: dict[int, Affine]
    variance: float
    prompt_r2: float


Reductions = tuple[Reduction, Reduction]


def described(reductions: Reductions) -> dict[str, float]:
    """What the projections keep: means over both halves."""
    return {
        "variance_kept_of_patches": float(np.mean([r.variance for r in reductions])),
        "patch_variance_predicted_by_prompt": float(np.mean([r.prompt_r2 for r in reductions])),
    }


@dataclass(frozen=True, eq=False)
class _Image:
    """What the fit keeps of an image: (PLACES, 1 or 9, d) patches, (d,) of each prompt."""

    patches: NDArray[np.float32]
    words: dict[str, Floats] = field(default_factory=dict)


def unit(rows: Tensor) -> Floats:
    """Unit rows, as the pruner sees them, in float64."""
    return np.asarray(unit_rows("tokens", rows.double()).numpy())


def mean_word(sample: Sample) -> Floats:
    """(d,) mean of the unit words of a prompt."""
    return unit(sample.text).mean(0)


def fit_reductions(samples: Iterator[Sample], context: Context, *, ring: Sequence[int] = ()) -> (
    Reductions | None
):  # fmt: skip
    """One reduction per half of the images, fitted on the other.

    None if a half is too small, or patches or prompts never vary.

    Parameters
    ----------
    samples : at most `FIT_IMAGES` images, image by image; one pass
    context : for the seed
    ring : sizes of neighborhoods to fit predictions for; needs grids of at least 3 x 3
    """
    halves: tuple[dict[str, _Image], dict[str, _Image]] = ({}, {})
    for sample in samples:
        images = halves[fold(sample.image_id)]
        if sample.image_id not in images:
            rng = context.rng("patches", sample.image_id)
            places = _neighborhoods(sample.grid, sample.n_v, rng, with_ring=bool(ring))
            images[sample.image_id] = _Image(unit(sample.visual)[places].astype(np.float32))
        images[sample.image_id].words[sample.sample_id] = mean_word(sample)
    if min(map(len, halves)) < MIN_HALF:
        return None
    first, second = _fit(halves[1], ring), _fit(halves[0], ring)
    return None if first is None or second is None else (first, second)


def _neighborhoods(
    grid: tuple[int, ...] | None, n_v: int, rng: np.random.Generator, *, with_ring: bool
) -> Integers:
    """(PLACES, 1 + 8) token indices of random places with their ring, or (PLACES, 1) without."""
    if not with_ring or grid is None or not fits(grid, RING):
        return rng.integers(n_v, size=(PLACES, 1))
    return np.stack([place(grid, rng.random(3), RING) for _ in range(PLACES)])


def place(grid: tuple[int, ...], where: Floats, offsets: NDArray[np.int64]) -> Integers:
    """Token index of a place and of the places at `offsets` from it, all inside the grid.

    Parameters
    ----------
    grid : (rows, cols[, frames]), frames outermost
    where : (3,) in [0, 1), which of the places allowed
    offsets : (m, 2) rows and columns

    Returns
    -------
    (1 + m,) int64

    Raises
    ------
    ValueError
        If the offsets do not fit into the grid; see `fits`.

    Examples
    --------
    >>> place((3, 4), np.array([0.0, 0.9, 0.0]), np.array([[0, 1]]))  # the first row, near its end
    array([2, 3])
    """
    if not fits(grid, offsets):
        raise ValueError(f"offsets reach {np.abs(offsets).max()}, the grid is {grid}")
    sizes = np.array(grid[:2])
    low = np.maximum(0, -offsets.min(0))
    room = sizes - low - np.maximum(0, offsets.max(0))
    start = low + (np.asarray(where)[:2] * room).astype(np.int64)
    frame = int(where[2] * grid[2]) if len(grid) == 3 else 0
    cells = np.vstack([start, start + offsets])
    return frame * sizes.prod() + cells[:, 0] * sizes[1] + cells[:, 1]


def fits(grid: tuple[int, ...], offsets: NDArray[np.int64]) -> bool:
    """Whether some place of the grid has all of `offsets` inside it."""
    span = np.maximum(0, offsets.max(0)) - np.minimum(0, offsets.min(0))
    return bool((span < np.array(grid[:2])).all())


def _fit(images: dict[str, _Image], ring: Sequence[int]) -> Reduction | None:
    """The reduction that these images give, in whatever order they came."""
    ordered = [images[name] for name in sorted(images)]
    groups = np.arange(len(ordered)) % FOLDS
    patches = [image.patches.astype(np.float64) for image in ordered]  # (PLACES, 1 or 9, d)
    words = [np.stack([i.words[key] for key in sorted(i.words)]) for i in ordered]
    d = patches[0].shape[-1]
    patch, variance = principal(np.concatenate([p.reshape(-1, d) for p in patches]), RANK)
    text, _ = principal(np.concatenate(words), TEXT_RANK)
    if not (patch.weights.size and text.weights.size):
        return None
    reduced = [patch(p) for p in patches]  # (PLACES, 1 or 9, RANK)
    of_word = np.repeat(np.arange(len(ordered)), [len(w) for w in words])
    target = np.stack([r.mean((0, 1)) for r in reduced])[of_word]  # a prompt knows no place
    predict, r2 = ridge(text(np.concatenate(words)), target, groups[of_word])
    prompt = Affine(text.center, text.weights @ predict.weights)  # both centered on these rows
    if not prompt.weights.size:
        return None
    with_ring = [i for i, r in enumerate(reduced) if r.shape[1] > 1] if ring else []
    rings = _ring_predictions([reduced[i] for i in with_ring], groups[with_ring], ring)
    return Reduction(patch, prompt, rings, variance, r2)


def _ring_predictions(
    reduced: Sequence[Floats], groups: Integers, sizes: Sequence[int]
) -> dict[int, Affine]:
    """For each size, the prediction of a patch from so many of its neighbors."""
    if len(reduced) < MIN_HALF:
        return {}
    near = np.concatenate([r[:, 1:].reshape(len(r), -1) for r in reduced])
    here = np.concatenate([r[:, 0] for r in reduced])
    rank, in_group = here.shape[1], np.repeat(groups, PLACES)
    return {m: ridge(near[:, : m * rank], here, in_group)[0] for m in sizes}
