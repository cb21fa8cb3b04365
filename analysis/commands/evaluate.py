"""`mitheory evaluate`: benchmarks with a model in the loop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from mitheory.errors import ParameterError

from ..datasets import BENCHMARKS
from ..manners import say, show
from .figures import figures
from .options import (
    AttnImplementation,
    Device,
    DeviceMap,
    JudgeKey,
    JudgeModel,
    JudgePrompt,
    JudgeUrl,
    ModelDtype,
    Out,
    Revision,
    Scheduler,
    Seed,
    With,
    command_line,
    judge_of,
    loading_of,
)


def evaluate(
    out: Out = Path("out/evaluate"),
    table: Annotated[
        int, typer.Option(help="A table of the paper: 1, 2, 4, 7, 8, 10 or 11; 0: none.")
    ] = 0,
    model: Annotated[
        str, typer.Option(help="As `mitheory extract` takes it; several with commas.")
    ] = "",
    dataset: Annotated[
        str, typer.Option(help=f"Of {', '.join(BENCHMARKS)}; several with commas.")
    ] = "",
    root: Annotated[
        Path | None,
        typer.Option(help="Folder with the official files, or with a folder for each benchmark."),
    ] = None,
    hub: Annotated[
        bool, typer.Option("--hub", help="Read the benchmarks from the Hugging Face Hub.")
    ] = False,
    method: Annotated[
        str, typer.Option(help="Pruning methods, separated by commas; all tokens come along.")
    ] = "mi_pruner",
    budget: Annotated[
        str, typer.Option(help="Tokens, ratios or fractions of 64/576, separated by commas.")
    ] = "64",
    grid: Annotated[
        str, typer.Option(help="paper, full, or a YAML file, in place of --method and --budget.")
    ] = "",
    change: Annotated[
        list[str] | None, typer.Option("--set", help="axis=value,value, as `mitheory ablate`.")
    ] = None,
    split: Annotated[str, typer.Option(help="Of the benchmark; its default without.")] = "",
    convention: Annotated[
        str, typer.Option(help="How to ask and grade; the first, or the table's, without.")
    ] = "",
    limit: Annotated[int, typer.Option(help="The first questions; 0 takes all.", min=0)] = 0,
    rows: Annotated[
        str, typer.Option(help="Of a table: its models as printed, separated by commas.")
    ] = "",
    columns: Annotated[
        str, typer.Option(help="Of a table: its metrics as printed, separated by commas.")
    ] = "",
    reference: Annotated[
        str, typer.Option(help="Cell to compare with; MI-Pruner where it is there, without.")
    ] = "",
    judge_url: JudgeUrl = "",
    judge_model: JudgeModel = "",
    judge_key: JudgeKey = "OPENAI_API_KEY",
    judge_prompt: JudgePrompt = None,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option(help="Worker processes, each with the model.", min=1)] = 1,
    scheduler: Scheduler = "",
    device: Device = "auto",
    model_dtype: ModelDtype = "",
    revision: Revision = "",
    device_map: DeviceMap = "",
    attn_implementation: AttnImplementation = "",
    further: With = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List cells and files, and stop.")
    ] = False,
) -> dict[str, Any]:
    """Prune, answer and score on a benchmark, or run a table of the paper.

    Writes scores.csv (a row per cell and metric, as the field scores), results.parquet (a row per
    question and cell), summary.csv and compared.csv (paired, over images), and tabN.csv with
    --table N. Draws them (figures/, index.html): accuracy against budget, differences from the
    reference, and the table beside the printed one. Killed at any moment and started again, it
    goes on where it was.

    [bold]Examples[/]:

    mitheory evaluate --model llava-hf/llava-1.5-7b-hf --dataset pope --root data/pope
    --method mi_pruner,random --budget 64,32 --out out/evaluate

    mitheory evaluate --table 1 --root data --dry-run
    """
    from ..ablation.grids import load_grid, parse_axes
    from ..ablation.reporting import write_origin
    from ..datasets.listing import check_source
    from ..evaluate import Judging, read_table, runs_of, single_runs
    from ..evaluate import evaluate as compute
    from ..evaluate.listing import description, plan
    from ..evaluate.plan import cells_of, usual_reference
    from ..evaluate.printing import printed

    loading = loading_of(model_dtype, revision, device_map, attn_implementation, further)
    chosen = read_table(table) if table else None
    if chosen is not None:
        if dataset or grid or change:
            raise ParameterError("table: fixes datasets and cells; got --dataset, --grid or --set")
        runs = runs_of(
            chosen, root, models=_names(rows), metrics=_names(columns), model=model,
            convention=convention, limit=limit, loading=loading,
        )  # fmt: skip
        if not runs:
            raise ParameterError(
                f"table {table}: nothing has rows {rows!r} and columns {columns!r}; it has "
                f"{list(chosen.models)} and {list(chosen.metrics)}"
            )
    else:
        if not model or not dataset:
            raise ParameterError("evaluate: expected --table, or --model and --dataset")
        axes = parse_axes(change or [])
        cells = load_grid(grid, axes) if grid else cells_of(_names(method), budget, axes)
        runs = single_runs(
            cells, _names(model), _names(dataset), root, split=split, convention=convention,
            limit=limit, loading=loading,
        )  # fmt: skip
    if dry_run:
        for text in description(runs):
            show(Text(text), soft_wrap=True)
        return {"runs": [plan(run) for run in runs]}
    for run in runs:
        check_source(run.source.dataset, root, hub=hub)
    against = reference or usual_reference(runs)
    found = compute(
        runs, out, seed=seed, device=device, jobs=jobs, scheduler=scheduler or None,
        judging=Judging(judge_of(judge_url, judge_model, judge_key), judge_prompt),
        reference=against, table=table,
    )  # fmt: skip
    if found is None:
        say("this part is done; the same command again goes on when all workers are")
        return {"folder": out, "scores": None}
    write_origin(
        out, [run.source for run in runs], against, seed=seed, device=device,
        command=command_line(),
    )  # fmt: skip
    show(printed(found))
    say(f"tables in [bold]{out}[/]")
    return {"folder": out, "scores": found, "page": figures(out, force=False)["page"]}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
