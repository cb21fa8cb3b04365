"""Extract a bundle: encode a dataset with a model and write it down, shard by shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path

from mitheory.bundle import Bundle, BundleWriter, Sample
from mitheory.errors import BundleError
from mitheory.models.base import Example, OpenAdapter
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
    adapter: OpenAdapter,
    examples: Iterable[Example],
    out: Path,
    provenance: Provenance,
    *,
    limit: int,
    dtype: str = "float16",
    attention: bool = True,
    internals: int = 0,
    overwrite: bool = False,
) -> Bundle:
    """Encode `examples` with `adapter` into a bundle at `out`, with a progress bar.

    A finished bundle of the same job at `out` is reused, an unfinished one is continued (and begun
    anew if it is of another job). `attention=False` leaves out the encoder's full attention, the
    largest array; `internals=layer` adds what the decoder holds right before that block, states
    behind its final norm (`OpenAdapter.internals`). A GPU is named in the provenance; its bundle
    agrees with the CPU's to 1e-3 of the largest entry of each array (in float32).
    `overwrite=True` replaces a bundle of another job at `out`.

    Raises
    ------
    BundleError
        If something else stands at `out`, or another bundle and `overwrite` is False.
    ParameterError
        If the decoder has no such block.
    """
    if out.exists() and _is_same_job(Bundle.open(out), provenance, limit, bool(internals)):
        return Bundle.open(out)
    with ExitStack() as stack:
        writer = _enter_writer(stack, out, provenance, dtype=dtype, overwrite=overwrite)
        bar = stack.enter_context(progress())
        task = bar.add_task("extract", total=limit)
        for chunk in chunks(islice(examples, limit), 256):
            new = [example for example in chunk if not writer.has_sample(example.sample_id)]
            samples = adapter.encode(new)
            if internals:
                samples = with_internals(adapter, samples, internals)
            for sample in samples:
                writer.add(sample if attention else replace(sample, patch_attention=None))
            bar.advance(task, len(chunk))
    return Bundle.open(out)


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


def _is_same_job(bundle: Bundle, provenance: Provenance, limit: int, internals: bool) -> bool:
    """Whether `bundle` is what `provenance` would make again (another command may have made it).

    A bundle with internals is never reused: it does not say of which block they are.
    """
    differs = set(bundle.provenance.differences(provenance))
    plain = not internals and bundle[0].text_attention is None
    return plain and len(bundle) == limit and not differs & JOB
