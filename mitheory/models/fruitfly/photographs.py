"""Backgrounds: crops of ten real photographs that ship inside scikit-learn and scikit-image.

Every photograph is cut into three vertical strips, one per split, so that no background pixel of
the test split was ever seen in training or validation.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...errors import ParameterError
from .vocabulary import BACKGROUNDS

STRIPS = {"train": (0.0, 0.58), "validation": (0.58, 0.78), "test": (0.78, 1.0)}
SPLITS = tuple(STRIPS)
_CROPS = {"train": 200, "validation": 60, "test": 60}  # crops kept per photograph


def check_split(split: str) -> str:
    """`split` itself, or ParameterError listing the three."""
    if split not in STRIPS:
        raise ParameterError(f"split: expected one of {list(STRIPS)}, got {split!r}")
    return split


def _photographs() -> dict[str, NDArray[np.uint8]]:
    """The ten source photographs, RGB uint8, in the order of BACKGROUNDS."""
    import skimage.data as photographs
    from sklearn.datasets import load_sample_image

    sources = {
        "brick": photographs.brick,
        "grass": photographs.grass,
        "gravel": photographs.gravel,
        "coffee": photographs.coffee,
        "cat": photographs.cat,
        "coins": photographs.coins,
        "stars": photographs.hubble_deep_field,
        "temple": lambda: load_sample_image("china.jpg"),
        "flower": lambda: load_sample_image("flower.jpg"),
        "rocket": photographs.rocket,
    }
    images = {name: np.asarray(sources[name]()) for name in BACKGROUNDS}
    return {k: np.repeat(v[..., None], 3, 2) if v.ndim == 2 else v for k, v in images.items()}


def area_resize(image: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Square `image` (s, s, c) averaged down to (side, side, c), weighted by overlap area."""
    edges = np.linspace(0, image.shape[0], side + 1)
    starts = np.arange(image.shape[0])
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    weight = np.clip(overlap, 0, None)
    weight /= weight.sum(1, keepdims=True)  # (side, s)
    result: NDArray[np.float64] = np.einsum("ai,bj,ijc->abc", weight, weight, image, optimize=True)
    return result


@cache
def crops(split: str, side: int) -> NDArray[np.uint8]:
    """Background crops of one split: (10, n, side, side, 3) uint8, deterministic."""
    low, high = STRIPS[check_split(split)]
    rng = np.random.default_rng([SPLITS.index(split), side])
    out = []
    for image in _photographs().values():
        width = image.shape[1]
        strip = image[:, int(low * width) : int(high * width)]
        out.append([_crop(strip, side, rng) for _ in range(_CROPS[split])])
    return np.asarray(out, dtype=np.uint8)


def _crop(strip: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One random square of the strip (about 1.5 to 2.3 times `side` wide), resized to `side`."""
    largest = min(strip.shape[:2])
    size = int(rng.integers(min(int(1.5 * side), largest), min(int(2.3 * side), largest) + 1))
    y = int(rng.integers(strip.shape[0] - size + 1))
    x = int(rng.integers(strip.shape[1] - size + 1))
    crop = strip[y : y + size, x : x + size].astype(np.float64)
    return np.clip(np.rint(area_resize(crop, side)), 0, 255).astype(np.uint8)
