"""The `mitheory` command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from mitheory import provenance
from mitheory.errors import MitheoryError

from .datasets import DATASETS
from .progress import console

if TYPE_CHECKING:
    from .auditing import Audited

app = typer.Typer(
    help="Is information-theoretic visual-token pruning right, and when?",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)

SIGNS = {"negligible": "<", "at_least": "≥", "at_most": "<"}  # of an effect, or of its size

Out = Annotated[Path, typer.Option(help="Folder to write to; made if missing.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto.")]
Seed = Annotated[int, typer.Option(help="Seed of the scenes and of every random selector.")]


@app.command()
def reproduce(
    out: Out = Path("out"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer questions and settings: two minutes.")
    ] = False,
    model: Annotated[
        str, typer.Option(help="fruitfly, fruitfly-contrastive, or a checkpoint file.")
    ] = "fruitfly",
    limit: Annotated[int, typer.Option(help="Questions; 0 takes the default.", min=0)] = 0,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option(help="Worker processes; -1 takes all cores.")] = 2,
    device: Device = "cpu",
) -> None:
    """Run the paper's method and its peers on the embedded model; audit its embeddings.

    Writes tables, figures and index.html, and the report of the audit to audit/.

    Stopped at any moment and started again, it goes on where it was.

    [bold]Example[/]: mitheory reproduce --quick --out out/
    """
    from .reproduction import Run
    from .reproduction import reproduce as compute
    from .studies import Context, run_studies

    changes = {"limit": limit} if limit else {}
    run = Run.make(quick=quick, model=model, seed=seed, **changes)
    compute(run, out, jobs=jobs, device=device, command=_command())
    console.print("[bold]4/5[/] studies of what the paper leaves open")
    context = Context(out, model=model, seed=seed, quick=quick, jobs=jobs, device=device)
    run_studies(context)
    console.print("[bold]5/5[/] audit the embeddings")
    _audit(out / "bundle", out / "audit", None, {"seed": seed, "model": model}, jobs)
    figures(out, force=False)
    console.print(f"open [bold]{out / 'index.html'}[/]")


@app.command()
def study(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which; all without. --list says which there are.")
    ] = None,
    out: Out = Path("out"),
    model: Annotated[
        str, typer.Option(help="fruitfly, fruitfly-contrastive, or a checkpoint file.")
    ] = "fruitfly",
    quick: Annotated[bool, typer.Option("--quick", help="Few questions: seconds.")] = False,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option(help="Worker processes; -1 takes all cores.")] = 2,
    device: Device = "cpu",
    show: Annotated[bool, typer.Option("--list", help="Name the studies and stop.")] = False,
) -> None:
    """Answer what the paper leaves open, study by study; tables go to OUT/studies.

    A study that is done is not done again unless its code, model, seed or size have changed.

    [bold]Example[/]: mitheory study --list
    """
    from .studies import STUDIES, Context, run_studies

    if show:
        for known in STUDIES.values():
            console.print(f"[bold]{known.name}[/]: {known.title}")
        return
    context = Context(out, model=model, seed=seed, quick=quick, jobs=jobs, device=device)
    for path in run_studies(context, names or None):
        console.print(str(path))


@app.command()
def figures(
    results: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    force: Annotated[bool, typer.Option("--force", help="Also what is up to date.")] = False,
) -> None:
    """Draw every figure that is out of date, and index.html, from the tables of a run.

    [bold]Example[/]: mitheory figures out/
    """
    # a stage of its own with files in between: paper_figures imports analysis, never back
    command = [sys.executable, "-m", "paper_figures", "--results", str(results)]
    done = subprocess.run(command + ["--force"] * force, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)


@app.command()
def extract(
    out: Out,
    model: Annotated[
        str, typer.Option(help="fruitfly, fruitfly-contrastive, or a checkpoint file.")
    ] = "fruitfly",
    dataset: Annotated[str, typer.Option(help=f"One of: {', '.join(DATASETS)}.")] = "fruitfly",
    split: Annotated[str, typer.Option(help="Of the dataset: train, validation or test.")] = "test",
    limit: Annotated[int, typer.Option(help="Number of questions.", min=1)] = 512,
    seed: Seed = 0,
    device: Device = "cpu",
    dtype: Annotated[str, typer.Option(help="On disk: float16, bfloat16 or float32.")] = "float16",
    attention: Annotated[
        bool, typer.Option(help="Store the encoder's full attention (the largest array).")
    ] = True,
    internals: Annotated[
        int, typer.Option(help="Store what the decoder holds before this block; 0: none.", min=0)
    ] = 0,
    overwrite: Annotated[bool, typer.Option(help="Replace a bundle of another job.")] = False,
) -> None:
    """Write a bundle: the visual and text embeddings of a model on a dataset.

    [bold]Example[/]: mitheory extract --split test --limit 512 --out bundles/fly
    """
    from mitheory.checks import lookup
    from mitheory.models.fruitfly import FruitFlyAdapter

    from .extraction import extract as write

    stream = lookup(dataset, DATASETS, "dataset")(split, limit=limit, seed=seed)
    adapter = FruitFlyAdapter(model, device=device)
    origin = provenance.collect(
        command=_command(),
        seed=seed,
        device=str(adapter.device),
        dtype="float32",
        model=model,
        revision=adapter.revision,
    )
    bundle = write(
        adapter,
        stream,
        out,
        origin,
        limit=limit,
        dtype=dtype,
        attention=attention,
        internals=internals,
        overwrite=overwrite,
    )
    console.print(f"{len(bundle)} samples in [bold]{out}[/]")


@app.command()
def audit(
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle; none for the claims that need none.")
    ] = None,
    out: Out = Path("audit"),
    claims: Annotated[
        str, typer.Option(help="Names, separated by commas; `mitheory claims` lists them.")
    ] = "",
    jobs: Annotated[int, typer.Option(help="Worker processes; -1 takes all cores.")] = 2,
    seed: Annotated[int, typer.Option(help="Of every random step; verdicts depend on it.")] = 0,
    model: Annotated[
        str, typer.Option(help="Checkpoint for claims with a model, if the bundle names none.")
    ] = "",
    scheduler: Annotated[
        str, typer.Option(help="Dask scheduler (tcp://...) whose workers see the same files.")
    ] = "",
) -> None:
    """Test every claim of the paper on a bundle of embeddings; write verdicts and a report.

    Says of each claim whether it holds on these embeddings, by how much, and how sure one can be.
    Holm's correction covers the claims of one run, so fewer --claims mean narrower intervals.
    Stopped at any moment and started again, it goes on where it was. Exit status 1 if a claim
    failed with an error (the others are written all the same).

    [bold]Example[/]: mitheory audit out/bundle --out audit/ --jobs 2
    """
    names = [name.strip() for name in claims.split(",") if name.strip()]
    options = {"seed": seed, "model": model or None}
    audited = _audit(bundle, out, names or None, options, jobs, scheduler or None)
    if audited.errors:
        raise typer.Exit(1)


def _audit(
    bundle: Path | None,
    out: Path,
    names: list[str] | None,
    options: dict[str, Any],
    jobs: int,
    scheduler: str | None = None,
) -> Audited:
    """Audit, write the report, print the ledger."""
    from mitheory.bundle import Bundle

    from .auditing import Options, run
    from .report import write

    audited = run(
        Bundle.open(bundle) if bundle is not None else None,
        out,
        claims=names,
        options=Options(**options),
        jobs=jobs,
        scheduler=scheduler,
        command=_command(),
    )
    page = write(out)
    console.print(verdict_table(audited))
    console.print(f"open [bold]{page}[/]")
    if audited.errors:
        console.print(f"[red]{len(audited.errors)} claims failed:[/] see {out / 'errors.json'}")
    return audited


def verdict_table(audited: Audited) -> Table:
    """A line per claim, as the terminal shows it."""
    whole = (Column(name, no_wrap=True) for name in ("claim", "verdict"))
    table = Table(*whole, "effect [95%]", "claimed", "n", "s", box=None, padding=(0, 1))
    for record in audited.records:
        effect, smallest = record["effect"], record["smallest_effect"]
        table.add_row(
            record["claim"],
            record["decision"] if not record["error"] else "error",
            "{value:.2g} [{low:.2g}, {high:.2g}] {unit}".format(**effect) if effect else "",
            f"{SIGNS[smallest['region']]} {smallest['value']:g}" if smallest else "",
            str(record["n"]),
            f"{audited.timings[record['claim']]:.0f}",
        )
    return table


@app.command()
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
    jobs: Annotated[int, typer.Option(help="Worker processes; -1 takes all cores.")] = 2,
    scheduler: Annotated[
        str, typer.Option(help="Dask scheduler (tcp://...) whose workers see the same files.")
    ] = "",
    device: Device = "cpu",
) -> None:
    """Change one thing and see what it does to the answers: a grid of settings, with intervals.

    A YAML grid is a list of mappings from an axis to a value or a list of values, each expanded
    on its own. Axes: method, budget (16, 0.25 or 64/576), mode, scope (what counts as T:
    question, prompt, prompt+instruction, content), positions (kept, compacted), order (raster,
    pick), search (eager, lazy, static_heap, top_k, stochastic), draw, and every option of the
    method: relevance_weight (or "paper"), temperature, aggregation (max, kl, joint, mean,
    renyi:2, lse), conditional (softmax, minmax, joint, sinkhorn), prior, self_loop,
    empty_redundancy, ...

    Writes results.parquet (a row per sample and cell), summary.csv and compared.csv. Killed at
    any moment and started again, it goes on where it was.

    [bold]Examples[/]:

    mitheory ablate --grid paper --limit 800 --out ablation/

    mitheory ablate --set method=mi_pruner --set budget=0.25,64/576 --set temperature=0.1,0.2
    --reference method=mi_pruner --out ablation/
    """
    from .ablation import ablate as compute
    from .ablation import load_grid, sources
    from .ablation.grids import parse_axes
    from .ablation.reporting import printed, reference_of, write_tables
    from .ablation.running import job_of, prepared

    cells = load_grid(grid if grid or change else "paper", parse_axes(change or []))
    reference_of(cells, reference)  # a wrong name is told before the work
    models, datasets, splits = (
        [name.strip() for name in text.split(",")] for text in (model, dataset, split)
    )
    runs = {s: out / s.name for s in sources(models, datasets, splits, limit)}
    for source, folder in runs.items():
        bundle = prepared(folder, source, seed=seed, device=device, command=_command())
        console.print(f"{len(cells)} cells on {source.name}")
        job = job_of(bundle, folder, source.model, seed=seed, device=device)
        compute(cells, job, jobs=jobs, scheduler=scheduler or None)
    table = write_tables(out, cells, reference, runs)
    console.print(printed(table, reference))
    console.print(f"{len(table)} comparisons in [bold]{out / 'compared.csv'}[/]")


@app.command()
def claims() -> None:
    """List the claims that `mitheory audit` can test.

    [bold]Example[/]: mitheory claims
    """
    from .claims import CLAIMS

    table = Table("claim", "kind", "source", "statement", "needs")
    for claim in CLAIMS.values():
        needs = ", ".join(claim.needs) if claim.needs_bundle else "no bundle"
        table.add_row(claim.name, claim.kind, claim.source, claim.statement, needs)
    Console().print(table)


@app.command()
def calibrate(
    out: Out = Path("calibration"),
    parts: Annotated[
        str, typer.Option(help="Of estimators, independence, verdicts; all without.")
    ] = "",
    quick: Annotated[bool, typer.Option("--quick", help="A thin slice: a minute.")] = False,
    jobs: Annotated[int, typer.Option(help="Worker processes; -1 takes all cores.")] = 2,
    seed: Annotated[int, typer.Option(help="Of every simulation.")] = 0,
) -> None:
    """Measure estimators, independence tests and the decision rule where the truth is known.

    Writes bias, spread and coverage of every estimator on every ground truth, size and power of
    the independence tests, and the error rates of the verdicts. Resumable.

    [bold]Example[/]: mitheory calibrate --quick --out calibration/
    """
    from .calibration import PARTS
    from .calibration import calibrate as measure

    names = tuple(name.strip() for name in parts.split(",") if name.strip())
    measure(out, parts=names or tuple(PARTS), quick=quick, jobs=jobs, seed=seed)
    console.print(f"tables in [bold]{out}[/]")


@app.command()
def dtypes(
    out: Out = Path("precision"),
    model: Annotated[
        str, typer.Option(help="fruitfly, fruitfly-contrastive, or a checkpoint file.")
    ] = "fruitfly",
    images: Annotated[int, typer.Option(help="Two questions about each.", min=2)] = 300,
    seed: Seed = 0,
) -> None:
    """Count the kept tokens that change between float16, bfloat16, float32 and float64.

    Writes dtypes.csv (one row per method, budget and precision) and provenance.json.

    [bold]Example[/]: mitheory dtypes --model fruitfly --out precision/
    """
    from mitheory.io import atomic_write_csv, atomic_write_json

    from .precision import precision

    table = precision(model, images=images, seed=seed)
    atomic_write_csv(out / "dtypes.csv", table.round(5))
    command = f"mitheory dtypes --model {model} --images {images} --seed {seed}"  # wherever to
    origin = provenance.collect(command=command, seed=seed, model=model)
    atomic_write_json(out / "provenance.json", origin.to_dict())
    console.print(f"table in [bold]{out / 'dtypes.csv'}[/]")


@app.command()
def datasets() -> None:
    """List the benchmarks: splits, conventions, files that are needed and where they come from.

    [bold]Example[/]: mitheory datasets
    """
    from .datasets.listing import description

    for text in description():
        Console().print(text, markup=False, highlight=False, soft_wrap=True)


@app.command()
def score(
    dataset: Annotated[str, typer.Argument(help="A benchmark; `mitheory datasets` lists them.")],
    answers: Annotated[
        Path, typer.Option(help="JSON Lines with sample_id and answer (or error) a line.")
    ],
    root: Annotated[
        Path | None, typer.Option(help="Folder with the official files; images are not needed.")
    ] = None,
    hub: Annotated[
        bool, typer.Option("--hub", help="Read the questions from the Hugging Face Hub.")
    ] = False,
    out: Out = Path("scores"),
    split: Annotated[str, typer.Option(help="The benchmark's first without.")] = "",
    convention: Annotated[str, typer.Option(help="How to grade; the first without.")] = "",
    limit: Annotated[int, typer.Option(help="The first questions; 0 takes all.", min=0)] = 0,
    missing: Annotated[
        str, typer.Option(help="Questions without an answer: refuse, or count as wrong.")
    ] = "refuse",
    judge_url: Annotated[
        str, typer.Option(help="OpenAI-compatible endpoint, such as https://api.openai.com/v1.")
    ] = "",
    judge_model: Annotated[str, typer.Option(help="Model of that endpoint.")] = "",
    judge_key: Annotated[
        str, typer.Option(help="Environment variable that holds the key.")
    ] = "OPENAI_API_KEY",
    judge_prompt: Annotated[
        Path | None,
        typer.Option(help="Prompt of the judge: a text, or the official evaluator's .py."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the intervals.")] = 0,
) -> None:
    """Score a file of answers as the field does, with intervals over images.

    Writes scores.csv and scores.parquet (a row per metric and group), samples.parquet (a row per
    question), provenance.json, and judgements.jsonl where a judge is asked: what it has said is
    not asked again.

    [bold]Example[/]: mitheory score pope --root data/pope --answers answers.jsonl
    """
    from .datasets.judging import OpenAICompatible
    from .datasets.listing import Job, score_file

    judge = (
        OpenAICompatible(judge_url, judge_model, judge_key) if judge_url or judge_model else None
    )
    job = Job(dataset, answers, root, hub, split, convention, limit, missing, judge_prompt, seed)
    table = score_file(job, out, judge, command=_command())
    shown = Table("group", "metric", "value [95%]", "n", "failed", "note", box=None)
    for row in json.loads(table.to_json(orient="records")):
        value = (
            f"{_short(row['value'])} [{_short(row['low'])}, {_short(row['high'])}] {row['unit']}"
        )
        shown.add_row(
            row["group"], row["metric"], value, str(row["n"]), str(row["failed"]), row["note"]
        )
    console.print(shown)
    console.print(f"tables in [bold]{out}[/]")


@app.command()
def inspect(path: Annotated[Path, typer.Argument(help="A bundle.")]) -> None:
    """Print what a bundle holds and where it came from.

    [bold]Example[/]: mitheory inspect bundles/fly
    """
    from mitheory.bundle import inspect as describe

    table = Table("field", "value", title=str(path))
    for key, value in describe(path).items():
        table.add_row(str(key), str(value))
    console.print(table)


@app.command()
def card(
    out: Annotated[Path, typer.Option(help="Markdown file to write.")] = Path("docs/model_card.md"),
    limit: Annotated[int, typer.Option(help="Test questions per checkpoint.", min=16)] = 4096,
) -> None:
    """Measure the shipped checkpoints on held-out scenes and write their model card.

    [bold]Example[/]: mitheory card --out docs/model_card.md
    """
    from mitheory.io import atomic_write_text

    from .model_card import write

    atomic_write_text(out, write(limit=limit) + "\n")
    console.print(f"wrote [bold]{out}[/]")


def _short(number: float | None) -> str:
    """A number of a table, "–" where it is undefined."""
    return "–" if number is None else f"{number:.4g}"


def _command() -> str:
    """The command line as the user would type it again."""
    return " ".join(["mitheory", *sys.argv[1:]])


def main() -> None:
    """Entry point: a known error is one line and exit status 2, never a traceback."""
    try:
        app()
    except MitheoryError as error:
        console.print(f"[red]error:[/] {error}", soft_wrap=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
