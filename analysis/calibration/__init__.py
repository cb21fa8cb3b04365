"""Calibration: estimators, independence tests and the decision rule, where the answer is known.

``calibrate(out)`` runs the parts and writes one table each; `choose` reads the committed one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mitheory.checks import lookup
from mitheory.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PARTS", "calibrate"]

Part = Callable[[Path, bool, int, int], Path]


def calibrate(
    out: str | os.PathLike[str],
    *,
    parts: Sequence[str] = ("estimators", "independence", "verdicts"),
    quick: bool = False,
    jobs: int = 2,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Run the parts; every one writes its table into `out`.

    Parameters
    ----------
    out : folder, made if missing; finished cells found there are not run again
    parts : names in `PARTS`
    quick : bool
        A thin slice of everything, in about a minute.
    jobs : int
        Processes; the tables do not depend on it, but for their timings.
    seed : int

    Returns
    -------
    dict from part to its DataFrame
        As it stands in ``<part>.csv`` of the folder.

    Raises
    ------
    UnknownNameError, ParameterError
        If a part is unknown or `jobs` is 0.

    Examples
    --------
    >>> calibrate("calibration", parts=["verdict"])
    Traceback (most recent call last):
    ...
    mitheory.errors.UnknownNameError: unknown part 'verdict'; did you mean 'verdicts'?
        Known: estimators, independence, verdicts
    """
    chosen = {name: lookup(name, PARTS, "part") for name in parts}
    if jobs == 0:
        raise ParameterError("jobs must be positive, or -1 for every core; got 0")
    import pandas as pd

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    return {name: pd.read_csv(part(folder, quick, jobs, seed)) for name, part in chosen.items()}


def _estimators(out: Path, quick: bool, jobs: int, seed: int) -> Path:
    from .estimators import run

    return run(out, quick, jobs, seed)


def _independence(out: Path, quick: bool, jobs: int, seed: int) -> Path:
    from .independence import run

    return Path(run(out, quick, jobs, seed))


def _verdicts(out: Path, quick: bool, jobs: int, seed: int) -> Path:
    from .verdicts import run

    return run(out, quick, jobs, seed)


PARTS: Mapping[str, Part] = {  # each imports what it needs when it runs
    "estimators": _estimators,
    "independence": _independence,
    "verdicts": _verdicts,
}
