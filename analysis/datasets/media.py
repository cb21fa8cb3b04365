"""Images and frames of videos as arrays; what cannot be read is an error of one record."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mitheory.checks import check_count
from mitheory.errors import ImageError, MissingDependencyError

if TYPE_CHECKING:
    from .base import Record

Pixels = NDArray[np.uint8]

FRAMES = 8  # of a video, as Video-LLaVA takes them
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".gif")


@dataclass(frozen=True)
class Stored:
    """An image inside a row of a `datasets.Dataset`, read when it is asked for."""

    table: Any
    index: int
    column: str
    name: str

    def content(self) -> bytes | Path:
        """The encoded image, or its file.

        Raises
        ------
        ImageError
            If the row has none.
        """
        value = self.table[self.index][self.column]
        if value and value.get("bytes"):
            return bytes(value["bytes"])
        if value and value.get("path"):
            return Path(value["path"])
        raise ImageError(f"{self.name}: has no image")


Media = Path | Stored


def read_image(source: Media) -> Pixels:
    """An image as red, green and blue, as LLaVA and lmms-eval open it: not turned by its EXIF tag.

    Parameters
    ----------
    source : a file, or an image inside a row

    Returns
    -------
    (H, W, 3) uint8

    Raises
    ------
    ImageError
        If it is not there, or is no image, or only a part of one.
    """
    from PIL import Image

    content = source.content() if isinstance(source, Stored) else source
    name = source.name if isinstance(source, Stored) else str(source)
    try:
        with (
            warnings.catch_warnings(),
            Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image,
        ):
            warnings.simplefilter("ignore")  # odd palettes and tags that do not change the pixels
            return np.array(image.convert("RGB"), dtype=np.uint8)  # one of its own, to write into
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"{name}: cannot be read as an image: {error}") from error


def frame_places(total: int, n: int = FRAMES) -> list[int]:
    """Which of `total` frames are taken: `n` evenly from the first to the last, rounded down.

    Examples
    --------
    >>> frame_places(15), frame_places(3)
    ([0, 2, 4, 6, 8, 10, 12, 14], [0, 0, 0, 0, 1, 1, 1, 2])
    """
    check_count("frames", total, least=1)
    return [int(i) for i in np.linspace(0, total - 1, n, dtype=int)]


def read_frames(source: Path, n: int = FRAMES) -> list[Pixels]:
    """Frames of a video: of a folder of images in the order of their names, a GIF, or a video file.

    Parameters
    ----------
    source : folder or file; video files need PyAV (``pip install 'mitheory[video]'``)
    n : number of frames; a shorter video repeats some

    Returns
    -------
    n arrays (H, W, 3) uint8

    Raises
    ------
    ImageError
        If it is not there, has no frame, or one cannot be read.
    MissingDependencyError
        If it is a video file and PyAV is not installed.
    """
    if source.is_dir():
        files = sorted(p for p in source.iterdir() if p.suffix.lower() in IMAGES)
        if not files:
            raise ImageError(f"{source}: has no frame; frames end in {', '.join(IMAGES)}")
        return [read_image(files[i]) for i in frame_places(len(files), n)]
    return _animation(source, n) if source.suffix.lower() == ".gif" else _video(source, n)


def _animation(path: Path, n: int) -> list[Pixels]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            frames = []
            for place in frame_places(getattr(image, "n_frames", 1), n):
                image.seek(place)
                frames.append(np.asarray(image.convert("RGB"), dtype=np.uint8))
            return frames
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageError(f"{path}: cannot be read as a video: {error}") from error


def _video(path: Path, n: int) -> list[Pixels]:
    try:
        import av
    except ImportError as error:
        raise MissingDependencyError(
            f"{path.name}: video files need PyAV: pip install 'mitheory[video]'"
        ) from error
    try:
        with av.open(str(path)) as container:
            total = sum(1 for _ in container.decode(video=0))
        if not total:
            raise ImageError(f"{path}: has no frame")
        places = frame_places(total, n)
        with av.open(str(path)) as container:
            kept = {
                i: frame.to_ndarray(format="rgb24")
                for i, frame in enumerate(container.decode(video=0))
                if i in places
            }
        return [kept[i] for i in places]
    except (OSError, ValueError, IndexError, av.FFmpegError) as error:
        raise ImageError(f"{path}: cannot be read as a video: {error}") from error


def opened(
    records: Iterable[Record], *, is_video: bool = False, n: int = FRAMES
) -> Iterator[tuple[Record, list[Pixels] | ImageError]]:
    """Each record with its image or frames, or with the error of reading them; one at a time.

    Parameters
    ----------
    records : of a benchmark
    is_video : whether their media are videos
    n : frames of a video
    """
    for record in records:
        try:
            found = [f for m in record.media for f in _arrays(m, is_video, n)]
        except ImageError as error:
            yield record, error
        else:
            yield record, found


def _arrays(media: Media, is_video: bool, n: int) -> list[Pixels]:
    return read_frames(media, n) if is_video and isinstance(media, Path) else [read_image(media)]
