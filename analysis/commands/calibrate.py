"""`mitheory calibrate`: how often the decisions are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..manners import say
from .options import Jobs, Out


def calibrate(
    out: Out = Path("calibration"),
    parts: Annotated[
        str, typer.Option(help="Of estimators, independence, verdicts; all without.")
    ] = "",
    quick: Annotated[bool, typer.Option("--quick", help="A thin slice: a minute.")] = False,
    jobs: Jobs = 2,
    seed: Annotated[int, typer.Option(help="Of every simulation.")] = 0,
) -> dict[str, Any]:
    """Measure estimators, independence tests and the decision rule where the truth is known.

    Writes bias, spread and coverage of every estimator on every ground truth, size and power of
    the independence tests, and the error rates of the verdicts. Resumable.

    [bold]Example[/]: mitheory calibrate --quick --out calibration/
    """
    from ..calibration import PARTS
    from ..calibration import calibrate as measure

    names = tuple(name.strip() for name in parts.split(",") if name.strip())
    measure(out, parts=names or tuple(PARTS), quick=quick, jobs=jobs, seed=seed)
    say(f"tables in [bold]{out}[/]")
    return {"folder": out, "parts": names or tuple(PARTS)}
