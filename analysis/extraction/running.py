"""A whole extraction: in this process, as one of a launcher's workers, or on a Dask cluster."""

from __future__ import annotations

from pathlib import Path

from analysis.auditing.spread import steps
from mitheory.bundle import Bundle

from .job import Extraction, extract_part, joined_if_done
from .ranks import Worker, worker_here


def run(
    job: Extraction,
    out: Path,
    *,
    parts: int = 1,
    jobs: int = 1,
    scheduler: str | None = None,
    overwrite: bool = False,
) -> Bundle | None:
    """Write the bundle of a job, or this worker's part of it.

    Started by a launcher as one of several workers (`worker_here`), this process writes its part,
    and joins all parts if it is the last. Otherwise it writes the whole, in `parts` parts that go
    to processes here or to the workers of a Dask cluster.

    Parameters
    ----------
    job : what to extract
    out : where the bundle shall stand
    parts : into how many parts the work is cut, if no launcher says so
    jobs : processes here
    scheduler : address of a Dask scheduler, whose workers see the same files, instead of `jobs`
    overwrite : replace a bundle of another job

    Returns
    -------
    The bundle; None if other workers have parts to finish.

    Raises
    ------
    BundleError, SpaceError, EmptyInputError, DatasetError
        As `extract_part` and `joined_if_done`.
    """
    here = worker_here()
    if here.world > 1:
        if extract_part(job, out, here) == out:
            return Bundle.open(out)
        return joined_if_done(job, out, here.world, overwrite=overwrite)
    if parts == 1 and scheduler is None:
        extract_part(job, out, overwrite=overwrite)
        return Bundle.open(out)
    workers = [Worker(rank, parts, local=rank) for rank in range(parts)]
    with steps(jobs, scheduler) as spread:
        written = list(spread.each("extract", extract_part, [(job, out, w) for w in workers]))
    if out in written:
        return Bundle.open(out)
    return joined_if_done(job, out, parts, overwrite=overwrite)
