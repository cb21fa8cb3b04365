"""`analysis.audit`: the audit from Python."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from mitheory.bundle import Bundle, Sample

from .run import Options, run


def audit(
    data: Bundle | Sequence[Sample] | str | os.PathLike[str] | None = None,
    *,
    claims: Iterable[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    seed: int = 0,
    model: str | None = None,
    scheduler: str | None = None,
) -> pd.DataFrame:
    """Every claim of the paper on a bundle, as a table of verdicts.

    Parameters
    ----------
    data : Bundle, its path, or samples
        None for the claims that need no embeddings.
    claims : names out of `analysis.claims.CLAIMS`; all without
    out : folder for rows, tables, figures and the report; without, only the table is made
    jobs : worker processes; -1 takes all cores. Verdicts do not depend on it.
    seed : of every random step
    model : checkpoint for claims with a model in the loop, where the bundle does not name it
    scheduler : address of a Dask scheduler, instead of `jobs`; its workers must see the files

    Returns
    -------
    DataFrame
        One row per claim: `claim`, `kind`, `decision`, the effect with both intervals, `n`,
        `reason`, ...

    Raises
    ------
    UnknownNameError
        If a claim has no such name.
    BundleError
        If the bundle cannot be read.

    Examples
    --------
    >>> table = audit(claims=[])
    >>> len(table)
    0
    """
    if isinstance(data, str | os.PathLike):
        data = Bundle.open(data)
    options = Options(seed=seed, model=model)
    if out is None:
        with tempfile.TemporaryDirectory() as folder:
            return run(
                data,
                Path(folder),
                claims=claims,
                options=options,
                jobs=jobs,
                scheduler=scheduler,
                figures=False,
            ).table
    from analysis.report import write

    audited = run(data, Path(out), claims=claims, options=options, jobs=jobs, scheduler=scheduler)
    write(Path(out))
    return audited.table
