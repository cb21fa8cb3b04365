r"""Cross-fitted regression on z: kernel ridge with whole images in each fold.

The kernel is linear plus Gaussian, on landmarks (Nyström): the linear part carries what goes on
beyond the data, the Gaussian the rest. Bandwidth and penalty are those with the least held-out
error, per column of the target; held out means other images, so that what the rows of one image
share is noise and not signal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

from ..errors import ParameterError
from .inputs import Floats, Integers, check_count

N_FOLDS = 5
N_LANDMARKS = 100
BANDWIDTHS = (0.5, 1.0)  # times the median distance
PENALTIES = tuple(10.0**e for e in range(-5, 2))  # times the rows of the training folds


@dataclass(frozen=True, eq=False)
class Fold:
    """One fold for one bandwidth: features in the eigenbasis of the training Gram matrix."""

    train: Integers  # rows
    test: Integers
    eigenvalues: Floats  # (m,)
    left: Floats  # (n_test, m)
    right: Floats  # (m, n_train)


@dataclass(frozen=True, eq=False)
class CrossFit:
    """All folds, factored once: any number of targets can then be regressed on the same z."""

    n: int
    folds: tuple[tuple[Fold, ...], ...]  # (bandwidth, fold)

    def predict(self, targets: Floats) -> Floats:
        """Out-of-fold predictions (n, k) of targets (n, k)."""
        best = np.full(targets.shape[1], np.inf)
        chosen = np.empty_like(targets)
        for folds in self.folds:
            predicted = np.empty((len(PENALTIES), *targets.shape))
            for fold in folds:
                _predict_fold(fold, targets, predicted)
            errors = ((predicted - targets) ** 2).sum(1)  # (penalties, k)
            least = errors.argmin(0)
            better = np.flatnonzero(errors.min(0) < best)
            chosen[:, better] = predicted[least[better], :, better].T
            best[better] = errors.min(0)[better]
        return chosen


def cross_fit(
    z: Floats, codes: Integers, *, n_folds: int = N_FOLDS, rng: np.random.Generator
) -> CrossFit:
    """Folds of whole clusters, and for each the factored regression on z (n, d_z)."""
    n_clusters = int(codes.max()) + 1
    if check_count("n_folds", n_folds, 2) > n_clusters:
        raise ParameterError(f"n_folds must be at most the clusters, {n_clusters}; got {n_folds}")
    member = (rng.permutation(n_clusters) % n_folds)[codes]
    landmarks = z[rng.permutation(len(z))[:N_LANDMARKS]]
    distances = cdist(z, landmarks, "sqeuclidean")
    between = cdist(landmarks, landmarks, "sqeuclidean")
    median = np.median(between[between > 0]) if (between > 0).any() else 1.0
    features = [_features(z, distances, between, median * b**2) for b in BANDWIDTHS]
    return CrossFit(
        n=len(z),
        folds=tuple(
            tuple(_factor(phi, member, fold) for fold in range(n_folds)) for phi in features
        ),
    )


def _features(z: Floats, distances: Floats, between: Floats, scale: float) -> Floats:
    """(n, m) whose inner products are the kernel's, as far as the landmarks span it."""
    values, vectors = eigh(np.exp(-between / (2 * scale)))
    kept = values > 1e-6 * values[-1]
    nystrom = np.exp(-distances / (2 * scale)) @ (vectors[:, kept] / np.sqrt(values[kept]))
    return np.hstack([nystrom, z / np.sqrt(z.shape[1])])


def _factor(features: Floats, member: Integers, fold: int) -> Fold:
    train, test = np.flatnonzero(member != fold), np.flatnonzero(member == fold)
    mean = features[train].mean(0)
    centered = features[train] - mean
    values, vectors = eigh(centered.T @ centered)
    return Fold(
        train, test, values.clip(0), (features[test] - mean) @ vectors, (centered @ vectors).T
    )


def _predict_fold(fold: Fold, targets: Floats, out: Floats) -> None:
    mean = targets[fold.train].mean(0)
    scores = fold.right @ (targets[fold.train] - mean)  # (m, k)
    for row, penalty in zip(out, PENALTIES, strict=True):
        shrunk = scores / (fold.eigenvalues + penalty * len(fold.train))[:, None]
        row[fold.test] = mean + fold.left @ shrunk
