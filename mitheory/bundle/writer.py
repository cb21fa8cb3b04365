"""BundleWriter: write a bundle step by step; it exists when it is finished, not before."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from ..errors import DTypeError, EmptyInputError, ParameterError
from ..provenance import Provenance
from .encoding import as_stored, describe
from .fields import FIELDS, FLOATS, bind_shapes
from .placing import check_place, place
from .records import ImageEntry, Index, SampleEntry, ShardEntry, TensorEntry
from .sample import Sample, check_grid, check_metadata, check_text, check_words
from .staging import Staging, step_count


class BundleWriter:
    """Writes a bundle: a folder, or one file if `path` ends in ``.safetensors``.

    Used as a context manager. The bundle appears at `path` when the block ends well, whole and on
    disk; until then, and if the process dies, nothing there reads as a bundle. Samples are written
    out in shards as they come, so memory holds `shard_size` bytes at most (and one sample). A
    one-file bundle is packed from such shards at the end.

    Parameters
    ----------
    path : where the bundle shall stand
    provenance : Provenance
    dtype : {"float16", "bfloat16", "float32"}
        Of floating-point tensors on disk. A value that overflows it is an error.
    shard_size : int
        Bytes of tensors after which a shard is written.
    resume : bool
        Go on after the last whole step of an unfinished bundle at this path, which must be of the
        same provenance (the date aside) and dtype; `has_sample` tells what is there already.
        Without it, an unfinished bundle is started anew.
    overwrite : bool
        Replace a bundle that stands there. What is no bundle is never replaced.

    Raises
    ------
    ParameterError, DTypeError
        If `dtype` or `shard_size` is not as said.
    BundleError
        On entering, if something else stands at `path`, another writer is at work there, or the
        unfinished bundle to resume is of another job.

    Examples
    --------
    >>> import tempfile
    >>> from mitheory.bundle import Bundle
    >>> from mitheory.provenance import collect
    >>> path = Path(tempfile.mkdtemp()) / "bundle"
    >>> with BundleWriter(path, collect("example")) as writer:
    ...     writer.add_image("7", visual=torch.eye(4), grid=(2, 2))
    ...     writer.add_sample(
    ...         "7-0", image_id="7", text=torch.ones(1, 4), tokens=("red",), question="red ?",
    ...         answer="yes", question_type="existence",
    ...     )
    >>> len(Bundle.open(path)), Bundle.open(path)[0].visual.dtype
    (1, torch.float32)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        provenance: Provenance,
        *,
        dtype: str = "float16",
        shard_size: int = 64 << 20,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        if not isinstance(provenance, Provenance):
            raise DTypeError(f"provenance must be a Provenance; got {type(provenance).__name__}")
        if dtype not in FLOATS:
            raise ParameterError(f"dtype must be one of {list(FLOATS)}; got {dtype!r}")
        if type(shard_size) is not int or shard_size < 1:
            raise ParameterError(f"shard_size must be a positive number of bytes; got {shard_size}")
        self.path = Path(path)
        self.provenance = provenance
        self.dtype = dtype
        self.shard_size = shard_size
        self._resume = resume
        self._overwrite = overwrite
        self._staging = Staging(self.path)
        self._step = 0
        self._shards: dict[str, ShardEntry] = {}
        self._images: dict[str, ImageEntry] = {}
        self._samples: dict[str, SampleEntry] = {}
        self._pending: dict[str, dict[str, torch.Tensor]] = {}  # shard -> key -> tensor
        self._pending_bytes = 0
        self._is_open = False

    def __enter__(self) -> BundleWriter:
        check_place(self.path, overwrite=self._overwrite)
        self._staging.lock()
        try:
            earlier = None
            if self._resume:
                earlier = self._staging.resume(self.provenance, self.dtype)
            if earlier is None:
                self._staging.start(self.provenance, self.dtype)
            else:
                self._continue(earlier)
        except BaseException:
            self._staging.unlock(discard=False)
            raise
        self._is_open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        is_finished = False
        try:
            if error is None:
                self._finish()
                is_finished = True
        finally:
            self._is_open = False
            self._pending = {}
            # Whole steps are kept for a writer that resumes; without any there is nothing to keep.
            self._staging.unlock(discard=is_finished or self._step == 0)

    def has_image(self, image_id: str) -> bool:
        """Whether the image is there already."""
        return image_id in self._images

    def has_sample(self, sample_id: str) -> bool:
        """Whether the sample is there already."""
        return sample_id in self._samples

    def add_image(
        self,
        image_id: str,
        *,
        visual: torch.Tensor,
        grid: tuple[int, ...] | None,
        cls_attention: torch.Tensor | None = None,
        patch_attention: torch.Tensor | None = None,
        received_attention: torch.Tensor | None = None,
        encoder_features: torch.Tensor | None = None,
        encoder_keys: torch.Tensor | None = None,
        clip_visual: torch.Tensor | None = None,
        image: torch.Tensor | None = None,
    ) -> None:
        """Add what all questions about an image share; fields as in `Sample`.

        Raises
        ------
        ParameterError
            If the image is there already.
        NonFiniteError
            If a value is not finite, or overflows the bundle's dtype.
        ShapeError, DTypeError, EmptyInputError
            As `Sample` does.
        """
        self._check_new("image_id", image_id, self._images)
        given = {
            "visual": visual, "cls_attention": cls_attention, "patch_attention": patch_attention,
            "received_attention": received_attention,
            "encoder_features": encoder_features, "encoder_keys": encoder_keys,
            "clip_visual": clip_visual, "image": image,
        }  # fmt: skip
        tensors = as_stored(given, self.dtype)
        sizes = bind_shapes((name, tuple(t.shape)) for name, t in tensors.items())
        check_grid(grid, sizes["n_v"])
        key, shard = f"image.{len(self._images):08d}", f"images-{self._step:05d}.safetensors"
        described = self._put(shard, key, tensors)
        self._images[image_id] = ImageEntry(image_id, key, shard, grid, described)
        self._flush_if_full()

    def add_sample(
        self,
        sample_id: str,
        *,
        image_id: str,
        text: torch.Tensor,
        tokens: Sequence[str],
        question: str,
        answer: str,
        question_type: str,
        negative: str | None = None,
        options: Sequence[str] = (),
        clip_text: torch.Tensor | None = None,
        text_attention: torch.Tensor | None = None,
        llm_visual_states: torch.Tensor | None = None,
        llm_text_states: torch.Tensor | None = None,
        llm_visual_keys: torch.Tensor | None = None,
        llm_text_keys: torch.Tensor | None = None,
        relevant: torch.Tensor | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a question about an image that is there already; fields as in `Sample`.

        Raises
        ------
        ParameterError
            If the sample is there already, or its image is not.
        NonFiniteError
            If a value is not finite, or overflows the bundle's dtype.
        ShapeError, DTypeError, EmptyInputError
            As `Sample` does.
        """
        self._check_new("sample_id", sample_id, self._samples)
        if image_id not in self._images:
            raise ParameterError(f"add_sample needs its image first; {image_id!r} was not added")
        given = {
            "text": text, "clip_text": clip_text, "text_attention": text_attention,
            "llm_visual_states": llm_visual_states, "llm_text_states": llm_text_states,
            "llm_visual_keys": llm_visual_keys, "llm_text_keys": llm_text_keys,
            "relevant": relevant,
        }  # fmt: skip
        tensors = as_stored(given, self.dtype)
        of_image = {n: t.shape for n, t in self._images[image_id].tensors.items()}
        own = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        sizes = bind_shapes({**of_image, **own}.items())
        words = {"question": question, "answer": answer, "question_type": question_type}
        for name, word in words.items():
            check_text(name, word)
        tokens, options, metadata = tuple(tokens), tuple(options), dict(metadata or {})
        check_words(tokens, n_t=sizes["n_t"], options=options, negative=negative)
        check_metadata(metadata)
        key, shard = f"sample.{len(self._samples):08d}", f"samples-{self._step:05d}.safetensors"
        self._samples[sample_id] = SampleEntry(
            sample_id, image_id, key, shard, tokens, **words, negative=negative, options=options,
            metadata=metadata, tensors=self._put(shard, key, tensors),
        )  # fmt: skip
        self._flush_if_full()

    def add(self, sample: Sample) -> None:
        """Add a sample, and its image if it is the first about it.

        Raises
        ------
        ParameterError
            If the sample is there already, or its image is with other tensors.
        """
        tensors = sample.tensors()
        of_image = {name: t for name, t in tensors.items() if FIELDS[name].per_image}
        own: dict[str, Any] = {n: t for n, t in tensors.items() if not FIELDS[n].per_image}
        if sample.image_id not in self._images:
            self.add_image(sample.image_id, grid=sample.grid, **of_image)
        else:
            self._check_same_image(sample, of_image)
        words = ("image_id", "tokens", "question", "answer", "question_type", "negative",
                 "options", "metadata")  # fmt: skip
        self.add_sample(sample.sample_id, **{n: getattr(sample, n) for n in words}, **own)

    def flush(self) -> None:
        """Write out what has been added so far: a writer that resumes will find it."""
        if not self._pending:
            return
        written = {name: self._staging.write_shard(name, t) for name, t in self._pending.items()}
        self._shards.update(written)
        images = [asdict(e) for e in self._images.values() if e.shard in written]
        samples = [asdict(e) for e in self._samples.values() if e.shard in written]
        shards = {name: asdict(entry) for name, entry in written.items()}
        record = {"shards": shards, "images": images, "samples": samples}
        self._staging.write_step(self._step, record)
        self._step += 1
        self._pending, self._pending_bytes = {}, 0

    def _finish(self) -> None:
        """Write the index and move the bundle to its place."""
        if not self._samples:
            raise EmptyInputError(f"{self.path.name}: a bundle needs at least one sample; got none")
        self.flush()
        index = Index(self.dtype, self.provenance, self._shards, self._images, self._samples)
        place(index, self._staging.bundle, self.path)

    def _continue(self, earlier: Index) -> None:
        """Take up what an earlier writer left."""
        self._shards = dict(earlier.shards)
        self._images, self._samples = dict(earlier.images), dict(earlier.samples)
        self._step = step_count(earlier)

    def _check_new(self, name: str, value: str, known: Mapping[str, object]) -> None:
        """Refuse an id that is no text or is taken, and any addition outside of the block."""
        if not self._is_open:
            raise ParameterError("a BundleWriter takes samples inside its `with` block only")
        check_text(name, value)
        if value in known:
            raise ParameterError(f"{name} must be new; {value!r} was added before")

    def _check_same_image(self, sample: Sample, tensors: Mapping[str, torch.Tensor]) -> None:
        """Refuse a sample whose image tensors are not those of the image that is there."""
        known = self._images[sample.image_id]
        given = describe(as_stored(tensors, self.dtype))
        if sample.grid != known.grid or given != known.tensors:
            names = [n for n in FIELDS if given.get(n) != known.tensors.get(n)] or ["grid"]
            raise ParameterError(
                f"samples of image_id {sample.image_id!r} must share its tensors; "
                f"{sample.sample_id!r} differs in {', '.join(names)}"
            )

    def _put(
        self, shard: str, key: str, tensors: Mapping[str, torch.Tensor]
    ) -> dict[str, TensorEntry]:
        """Have tensors written with the next shard."""
        pending = self._pending.setdefault(shard, {})
        pending.update({f"{key}.{name}": tensor for name, tensor in tensors.items()})
        self._pending_bytes += sum(t.numel() * t.element_size() for t in tensors.values())
        return describe(tensors)

    def _flush_if_full(self) -> None:
        if self._pending_bytes >= self.shard_size:
            self.flush()
