"""`mitheory dtypes`: what half precision changes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mitheory import provenance

from ..manners import say
from .options import Model, Out, Seed


def dtypes(
    out: Out = Path("precision"),
    model: Model = "fruitfly",
    images: Annotated[int, typer.Option(help="Two questions about each.", min=2)] = 300,
    seed: Seed = 0,
) -> dict[str, Any]:
    """Count the kept tokens that change between float16, bfloat16, float32 and float64.

    Writes dtypes.csv (one row per method, budget and precision) and provenance.json.

    [bold]Example[/]: mitheory dtypes --model fruitfly --out precision/
    """
    from mitheory.io import atomic_write_csv, atomic_write_json

    from ..precision import precision

    table = precision(model, images=images, seed=seed)
    atomic_write_csv(out / "dtypes.csv", table.round(5))
    command = f"mitheory dtypes --model {model} --images {images} --seed {seed}"  # wherever to
    origin = provenance.collect(command=command, seed=seed, model=model)
    atomic_write_json(out / "provenance.json", origin.to_dict())
    say(f"table in [bold]{out / 'dtypes.csv'}[/]")
    return {"table": out / "dtypes.csv", "rows": table.round(5)}
