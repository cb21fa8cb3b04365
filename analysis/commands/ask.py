"""`mitheory ask`: one question about one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ..manners import say, show
from .options import Device

if TYPE_CHECKING:
    from ..dialogue import Asked


def ask(
    question: Annotated[
        str, typer.Argument(help="In quotation marks; of a scene its own first one without.")
    ] = "",
    model: Annotated[
        str,
        typer.Option(
            help="fruitfly, fruitfly-contrastive, a checkpoint (file, folder, or owner/name on the "
            "Hugging Face Hub), or module:factory of an adapter.",
            autocompletion=lambda: ["fruitfly", "fruitfly-contrastive"],
        ),
    ] = "fruitfly",
    image: Annotated[Path | None, typer.Option(help="An image, or a video.")] = None,
    scene: Annotated[
        int, typer.Option(help="Number of a held-out scene of the fruit-fly, without an image.")
    ] = -1,
    budget: Annotated[
        str, typer.Option(help="Tokens to keep: 64, or a ratio such as 0.25 or 64/576.")
    ] = "64",
    method: Annotated[str, typer.Option(help="Name of a method.")] = "mi_pruner",
    change: Annotated[
        list[str] | None, typer.Option("--set", help="option=value of the method.")
    ] = None,
    mode: Annotated[str, typer.Option(help="exact, or faithful to the public code.")] = "exact",
    frames: Annotated[int, typer.Option(help="Of a video.", min=1)] = 8,
    out: Annotated[Path, typer.Option(help="Picture to write, .png or .pdf.")] = Path("asked.png"),
    seed: Annotated[int, typer.Option(help="Of the scenes and of methods that draw.")] = 0,
    device: Device = "cpu",
) -> dict[str, Any]:
    """Ask one question with all visual tokens and with those that a method keeps.

    Prints both answers, the tokens kept and the seconds of every step, and saves the picture with
    what is kept.

    [bold]Examples[/]:

    mitheory ask --scene 7 --budget 16

    mitheory ask "What color is the four?" --scene 7 --budget 16 --method divprune
    """
    from ..dialogue.typed import typed

    asked, path = typed(
        question, model=model, image=image, scene=scene, budget=budget, method=method,
        change=change or [], mode=mode, frames=frames, out=out, seed=seed, device=device,
    )  # fmt: skip
    show(_table(asked), highlight=False)
    if asked.selection.merge is not None:
        shown = "the averages" if asked.is_merged else "the kept ones as they were"
        say(f"{method} merges tokens; the model was shown {shown}")
    say(f"picture in [bold]{escape(str(path))}[/]")
    return {"model": model, **asked.outcome(), "picture": path}


def _table(asked: Asked) -> Table:
    """Both answers beside what they are made from."""
    kept, seconds = asked.selection, asked.seconds
    title = asked.sample.question + (f"  (true: {asked.sample.answer})" * bool(asked.sample.answer))
    table = Table("", "answer", "tokens", "s to choose", "s to answer", title=escape(title))
    table.add_row("all", escape(asked.full.text), str(asked.sample.n_v), "", _s(seconds["full"]))
    table.add_row(
        kept.method, escape(asked.pruned.text), str(kept.n_kept), _s(seconds["select"]),
        _s(seconds["pruned"]),
    )  # fmt: skip
    return table


def _s(seconds: float) -> str:
    return f"{seconds:.3f}"
