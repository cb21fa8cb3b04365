"""What several studies of kept sets and scores share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from mitheory.bundle import Sample
from mitheory.errors import ParameterError

LIMIT, QUICK_LIMIT = 800, 160  # questions; about eight to a scene


def of_every_image(samples: Iterable[Sample]) -> list[Sample]:
    """The first question about every image."""
    found: dict[str, Sample] = {}
    for sample in samples:
        found.setdefault(sample.image_id, sample)
    return list(found.values())


def masks(kept: Sequence[Sequence[int]], n: int) -> NDArray[np.bool_]:
    """Kept sets as rows of truth values.

    Examples
    --------
    >>> masks([[2, 0]], 3).tolist()
    [[True, False, True]]
    """
    found = np.zeros((len(kept), n), dtype=bool)
    for row, indices in zip(found, kept, strict=True):
        row[list(indices)] = True
    return found


def overlap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Jaccard overlap of two families of sets, row by row.

    Parameters
    ----------
    first, second : (m, n), True where kept

    Examples
    --------
    >>> overlap(masks([[0, 1]], 3), masks([[1, 2]], 3))
    array([0.33333333])
    """
    return np.asarray((first & second).sum(1) / (first | second).sum(1), dtype=np.float64)


def chance_overlap(n: int, k: int) -> float:
    """Mean Jaccard overlap of two sets of k, drawn from n at random: what agreement is not.

    Examples
    --------
    >>> chance_overlap(3, 1)  # the same one in three
    0.3333333333333333
    >>> chance_overlap(4, 4)
    1.0
    """
    shared = np.arange(max(0, 2 * k - n), k + 1)
    return float((hypergeom(n, k, k).pmf(shared) * shared / (2 * k - shared)).sum())


def beyond_chance(values: NDArray[np.float64], n: int, k: int) -> NDArray[np.float64]:
    """Overlaps moved and stretched: 0 is what random sets of k share on average, 1 is the same set.

    Source: cohen1960, of its kappa.

    Raises
    ------
    ParameterError
        If k is n: two sets of everything are the same by chance already.

    Examples
    --------
    >>> beyond_chance(np.array([1 / 3, 1.0]), 3, 1)
    array([0., 1.])
    """
    expected = chance_overlap(n, k)
    if expected == 1:
        raise ParameterError(f"k: expected fewer than all {n} tokens, got {k}")
    return (values - expected) / (1 - expected)
