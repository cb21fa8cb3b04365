"""`mitheory extract`: embeddings to disk."""

from __future__ import annotations

from typing import Annotated

import typer

from mitheory import provenance

from ..datasets import DATASETS
from ..progress import console
from .options import Device, Model, Out, Seed, command_line


def extract(
    out: Out,
    model: Model = "fruitfly",
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

    from ..extraction import extract as write

    stream = lookup(dataset, DATASETS, "dataset")(split, limit=limit, seed=seed)
    adapter = FruitFlyAdapter(model, device=device)
    origin = provenance.collect(
        command=command_line(),
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
