"""Encode questions and write them into a bundle that resumes where it was stopped."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path

from mitheory.bundle import Bundle, BundleWriter, Sample
from mitheory.bundle.fields import FIELDS
from mitheory.errors import BundleError, EmptyInputError
from mitheory.models.base import Example, OpenAdapter
from mitheory.provenance import Provenance

from ..progress import console, progress
from . import items as questions
from .failures import FailureLog, encoded, log_of, read_log
from .items import Item, loaded, of_examples
from .space import check_space, readable, sizes_of

JOB = frozenset({"seed", "model", "revision", "device", "dtype", "versions"})
"""Fields of the provenance that two runs of one job share."""

MOST_AT_A_TIME = 256  # questions that are in memory together
BATCHES_AT_A_TIME = 8


def chunks(examples: Iterable[Example], size: int) -> Iterator[list[Example]]:
    """Runs of about `size` examples that never split the questions about one image."""
    for chunk in questions.chunks(of_examples(examples), size):
        yield [item.load() for item in chunk]


def extract(
    adapter: OpenAdapter,
    examples: Iterable[Example | Item],
    out: Path,
    provenance: Provenance,
    *,
    limit: int,
    dtype: str = "float16",
    attention: bool = True,
    internals: int = 0,
    overwrite: bool = False,
    retry: bool = False,
    same: Collection[str] = JOB,
    copies: int = 1,
) -> Bundle:
    """Encode questions with `adapter` into a bundle at `out`, with a progress bar.

    A finished bundle of the same job at `out` is reused, an unfinished one is continued (and begun
    anew if it is of another job). `attention=False` leaves out the encoder's full attention, the
    largest array; `internals=layer` adds what the decoder holds right before that block, states
    behind its final norm (`OpenAdapter.internals`). A GPU is named in the provenance; its bundle
    agrees with the CPU's to 1e-3 of the largest entry of each array (in float32).
    `overwrite=True` replaces a bundle of another job at `out`.

    A question whose image cannot be read, or that the model does not take, is a row of the error
    log beside the bundle (`log_of`) and not the end. From the first questions the room on disk is
    estimated, and refused if it is not there, before anything is written.

    Parameters
    ----------
    examples : in the order of the bundle, or items whose images are read when it is their turn
    limit : number of questions
    retry : with `overwrite`, make a bundle of this job anew if some of its questions have failed
    same : fields of the provenance by which a bundle that stands there is of this job; with
        "command" among them the command says all, else one with internals is never reused
    copies : how often the bundle will be on disk at one time

    Raises
    ------
    BundleError
        If something else stands at `out`, or another bundle and `overwrite` is False.
    ParameterError
        If the decoder has no such block.
    SpaceError
        If the disk has no room for the bundle.
    EmptyInputError
        If no question could be encoded.
    """
    if not (retry and read_log(log_of(out))) and is_same_job(
        out, provenance, limit, bool(internals), same
    ):
        return Bundle.open(out)
    total, stream = _images_in(examples, limit), of_examples(examples)
    size = min(MOST_AT_A_TIME, BATCHES_AT_A_TIME * getattr(adapter, "batch_size", 32))
    with ExitStack() as stack:
        writer = _enter_writer(stack, out, provenance, dtype=dtype, overwrite=overwrite)
        log = stack.enter_context(FailureLog(log_of(out)))
        bar = stack.enter_context(progress())
        task = bar.add_task("extract", total=limit)
        there: set[str] = set()  # of an earlier run: its tensors stay
        done, is_checked = 0, False
        for chunk in questions.chunks(islice(stream, limit), size):
            new = [item for item in chunk if not writer.has_sample(item.sample_id)]
            there |= {item.image_id for item in chunk if writer.has_image(item.image_id)}
            done += len(chunk) - len(new)
            samples = encoded(adapter, loaded(new, log), log)
            if internals and samples:
                samples = with_internals(adapter, samples, internals)
            if not attention:
                samples = [replace(sample, patch_attention=None) for sample in samples]
            if samples and not is_checked:
                _announce(out, samples, dtype, limit - done, total, limit, copies)
                is_checked = True
            for sample in samples:
                _add(writer, sample, is_known=sample.image_id in there)
            bar.advance(task, len(chunk))
        if log.count and not (done or is_checked):
            first = read_log(log.path)[0]
            raise EmptyInputError(
                f"{out.name}: none of {log.count} questions could be encoded; the first: "
                f"{first.sample_id!r}: {first.message} (all: {log.path})"
            )
    return Bundle.open(out)


def _images_in(examples: Iterable[Example | Item], limit: int) -> int | None:
    """Number of images, if all are known before the first is encoded: those of listed items."""
    if isinstance(examples, list) and all(isinstance(one, Item) for one in examples):
        return len({one.image_id for one in examples[:limit]})
    return None


def _announce(
    out: Path,
    samples: Sequence[Sample],
    dtype: str,
    left: int,
    n_images: int | None,
    limit: int,
    copies: int,
) -> None:
    """Check that there is room for what is left, and say how much that is."""
    sizes = sizes_of(samples, dtype)
    per_question = (
        n_images / limit
        if n_images is not None
        else len({s.image_id for s in samples}) / len(samples)
    )
    needed = sizes.total(images=round(left * per_question), questions=left)
    free = check_space(out, needed, copies=copies)
    console.print(f"{out.name}: about {readable(needed)} to write, {readable(free)} free")


def _add(writer: BundleWriter, sample: Sample, *, is_known: bool) -> None:
    """Add a sample; to an image of an earlier run only the question is added, since a second
    pass over the image may have rounded differently."""
    if not is_known:
        writer.add(sample)
        return
    own = {n: t for n, t in sample.tensors().items() if not FIELDS[n].per_image}
    writer.add_sample(
        sample.sample_id,
        image_id=sample.image_id,
        tokens=sample.tokens,
        question=sample.question,
        answer=sample.answer,
        question_type=sample.question_type,
        negative=sample.negative,
        options=sample.options,
        metadata=sample.metadata,
        **own,
    )


def with_internals(adapter: OpenAdapter, samples: Sequence[Sample], layer: int) -> list[Sample]:
    """The samples with what the decoder holds right before block `layer`, so that the methods that
    read it can be tried by `select` alone. States are behind the final norm, as DART reads them."""
    found = adapter.internals(samples, layer, final_norm=True)
    return [replace(s, **inside) for s, inside in zip(samples, found, strict=True)]  # type: ignore[arg-type]


def _enter_writer(
    stack: ExitStack, out: Path, provenance: Provenance, *, dtype: str, overwrite: bool
) -> BundleWriter:
    """A writer that goes on with this job's unfinished bundle, or starts a new one."""

    def writer(resume: bool) -> BundleWriter:
        return BundleWriter(out, provenance, dtype=dtype, resume=resume, overwrite=overwrite)

    try:
        return stack.enter_context(writer(resume=True))
    except BundleError:  # unfinished, but of another job; anything worse is raised again
        return stack.enter_context(writer(resume=False))


def is_same_job(
    out: Path, provenance: Provenance, limit: int, internals: bool, same: Collection[str]
) -> bool:
    """Whether a bundle stands there that `provenance` would make again.

    Unless the command is compared, a bundle with internals is never reused: it does not say of
    which block they are.
    """
    if not out.exists():
        return False
    bundle = Bundle.open(out)
    differs = set(bundle.provenance.differences(provenance))
    plain = "command" in same or (not internals and bundle[0].text_attention is None)
    count = len(bundle) + len(read_log(log_of(out)))
    return plain and count == limit and not differs & set(same)
