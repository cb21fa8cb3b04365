"""Ground truth on real embeddings: fruit-fly patches paired by the digit they show.

A thing's center patch carries the label of its digit. Scenes of x and y are disjoint; scans of a
digit may recur on both sides, which changes nothing: pairs are drawn through the labels alone.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from mitheory.ground_truth import GroundTruth, correlated_labels, label_pairs
from mitheory.models.fruitfly import FruitFlyAdapter, examples

QUESTIONS = 8192  # about 1,080 scenes: no row comes twice among 1,000 pairs
DIGITS = 10
NAME = "fruitfly_digits"


@lru_cache(maxsize=1)
def digit_patches() -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows (m, 96), their digits (m,) and their scenes (m,), from the test split."""
    first = {e.image_id: e for e in examples("test", limit=QUESTIONS)}  # one question a scene
    rows, digits, scenes = [], [], []
    for scene, sample in enumerate(FruitFlyAdapter().encode(list(first.values()))):
        for digit, _, x, y in sample.metadata["things"]:
            rows.append(sample.visual[(y + 4) // 4 * 12 + (x + 4) // 4])
            digits.append(digit)
            scenes.append(scene)
    stacked = torch.stack(rows).double().numpy()
    return stacked, np.array(digits, dtype=np.int64), np.array(scenes, dtype=np.int64)


def fruitfly_digits(total: float) -> GroundTruth:
    """Pairs of real patches whose digits share `total` nats, at most log 10."""
    rows, digits, scenes = digit_patches()
    even = scenes % 2 == 0
    joint = correlated_labels(DIGITS, total)
    return label_pairs(NAME, rows[even], digits[even], rows[~even], digits[~even], joint)
