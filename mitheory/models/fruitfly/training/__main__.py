"""Train the fruit-fly from nothing: ``python -m mitheory.models.fruitfly.training --help``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer

from .. import checkpoint
from ..network import FruitFly
from . import alignment, encoder, finetuning, symbolic
from .loop import Stage, load_modules, read_log, train, write_log

STEPS = {
    "encoder": 1800,
    "encoder-again": 1000,
    "symbolic": 2000,
    "symbolic-again": 1300,
    "aligned": 400,
    "aligned-contrastive": 200,
    "joint": 2200,
    "fruitfly": 3700,
    "joint-contrastive": 1700,
    "fruitfly-contrastive": 1400,
}
PRETRAINED: dict[str, tuple[str, ...]] = {
    "encoder-again": ("encoder",),
    "symbolic-again": ("decoder",),
}
# what each stage starts from: an earlier stage -> the modules taken from it; "..." is all of them,
# that is, the earlier stage goes on with its learning rate raised again
NEEDS: dict[str, dict[str, tuple[str, ...]]] = {
    "encoder": {},
    "encoder-again": {"encoder": ("...",)},
    "symbolic": {},
    "symbolic-again": {"symbolic": ("...",)},
    "aligned": PRETRAINED,
    "aligned-contrastive": PRETRAINED,
    "joint": {"aligned": ("...",)},
    "fruitfly": {"joint": ("...",)},
    "joint-contrastive": {"aligned-contrastive": ("...",)},
    "fruitfly-contrastive": {"joint-contrastive": ("...",)},
}
BUILD: dict[str, Callable[[FruitFly, int], Stage]] = {
    "encoder": encoder.stage,
    "encoder-again": lambda m, n: encoder.stage(m, n, name="encoder-again"),
    "symbolic": symbolic.stage,
    # relations take two hops and are learned last: half of the questions are theirs
    "symbolic-again": lambda m, n: symbolic.stage(
        m, n, name="symbolic-again", weights=symbolic.WEIGHTS | {"relation": 16.0}
    ),
    "aligned": alignment.language_stage,
    "aligned-contrastive": alignment.contrastive_stage,
    "joint": lambda m, n: finetuning.stage(m, n, name="joint", hold=1.0),
    "fruitfly": lambda m, n: finetuning.stage(
        m, n, name="fruitfly", weights=finetuning.RELATIONS_FIRST
    ),
    "joint-contrastive": lambda m, n: finetuning.stage(
        m, n, name="joint-contrastive", contrastive_weight=0.3
    ),
    "fruitfly-contrastive": lambda m, n: finetuning.stage(
        m,
        n,
        name="fruitfly-contrastive",
        weights=finetuning.RELATIONS_FIRST,
        contrastive_weight=0.3,
    ),
}

app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command()
def run(
    out: Annotated[Path, typer.Option(help="Folder for weights, resume files and log.jsonl.")],
    stages: Annotated[str, typer.Option(help="Comma-separated stages, in order.")] = ",".join(
        STEPS
    ),
    steps: Annotated[int, typer.Option(help="Steps of each stage; 0 takes the defaults.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of weights and data.")] = 0,
    bf16: Annotated[
        bool, typer.Option(help="Linear layers in bfloat16 (1.4x faster here).")
    ] = True,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    every: Annotated[int, typer.Option(help="Steps between log rows and resume points.")] = 100,
) -> None:
    """Train stage by stage; a stage that was interrupted goes on where it stopped."""
    torch.set_num_threads(threads)
    for name in stages.split(","):
        torch.manual_seed(seed)
        model = FruitFly()
        stage = BUILD[name](model, steps or STEPS[name])
        for source, parts in NEEDS[name].items():
            everything = dict(stage.modules)
            modules = everything if parts == ("...",) else {p: everything[p] for p in parts}
            load_modules(modules, out / f"{source}.safetensors")
        train(stage, out, seed=seed, every=every, bf16=bf16)


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder of a finished training run.")],
    name: Annotated[str, typer.Option(help="fruitfly or fruitfly-contrastive.")] = "fruitfly",
    to: Annotated[
        Path | None, typer.Option(help="File to write; default: into the package.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed the run was made with.")] = 0,
) -> None:
    """Write the weights of a finished stage as a checkpoint, with its history as its card."""
    model = FruitFly()
    parts = ("encoder", "projector", "decoder")
    load_modules({part: getattr(model, part) for part in parts}, out / f"{name}.safetensors")
    rows = read_log(out / "log.jsonl")
    stages = _ancestors(name)
    last = {stage: [r for r in rows if r["stage"] == stage][-1] for stage in stages}
    card = {
        "stages": stages,
        "steps": {stage: row["step"] for stage, row in last.items()},
        "seed": seed,
        "validation": {
            k: v for k, v in last[name].items() if k not in ("stage", "step", "seconds")
        },
    }
    target = to or Path(str(checkpoint.path_of(name)))
    target.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save(model, target, card)
    write_log(target.with_suffix(".log.jsonl"), [r for r in rows if r["stage"] in stages])
    print(json.dumps(card, indent=1))


def _ancestors(name: str) -> list[str]:
    """The stages that led to `name`, earliest first, itself last."""
    before = [stage for source in NEEDS[name] for stage in _ancestors(source)]
    return [*dict.fromkeys(before), name]


if __name__ == "__main__":
    app()
