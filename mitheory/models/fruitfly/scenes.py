"""Scenes: three to six real handwritten digits, colored, on a real photograph, 48 x 48 pixels.

Digits come from scikit-learn's ``load_digits`` (8 x 8 scans; UCI optical digits), backgrounds from
`photographs`. Digit images and photograph strips of the three splits are disjoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .photographs import SPLITS, check_split, crops
from .vocabulary import BACKGROUNDS

PATCH = 4
GRID = 12
SIDE = PATCH * GRID  # 48 pixels
N_PATCHES = GRID * GRID
DIGIT_SIDE = 8
PALETTE = np.array(
    [
        (1.0, 0.15, 0.1),
        (0.1, 0.9, 0.15),
        (0.15, 0.3, 1.0),
        (1.0, 0.95, 0.1),
        (0.9, 0.15, 0.95),
        (0.1, 0.95, 0.95),
        (1.0, 1.0, 1.0),
    ]
)
POPULAR_DIGITS = (1, 2, 3)  # drawn twice as often; the "popular" negatives of existence questions
BACKGROUND_LABEL, IGNORE_LABEL = -1, -2
_DIGIT_WEIGHTS = np.where(np.isin(np.arange(10), POPULAR_DIGITS), 2.0, 1.0)
_DIGIT_WEIGHTS /= _DIGIT_WEIGHTS.sum()
_SPLIT_SIZES = {"train": 1197, "validation": 300, "test": 300}
_STEPS = ((9, 0), (-9, 0), (0, 9), (0, -9))


@dataclass(frozen=True)
class Thing:
    """One colored digit; (x, y) is its top-left pixel."""

    digit: int
    color: int
    x: int
    y: int

    def patches(self) -> list[int]:
        """Raster indices of the patches its 8 x 8 box touches."""
        rows = range(self.y // PATCH, (self.y + DIGIT_SIDE - 1) // PATCH + 1)
        columns = range(self.x // PATCH, (self.x + DIGIT_SIDE - 1) // PATCH + 1)
        return [row * GRID + column for row in rows for column in columns]

    def center(self) -> int:
        """Raster index of the patch that holds its center."""
        half = DIGIT_SIDE // 2
        return (self.y + half) // PATCH * GRID + (self.x + half) // PATCH


@dataclass(frozen=True)
class Scene:
    """A rendered scene and what is true of it.

    image : (48, 48, 3) float32 in [0, 1]; patch_digit, patch_color : (144,) int64, the thing with
    most ink in the patch, -1 background, -2 too little ink to tell.
    """

    image: NDArray[np.float32]
    things: tuple[Thing, ...]
    background: int
    patch_digit: NDArray[np.int64]
    patch_color: NDArray[np.int64]


@cache
def digit_images(split: str, variants: int = 0) -> tuple[NDArray[np.float32], ...]:
    """Digit scans of one split, ink in [0, 1]: a tuple over classes of (n, 8, 8) arrays.

    `variants` adds that many slightly rotated, scaled and shifted copies of each scan (training).
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(123).permutation(len(data.images))
    bounds = np.cumsum([0, *_SPLIT_SIZES.values()])
    which = SPLITS.index(check_split(split))
    chosen = order[bounds[which] : bounds[which + 1]]
    images = (data.images[chosen] / 16.0).astype(np.float32)
    targets = data.target[chosen]
    rng = np.random.default_rng([which, variants])
    if variants:
        copies = [_jitter(image, rng) for image in images for _ in range(variants)]
        images = np.concatenate([images, np.stack(copies)])
        targets = np.concatenate([targets, np.repeat(targets, variants)])
    return tuple(images[targets == k] for k in range(10))


