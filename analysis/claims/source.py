"""Where a claim's samples come from: a bundle on disk, or samples in memory, image by image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

from mitheory.bundle import Bundle, Sample
from mitheory.bundle.fields import FIELDS
from mitheory.bundle.records import INDEX
from mitheory.errors import DTypeError, EmptyInputError, ParameterError, ShapeError

SAMPLES_PER_CHUNK = 64


@dataclass(frozen=True)
class Facts:
    """What is known of the input before a tensor is read.

    `fields`: optional fields of `Sample` that every sample has ("grid" and "answer" among them).
    """

    n_samples: int
    n_images: int
    d: int
    fields: frozenset[str]
    model: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Source:
    """Samples by image, in an order that depends on the image ids alone.

    A claim that needs fewer images takes the first: their order is that of a hash of the id, so
    neither the order on disk nor the number of workers matters.
    """

    bundle: Bundle | None
    samples: tuple[Sample, ...] = ()

    @classmethod
    def of(cls, data: Bundle | Sequence[Sample]) -> Source:
        """Wrap a bundle or samples.

        Raises
        ------
        EmptyInputError
            If there is no sample.
        ShapeError
            If samples differ in dimension.
        ParameterError
            If two samples have one id.
        DTypeError
            If it is neither.
        """
        if isinstance(data, Bundle):
            source = cls(data)
        elif isinstance(data, Sequence) and all(isinstance(s, Sample) for s in data):
            source = cls(None, tuple(data))
            if len({s.sample_id for s in data}) < len(data):
                raise ParameterError("expected distinct sample ids, got one twice")
        else:
            raise DTypeError(
                f"expected a Bundle or a sequence of Sample, got {type(data).__name__}"
            )
        if not source.by_image:
            raise EmptyInputError("expected at least one sample, got none")
        source.facts  # noqa: B018  # mixed dimensions are found now
        return source

    @cached_property
    def by_image(self) -> dict[str, tuple[str, ...]]:
        """Sample ids of every image, both in order of a hash."""
        if self.bundle is not None:
            pairs = [
                (e.image_id, name)
                for name, e in zip(self.bundle.sample_ids, self.bundle.entries, strict=True)
            ]
        else:
            pairs = [(s.image_id, s.sample_id) for s in self.samples]
        groups: dict[str, list[str]] = {}
        for image, sample in sorted(pairs, key=lambda pair: (_rank(pair[0]), _rank(pair[1]))):
            groups.setdefault(image, []).append(sample)
        return {image: tuple(ids) for image, ids in groups.items()}

    @cached_property
    def facts(self) -> Facts:
        """Counts, dimension and the fields that every sample has."""
        if self.bundle is not None:
            images = self.bundle.index.images
            present = [
                ({*images[e.image_id].tensors, *e.tensors}, images[e.image_id].grid, e.answer)
                for e in self.bundle.entries
            ]
            widths = {
                tuple(images[e.image_id].tensors["visual"].shape)[-1] for e in self.bundle.entries
            }
            origin = self.bundle.provenance
            model, revision = origin.model, origin.revision
        else:
            present = [(set(s.tensors()), s.grid, s.answer) for s in self.samples]
            widths = {s.visual.shape[-1] for s in self.samples}
            model = revision = None
        if len(widths) > 1:
            raise ShapeError(f"samples must have one dimension d; got {sorted(widths)}")
        fields = set(FIELDS)
        for tensors, _, _ in present:
            fields &= tensors
        if all(grid is not None for _, grid, _ in present):
            fields.add("grid")
        if all(answer for _, _, answer in present):
            fields.add("answer")
        return Facts(
            len(present), len(self.by_image), widths.pop(), frozenset(fields), model, revision
        )

    def images(self, limit: int | None = None) -> tuple[str, ...]:
        """Image ids, at most `limit` of them."""
        return tuple(self.by_image)[:limit]

    def chunks(self, limit: int | None = None) -> list[tuple[str, ...]]:
        """Runs of whole images with some 64 samples, the unit of work and of resumption."""
        chunks: list[list[str]] = []
        room = 0
        for image in self.images(limit):
            if room <= 0:
                chunks.append([])
                room = SAMPLES_PER_CHUNK
            chunks[-1].append(image)
            room -= len(self.by_image[image])
        return [tuple(chunk) for chunk in chunks]

    def load(self, images: Sequence[str]) -> list[Sample]:
        """All samples of these images."""
        wanted = [name for image in images for name in self.by_image[image]]
        if self.bundle is not None:
            return [self.bundle.sample(name) for name in wanted]
        return [self._in_memory[name] for name in wanted]

    @cached_property
    def _in_memory(self) -> dict[str, Sample]:
        return {s.sample_id: s for s in self.samples}

    def iterate(self, limit: int | None = None) -> Iterator[Sample]:
        """Samples of the first `limit` images, one chunk in memory at a time."""
        for chunk in self.chunks(limit):
            yield from self.load(chunk)

    @property
    def fingerprint(self) -> str:
        """Of the content: a bundle's index holds the checksum of every tensor."""
        digest = hashlib.sha256()
        if self.bundle is not None:
            file = self.bundle.path
            digest.update((file / INDEX if file.is_dir() else file).read_bytes())
        for sample in sorted(self.samples, key=lambda s: s.sample_id):
            digest.update(sample.sample_id.encode())
            for name, tensor in sample.tensors().items():
                digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def _rank(name: str) -> tuple[int, str]:
    return crc32(name.encode()), name
