"""Extract a bundle: encode a dataset with a model and write it down, shard by shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path

from mitheory.bundle import Bundle, BundleWriter
from mitheory.errors import BundleError
from mitheory.models.base import Example, ModelAdapter
from mitheory.provenance import Provenance

from .progress import progress

JOB = {"seed", "model", "revision", "device", "dtype", "versions"}  # what makes two jobs the same


def chunks(examples: Iterable[Example], size: int) -> Iterator[list[Example]]:
    """Runs of about `size` examples that never split the questions about one image."""
    run: list[Example] = []
    for example in examples:
        if len(run) >= size and example.image_id != run[-1].image_id:
            yield run
            run = []
        run.append(example)
    if run:
        yield run


def extract(
    adapter: ModelAdapter,
    examples: Iterable[Example],
    out: Path,
    provenance: Provenance,
    *,
    limit: int,
    dtype: str = "float16",
    attention: bool = True,
    overwrite: bool = False,
) -> Bundle:
    """Encode `examples` with `adapter` into a bundle at `out`, with a progress bar.

    A finished bundle of the same job at `out` is reused, an unfinished one is continued (and begun
    anew if it is of another job). `attention=False` leaves out the encoder's full attention, the
    largest array. A GPU is named in the provenance; its bundle agrees with the CPU's to 1e-3 of the
    largest entry of each array (in float32). `overwrite=True` replaces a bundle of
    another job at `out`.

    Raises
    ------
    BundleError
        If something else stands at `out`, or another bundle and `overwrite` is False.
    """
    if out.exists() and _is_same_job(Bundle.open(out), provenance, limit):
        return Bundle.open(out)
    with ExitStack() as stack:
        writer = _enter_writer(stack, out, provenance, dtype=dtype, overwrite=overwrite)
        bar = stack.enter_context(progress())
        task = bar.add_task("extract", total=limit)
        for chunk in chunks(islice(examples, limit), 256):
            new = [example for example in chunk if not writer.has_sample(example.sample_id)]
            for sample in adapter.encode(new):
                writer.add(sample if attention else replace(sample, patch_attention=None))
            bar.advance(task, len(chunk))
    return Bundle.open(out)


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


def _is_same_job(bundle: Bundle, provenance: Provenance, limit: int) -> bool:
    """Whether `bundle` is what `provenance` would make again (another command may have made it)."""
    differs = set(bundle.provenance.differences(provenance))
    return len(bundle) == limit and not differs & JOB