def _jitter(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A scan rotated up to 12 degrees, scaled up to 10% and shifted up to half a pixel."""
    from scipy.ndimage import affine_transform

    angle, scale = rng.uniform(-0.21, 0.21), rng.uniform(0.9, 1.1)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    center = np.full(2, (DIGIT_SIDE - 1) / 2)
    offset = center - matrix @ center + rng.uniform(-0.5, 0.5, 2)
    return np.clip(affine_transform(image, matrix, offset, order=1), 0, 1).astype(np.float32)


def sample_things(
    rng: np.random.Generator, *, duplicates: float = 0.25, beside: float = 0.35
) -> tuple[Thing, ...]:
    """Three to six things that do not overlap; each repeats an earlier digit or color with
    probability `duplicates` (without repeats every question would be trivial), and is tried right
    beside an earlier thing with probability `beside` (without neighbors there are no relations)."""
    things: list[Thing] = []
    for k in range(int(rng.integers(3, 7))):
        digit, color = int(rng.choice(10, p=_DIGIT_WEIGHTS)), int(rng.integers(7))
        if k and rng.random() < duplicates:
            digit = things[rng.integers(k)].digit
        elif k and rng.random() < duplicates:
            color = things[rng.integers(k)].color
        place = _place(things, rng, beside)
        if place is not None:
            things.append(Thing(digit, color, *place))
    return tuple(things)


def _place(things: list[Thing], rng: np.random.Generator, beside: float) -> tuple[int, int] | None:
    """A free top-left pixel; None if 40 tries found none."""
    for _ in range(40):
        if things and rng.random() < beside:
            near = things[rng.integers(len(things))]
            dx, dy = _STEPS[rng.integers(4)]
            extra, slide = int(rng.integers(0, 3)), int(rng.integers(-1, 2))
            x = near.x + dx + (int(np.sign(dx)) * extra if dx else slide)
            y = near.y + dy + (int(np.sign(dy)) * extra if dy else slide)
        else:
            x, y = (int(v) for v in rng.integers(0, SIDE - DIGIT_SIDE + 1, 2))
        inside = min(x, y) >= 0 and max(x, y) <= SIDE - DIGIT_SIDE
        if inside and all(abs(x - t.x) >= DIGIT_SIDE or abs(y - t.y) >= DIGIT_SIDE for t in things):
            return x, y
    return None


def sample_scene(
    split: str,
    rng: np.random.Generator,
    *,
    duplicates: float = 0.25,
    variants: int = 0,
) -> Scene:
    """Draw and render one scene from the digits and photographs of `split`.

    Raises
    ------
    ParameterError
        If `split` is not train, validation or test.

    Examples
    --------
    >>> scene = sample_scene("test", np.random.default_rng(0))
    >>> scene.image.shape, len(scene.things)
    ((48, 48, 3), 6)
    """
    things = sample_things(rng, duplicates=duplicates)
    background = int(rng.integers(len(BACKGROUNDS)))
    digits = digit_images(split, variants)
    scans = [digits[t.digit][rng.integers(len(digits[t.digit]))] for t in things]
    image = _canvas(split, background, rng)
    for thing, scan in zip(things, scans, strict=True):
        _paint(image, thing, scan, rng)
    return Scene(image, things, background, *patch_labels(things, scans))


def _canvas(split: str, background: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A dimmed, half-desaturated crop, mirrored half of the time."""
    bank = crops(split, SIDE)[background]
    image = bank[rng.integers(len(bank))].astype(np.float32) / 255
    image = (0.5 * image.mean(2, keepdims=True) + 0.5 * image) * np.float32(rng.uniform(0.35, 0.6))
    return image[:, ::-1].copy() if rng.random() < 0.5 else image


def _paint(
    image: NDArray[np.float32], thing: Thing, scan: NDArray[np.float32], rng: np.random.Generator
) -> None:
    """Blend the scan into `image` in place, its ink as opacity, with a little color noise."""
    color = np.clip(PALETTE[thing.color] + rng.normal(0, 0.06, 3), 0, 1) * rng.uniform(0.8, 1.0)
    ink = scan[..., None]
    box = image[thing.y : thing.y + DIGIT_SIDE, thing.x : thing.x + DIGIT_SIDE]
    box[:] = box * (1 - ink) * np.where(ink > 0, 0.7, 1.0) + ink * color


def patch_labels(
    things: tuple[Thing, ...], scans: list[NDArray[np.float32]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per patch the digit and color with most ink; -1 background, -2 fewer than 3 inked pixels."""
    ink = np.zeros((len(things), SIDE, SIDE))
    for layer, thing, scan in zip(ink, things, scans, strict=True):
        layer[thing.y : thing.y + DIGIT_SIDE, thing.x : thing.x + DIGIT_SIDE] = scan > 0.25
    counts = ink.reshape(-1, GRID, PATCH, GRID, PATCH).sum((2, 4)).reshape(len(things), N_PATCHES)
    owner, most = counts.argmax(0), counts.max(0)
    touched = np.zeros(N_PATCHES, dtype=bool)
    for thing in things:
        touched[thing.patches()] = True
    blank = np.where(touched, IGNORE_LABEL, BACKGROUND_LABEL)
    digit = np.array([t.digit for t in things])[owner]
    color = np.array([t.color for t in things])[owner]
    return np.where(most >= 3, digit, blank), np.where(most >= 3, color, blank)
