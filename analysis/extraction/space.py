"""How much a bundle will need on disk, and whether it is there, before the work."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mitheory.bundle import Sample
from mitheory.bundle.fields import FIELDS, FLOATS
from mitheory.errors import SpaceError

MARGIN = 1.1  # images of other sizes and longer questions than those looked at


@dataclass(frozen=True)
class Sizes:
    """Bytes on disk: of what all questions about an image share, and of a question's own.

    Examples
    --------
    >>> Sizes(image=4_718_592, question=100_000).total(images=400, questions=12_578)
    3145236800
    """

    image: float
    question: float

    def total(self, *, images: int, questions: int) -> int:
        """Bytes of a whole bundle, without a margin."""
        return round(images * self.image + questions * self.question)


def sizes_of(samples: Sequence[Sample], dtype: str) -> Sizes:
    """Mean sizes of some samples as a bundle of that dtype holds them.

    Parameters
    ----------
    samples : at least one
    dtype : of floating-point tensors on disk
    """
    images: dict[str, int] = {}
    questions = 0
    for sample in samples:
        bytes_of = {
            name: tensor.numel()
            * (FLOATS[dtype].itemsize if FIELDS[name].kind == "float" else tensor.element_size())
            for name, tensor in sample.tensors().items()
        }
        images[sample.image_id] = sum(n for k, n in bytes_of.items() if FIELDS[k].per_image)
        questions += sum(n for k, n in bytes_of.items() if not FIELDS[k].per_image)
    return Sizes(sum(images.values()) / len(images), questions / len(samples))


def check_space(out: Path, needed: int, *, copies: int = 1) -> int:
    """Bytes that are free where `out` shall stand, if they suffice.

    Parameters
    ----------
    out : of a bundle; its nearest folder that is there tells the disk
    needed : bytes still to be written
    copies : how often they are on disk at one time; 2 where parts are joined

    Raises
    ------
    SpaceError
        If `copies` times `needed`, and a tenth more, are not free.
    """
    folder = next(p for p in out.resolve().parents if p.exists())
    free = shutil.disk_usage(folder).free
    wanted = round(MARGIN * copies * needed)
    if wanted > free:
        raise SpaceError(
            f"{out}: expected {readable(wanted)} free for the bundle, got {readable(free)}; "
            "fewer questions, a shorter dtype or no encoder attention need less"
        )
    return free


def readable(size: int) -> str:
    """Bytes in the unit of storage that suits them.

    Examples
    --------
    >>> readable(512), readable(3_145_236_800)
    ('512 B', '3.1 GB')
    """
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
