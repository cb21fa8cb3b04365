"""The kept patches of a question over its picture, beside the picture as it is."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mitheory.bundle import Sample
from mitheory.errors import MissingInputError, ShapeError
from mitheory.plot.labels import percent, series_label
from mitheory.plot.patches import contact, kept_patches
from mitheory.plot.style import PAGE, new_figure
from mitheory.plot.views import View, views_of

from .asking import Asked

LINE = 52  # characters of a text to a line
ROOM = 0.9  # inches above the pictures, for words
MOST_NUMBERED = 64  # kept patches that can bear the number of their choice


def drawn(asked: Asked) -> Figure:
    """The picture with the answer from all tokens, and the kept patches with the answer from them.

    Dynamic grids, an image seen whole and in tiles, and the frames of a video all come out with
    every view beside the others.

    Raises
    ------
    MissingInputError
        If the sample holds no image, or does not say where its tokens stand.
    """
    sample = asked.sample
    if sample.image is None:
        raise MissingInputError(f"picture: sample {sample.sample_id!r} holds no image")
    pixels = pictures_of(sample)
    views = tuple(replace(view, box=asked.box) for view in views_of_sample(sample))
    figure = new_figure(PAGE, 4.0)
    left, right = figure.subplots(1, 2)
    whole = pixels if pixels.ndim == 4 else pixels[None]
    frames = sorted({view.frame for view in views}) if pixels.ndim == 4 else [0]
    labels = {view.frame: view.label for view in views} if len(frames) > 1 else {}
    shown = [View(np.zeros((1, 1), int), frame=i, label=labels.get(i, "")) for i in frames]
    contact(left, shown, [whole[i] for i in frames])
    kept = asked.selection
    kept_patches(pixels, kept, views=views, order=kept.n_kept <= MOST_NUMBERED, ax=right)
    left.set_title(_wrapped(f"all {sample.n_v} tokens: {asked.full.text}"))
    right.set_title(
        _wrapped(
            f"{series_label(kept.method)}, {kept.n_kept} tokens ({percent(asked.ratio)}%): "
            f"{asked.pruned.text}"
        )
    )
    spans = [(ax.get_xlim(), ax.get_ylim()) for ax in (left, right)]
    tallest = max(abs(y[1] - y[0]) / abs(x[1] - x[0]) for x, y in spans)
    figure.set_size_inches(PAGE, PAGE / 2 * tallest + ROOM)
    figure.suptitle(_wrapped(sample.question, 2 * LINE), fontsize=9)
    return figure


def _wrapped(text: str, width: int = LINE) -> str:
    shown = textwrap.shorten(text.replace("$", r"\$"), 6 * width, placeholder=" …")
    return textwrap.fill(shown, width)


def pictures_of(sample: Sample) -> NDArray[np.uint8]:
    """The image (height, width, 3), or the frames (frames, height, width, 3) of a video, which
    the sample holds below one another.

    Raises
    ------
    MissingInputError
        If it holds no image.
    ShapeError
        If the height is no multiple of the number of frames.
    """
    if sample.image is None:
        raise MissingInputError(f"picture: sample {sample.sample_id!r} holds no image")
    image = sample.image.cpu().numpy()
    frames = int(sample.metadata.get("frames", 0))
    if not frames:
        return image
    height, width = image.shape[:2]
    if height % frames:
        raise ShapeError(f"image: expected {frames} frames below one another, got height {height}")
    return image.reshape(frames, height // frames, width, 3)


def views_of_sample(sample: Sample) -> tuple[View, ...]:
    """Where the visual tokens of a sample stand on its picture.

    A grid says it. Where there is none, ``metadata["views"]`` does: one mapping per view, in the
    order of the tokens, with ``rows``, ``cols``, ``frames`` and ``tokens``; a view with one more
    token a row holds the ends of lines, one with one more a frame class tokens in front.

    Raises
    ------
    MissingInputError
        If neither is there.
    ShapeError
        If the views hold another number of tokens than the sample.
    """
    total = int(sample.metadata.get("frames", 1)) or 1
    if sample.grid is not None:
        views = views_of(sample.grid)
        return _spread(views, total)
    described = sample.metadata.get("views")
    if not described:
        raise MissingInputError(
            f"picture: sample {sample.sample_id!r} has no grid, and no views in its metadata"
        )
    found: list[View] = []
    start = 0
    for i, view in enumerate(described):
        several = len(described) > 1
        frames = _cells(view, start)
        for j, tokens in enumerate(frames):
            said = [f"view {i + 1}"] * several + [f"frame {j + 1}"] * (len(frames) > 1)
            found.append(View(tokens, frame=j, label=", ".join(said)))
        start += int(view["tokens"])
    if start != sample.n_v:
        raise ShapeError(f"views: expected {sample.n_v} tokens in all, got {start}")
    return _spread(tuple(found), total)


def _cells(view: Mapping[str, Any], start: int) -> NDArray[np.int64]:
    """Token indices (frames, rows, cols) of a view whose first token is `start`."""
    rows, cols, frames, n = (int(view[key]) for key in ("rows", "cols", "frames", "tokens"))
    tokens = start + np.arange(n)
    if n == frames * rows * cols:
        return tokens.reshape(frames, rows, cols)
    if rows == 1 and n == frames * (cols + 1):
        raise ShapeError(
            "views: expected two rows or more, to tell ends of lines from class tokens"
        )
    if n == frames * rows * (cols + 1):
        return tokens.reshape(frames, rows, cols + 1)[..., :-1]
    if n == frames * (rows * cols + 1):
        return tokens.reshape(frames, rows * cols + 1)[:, 1:].reshape(frames, rows, cols)
    raise ShapeError(f"views: expected {frames} × {rows} × {cols} tokens or ends of lines, got {n}")


def _spread(views: tuple[View, ...], total: int) -> tuple[View, ...]:
    """The views over the frames of the video: the first of each run that shares its tokens."""
    there = 1 + max(view.frame for view in views)
    if total % there:
        raise ShapeError(f"frames: expected a multiple of the grid's {there}, got {total}")
    run = total // there
    if run == 1:
        return views
    return tuple(View(v.tokens, v.box, v.frame * run, f"frame {v.frame * run + 1}") for v in views)
