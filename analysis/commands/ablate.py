"""`mitheory ablate`: a grid of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mitheory.errors import ParameterError

from ..datasets import DATASETS
from ..manners import say, show
from .figures import figures
from .options import Device, Jobs, Out, Scheduler, Seed, command_line

LAUNCHED = "ablate: runs in one process or on Dask; `mitheory evaluate` runs under a launcher"


def ablate(
    out: Out = Path("ablation"),
    grid: Annotated[
        str, typer.Option(help="paper, full, or a YAML file; without, what --set says.")
    ] = "",
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="axis=value,value: replaces that axis in every entry of the grid, or adds it. "
            "Once for each axis.",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="fruitfly, fruitfly-contrastive, a checkpoint file, or module:factory of an "
            "adapter of your own; several with commas."
        ),
    ] = "fruitfly",
    dataset: Annotated[
        str, typer.Option(help=f"Of {', '.join(DATASETS)}; several with commas.")
    ] = "fruitfly",
    split: Annotated[
        str, typer.Option(help="train, validation or test; several with commas.")
    ] = "test",
    limit: Annotated[int, typer.Option(help="Number of questions.", min=1)] = 3200,
    reference: Annotated[
        str, typer.Option(help="Cell to compare with, at every budget: axis=value,axis=value.")
    ] = "method=mi_pruner,relevance_weight=paper",
    seed: Seed = 0,
    jobs: Jobs = 2,
    scheduler: Scheduler = "",
    device: Device = "cpu",
) -> dict[str, Any]:
    """Change one thing and see what it does to the answers: a grid of settings, with intervals.

    A YAML grid is a list of mappings from an axis to a value or a list of values, each expanded
    on its own. Axes: method, budget (16, 0.25 or 64/576), mode, scope (what counts as T:
    question, prompt, prompt+instruction, content), positions (kept, compacted), order (raster,
    pick), search (eager, lazy, static_heap, top_k, stochastic), draw, and every option of the
    method: relevance_weight (or "paper"), temperature, aggregation (max, kl, joint, mean,
    renyi:2, lse), conditional (softmax, minmax, joint, sinkhorn), prior, self_loop,
    empty_redundancy, ...

    Writes results.parquet (a row per sample and cell), summary.csv and compared.csv, and draws
    them (figures/, index.html). Killed at any moment and started again, it goes on where it was.

    [bold]Examples[/]:

    mitheory ablate --grid paper --limit 800 --out ablation/

    mitheory ablate --set method=mi_pruner --set budget=0.25,64/576 --set temperature=0.1,0.2
    --reference method=mi_pruner --out ablation/
    """
    from ..ablation import complete, job_of, load_grid, prepared, sources
    from ..ablation.grids import parse_axes
    from ..ablation.reporting import printed, reference_of, write_origin, write_tables

    cells = load_grid(grid if grid or change else "paper", parse_axes(change or []))
    reference_of(cells, reference)  # a wrong name is told before the work
    models, datasets, splits = (
        [name.strip() for name in text.split(",")] for text in (model, dataset, split)
    )
    runs = {s: out / s.name for s in sources(models, datasets, splits, limit)}
    for source, folder in runs.items():
        bundle = prepared(folder, source, seed=seed, device=device)
        if bundle is None:
            raise ParameterError(LAUNCHED)
        say(f"{len(cells)} cells on {source.name}")
        job = job_of(bundle, folder, source.model, seed=seed, device=device)
        complete(cells, job, jobs=jobs, scheduler=scheduler or None)
    table = write_tables(out, cells, reference, runs)
    write_origin(
        out, list(runs), reference, seed=seed, device=device, command=command_line()
    )  # fmt: skip
    show(printed(table, reference))
    say(f"{len(table)} comparisons in [bold]{out / 'compared.csv'}[/]")
    drawn = figures(out, force=False)
    return {"table": out / "compared.csv", "comparisons": table, "page": drawn["page"]}
