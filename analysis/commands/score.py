"""`mitheory score`: a file of answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ..datasets import BENCHMARKS
from ..manners import say, show
from .options import (
    JudgeKey,
    JudgeModel,
    JudgePrompt,
    JudgeUrl,
    Out,
    command_line,
    judge_of,
)


def score(
    dataset: Annotated[
        str,
        typer.Argument(
            help="A benchmark; `mitheory datasets` lists them.",
            autocompletion=lambda: list(BENCHMARKS),
        ),
    ],
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
    judge_url: JudgeUrl = "",
    judge_model: JudgeModel = "",
    judge_key: JudgeKey = "OPENAI_API_KEY",
    judge_prompt: JudgePrompt = None,
    seed: Annotated[int, typer.Option(help="Of the intervals.")] = 0,
) -> dict[str, Any]:
    """Score a file of answers as the field does, with intervals over images.

    Writes scores.csv and scores.parquet (a row per metric and group), samples.parquet (a row per
    question), provenance.json, and judgements.jsonl where a judge is asked: what it has said is
    not asked again.

    [bold]Example[/]: mitheory score pope --root data/pope --answers answers.jsonl
    """
    from ..datasets.listing import Job, score_file

    job = Job(dataset, answers, root, hub, split, convention, limit, missing, judge_prompt, seed)
    judge = judge_of(judge_url, judge_model, judge_key)
    table = score_file(job, out, judge, command=command_line())
    shown = Table("group", "metric", "value [95%]", "n", "failed", "note", box=None)
    for row in json.loads(table.to_json(orient="records")):
        value = (
            f"{_short(row['value'])} [{_short(row['low'])}, {_short(row['high'])}] {row['unit']}"
        )
        shown.add_row(
            row["group"], row["metric"], value, str(row["n"]), str(row["failed"]), row["note"]
        )
    show(shown)
    say(f"tables in [bold]{out}[/]")
    return {"folder": out, "scores": table}


def _short(number: float | None) -> str:
    """A number of a table, "–" where it is undefined."""
    return "–" if number is None else f"{number:.4g}"
