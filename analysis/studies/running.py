"""Running studies: what is missing or out of date is computed, its tables written atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from analysis.ablation.configuration import digest
from analysis.auditing.plan import code_digest
from analysis.progress import console
from mitheory.checks import lookup
from mitheory.errors import ParameterError
from mitheory.io import atomic_write_json, atomic_write_parquet
from mitheory.models.resolving import load_adapter

from .base import Context, Study
from .registry import STUDIES


def run_studies(
    context: Context,
    names: Sequence[str] | None = None,
    *,
    studies: Mapping[str, Study] | None = None,
) -> dict[str, pd.DataFrame]:
    """Run studies; their tables by name, as ``studies/<name>.parquet`` in the folder of the run.

    Parameters
    ----------
    context : what every study is given
    names : which; all without
    studies : by name; those of the project without

    Raises
    ------
    UnknownNameError
        If a name is of no study.
    ParameterError
        If a study does not write the tables it announces.

    Examples
    --------
    A study of one's own; a second call would read its table.

    >>> import tempfile
    >>> def run(context):
    ...     return {"seeds": pd.DataFrame({"seed": [context.seed]})}
    >>> own = Study("own", "Which seed is it?", ("seeds",), run)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tables = run_studies(Context(Path(folder), seed=3), studies={"own": own})
    >>> tables["seeds"].seed.tolist()
    [3]
    """
    known = STUDIES if studies is None else studies
    wanted = [lookup(name, known, "study") for name in (names or known)]
    folder = context.out / "studies"
    found: dict[str, pd.DataFrame] = {}
    for study in wanted:
        mark = folder / f"{study.name}.json"
        files = {table: context.table(table) for table in study.tables}
        identity = _identity(study, context)
        if not _is_done(mark, identity, [*files.values()]):
            console.print(f"  {study.title}")
            tables = study.run(context)
            if set(tables) != set(study.tables):
                raise ParameterError(
                    f"study {study.name}: expected tables {list(study.tables)}, "
                    f"got {sorted(tables)}"
                )
            for name, table in tables.items():
                atomic_write_parquet(files[name], table)
            atomic_write_json(mark, {"identity": identity, "tables": list(study.tables)})
        found |= {name: pd.read_parquet(path) for name, path in files.items()}
    return found


def _identity(study: Study, context: Context) -> str:
    revision = load_adapter(context.model).revision
    size = [context.model, revision, context.seed, context.quick]
    return digest([study.name, *size, code_digest()])


def _is_done(mark: Path, identity: str, files: Sequence[Path]) -> bool:
    if not mark.is_file() or not all(file.is_file() for file in files):
        return False
    return bool(json.loads(mark.read_text(encoding="utf-8"))["identity"] == identity)
