"""Questions before their images are read: what is to be encoded, in an order that suits it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.datasets.base import Record, example
from analysis.datasets.media import FRAMES, Media, Pixels, read_frames, read_image
from mitheory.errors import ImageError
from mitheory.models.base import Example

from .failures import Failure, FailureLog
from .ranks import Worker


@dataclass(frozen=True)
class Item:
    """A question whose image is read when `load` is called; ImageError if that cannot be."""

    sample_id: str
    image_id: str
    load: Callable[[], Example]
    origin: str = ""


def of_examples(examples: Iterable[Example | Item]) -> Iterator[Item]:
    """Items of examples that are made already; those among them that are items stay."""
    for one in examples:
        yield one if isinstance(one, Item) else _made(one)


def _made(one: Example) -> Item:
    return Item(one.sample_id, one.image_id, lambda: one)


def of_records(records: Sequence[Record], form: str, *, is_video: bool = False) -> list[Item]:
    """Items of a benchmark's records, the questions about one image one after the other.

    Benchmarks ask about an image at several places of their files (POPE at three); together, its
    encoder runs once and its file is read once. Images come in the order of their first question.

    Parameters
    ----------
    records : of a benchmark
    form : of its questions, "open" or "closed"; in the metadata of every example
    is_video : whether the media are videos: the image of an example is then their frames, one
        below the other, and "frames" in its metadata says how many
    """
    by_image: dict[str, list[Record]] = {}
    for record in records:
        by_image.setdefault(record.image_id, []).append(record)
    read = _LastImage(is_video=is_video)
    return [_item(record, form, read) for members in by_image.values() for record in members]


def _item(record: Record, form: str, read: _LastImage) -> Item:
    def load() -> Example:
        made = example(record, read(record.media[0]))
        own = {"form": form, "origin": record.origin, **read.said}
        return replace(made, metadata={**made.metadata, **own})

    return Item(record.sample_id, record.image_id, load, record.origin)


class _LastImage:
    """Reads images, or frames of videos, and has the last one at hand."""

    def __init__(self, *, is_video: bool) -> None:
        self.said = {"frames": FRAMES} if is_video else {}
        self._is_video = is_video
        self._last: tuple[Media, Pixels] | None = None

    def __call__(self, media: Media) -> Pixels:
        if self._last is None or self._last[0] != media:
            self._last = None
            self._last = media, self._read(media)
        return self._last[1]

    def _read(self, media: Media) -> Pixels:
        if not (self._is_video and isinstance(media, Path)):
            return read_image(media)
        frames = read_frames(media)
        sizes = {frame.shape for frame in frames}
        if len(sizes) != 1:
            raise ImageError(f"{media}: expected frames of one size, got {sorted(sizes)}")
        return np.concatenate(frames)


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Runs of about `size` items that never split the questions about one image."""
    run: list[Item] = []
    for item in items:
        if len(run) >= size and item.image_id != run[-1].image_id:
            yield run
            run = []
        run.append(item)
    if run:
        yield run


def loaded(items: Iterable[Item], log: FailureLog) -> list[Example]:
    """The examples of those items whose image can be read; the others are rows of the log."""
    found = []
    for item in items:
        try:
            found.append(item.load())
        except ImageError as error:
            name = type(error).__name__
            log.add(Failure(item.sample_id, item.image_id, "image", name, str(error), item.origin))
    return found


def share(items: Iterable[Item], worker: Worker) -> Iterator[Item]:
    """The items of one worker: whole images, dealt out in turns.

    Examples
    --------
    >>> items = [Item(f"{image}{n}", image, lambda: None) for image in "abc" for n in (1, 2)]
    >>> [item.sample_id for item in share(items, Worker(rank=0, world=2))]
    ['a1', 'a2', 'c1', 'c2']
    """
    places: dict[str, int] = {}
    for item in items:
        place = places.setdefault(item.image_id, len(places))
        if place % worker.world == worker.rank:
            yield item
