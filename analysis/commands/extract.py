"""`mitheory extract`: embeddings to disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..datasets import DATASETS
from ..manners import PartFailed, say
from .options import (
    AttnImplementation,
    Device,
    DeviceMap,
    ModelDtype,
    Out,
    Revision,
    Scheduler,
    Seed,
    With,
    loading_of,
)


def extract(
    out: Out,
    model: Annotated[
        str,
        typer.Option(
            help="fruitfly, fruitfly-contrastive, owner/name on the Hugging Face Hub, a folder "
            "with a checkpoint, or module:factory of an adapter of your own."
        ),
    ] = "fruitfly",
    dataset: Annotated[
        str,
        typer.Option(help=f"One of: {', '.join(DATASETS)}.", autocompletion=lambda: list(DATASETS)),
    ] = "fruitfly",
    root: Annotated[
        Path | None,
        typer.Option(help="Folder with a benchmark's official files, or your questions.jsonl."),
    ] = None,
    hub: Annotated[
        bool, typer.Option("--hub", help="Read a benchmark from the Hugging Face Hub.")
    ] = False,
    split: Annotated[str, typer.Option(help="Of the dataset; its default without.")] = "",
    convention: Annotated[
        str, typer.Option(help="Of a benchmark, which fixes the prompts; the first without.")
    ] = "",
    limit: Annotated[
        int, typer.Option(help="Questions; 0 takes all of a benchmark, 512 of others.", min=0)
    ] = 0,
    seed: Seed = 0,
    device: Device = "cpu",
    dtype: Annotated[str, typer.Option(help="On disk: float16, bfloat16 or float32.")] = "float16",
    attention: Annotated[
        bool, typer.Option(help="Store the encoder's full attention (the largest array).")
    ] = True,
    internals: Annotated[
        int, typer.Option(help="Store what the decoder holds before this block; 0: none.", min=0)
    ] = 0,
    parts: Annotated[int, typer.Option(help="Parts that --jobs or --scheduler share.", min=1)] = 1,
    jobs: Annotated[int, typer.Option(help="Worker processes for the parts.", min=1)] = 1,
    scheduler: Scheduler = "",
    model_dtype: ModelDtype = "",
    revision: Revision = "",
    device_map: DeviceMap = "",
    attn_implementation: AttnImplementation = "",
    further: With = None,
    overwrite: Annotated[
        bool,
        typer.Option(help="Replace a bundle of another job, or one in which questions failed."),
    ] = False,
) -> Any:
    """Write a bundle: the visual and text embeddings of a model on a dataset.

    A question whose image cannot be read, or that the model does not take, is a row of
    OUT.errors.jsonl and not the end. Stopped at any moment and started again, it goes on where it
    was. Under torchrun, srun or mpirun every process writes its part, and the last one joins them.

    [bold]Examples[/]:

    mitheory extract --split test --limit 512 --out bundles/fly

    mitheory extract --model Qwen/Qwen3-VL-2B-Instruct --dataset pope --root data/pope --split test
    --limit 500 --device auto --out bundles/pope
    """
    from ..datasets.listing import check_source
    from ..extraction import Extraction, run
    from ..extraction.failures import log_of, read_log

    check_source(dataset, root, hub=hub)
    loading = loading_of(model_dtype, revision, device_map, attn_implementation, further)
    job = Extraction(
        model, dataset, split, limit, root, convention, seed, device, dtype, attention, internals,
        loading,
    )  # fmt: skip
    bundle = run(job, out, parts=parts, jobs=jobs, scheduler=scheduler or None, overwrite=overwrite)
    if bundle is None:
        say(f"this part is done; the last worker joins them to [bold]{out}[/]")
        return {"bundle": None, "samples": 0, "failed": 0}
    say(f"{len(bundle)} samples in [bold]{out}[/]")
    failed = len(read_log(log_of(out)))
    outcome = {"bundle": out, "samples": len(bundle), "failed": failed}
    if failed:
        say(f"[red]{failed} questions failed:[/] see {log_of(out)}")
    return PartFailed(outcome) if failed else outcome
