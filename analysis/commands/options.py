"""Options that several commands share."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from mitheory.errors import ParameterError

from ..manners import FLAGS

if TYPE_CHECKING:
    from ..datasets.judging import OpenAICompatible

Out = Annotated[Path, typer.Option(help="Folder to write to; made if missing.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto.")]
Seed = Annotated[int, typer.Option(help="Seed of the scenes and of every random selector.")]


def some(count: int) -> int:
    """A number of workers, none of which is an error before any work."""
    if count == 0:
        raise typer.BadParameter("expected 1 or more, or -1 for all cores, got 0")
    return count


Jobs = Annotated[
    int, typer.Option("--jobs", help="Worker processes; -1 takes all cores.", callback=some)
]
Model = Annotated[
    str,
    typer.Option(
        help="fruitfly, fruitfly-contrastive, or a checkpoint file.",
        autocompletion=lambda: ["fruitfly", "fruitfly-contrastive"],
    ),
]
Scheduler = Annotated[
    str, typer.Option(help="Dask scheduler (tcp://...) whose workers see the same files.")
]
ModelDtype = Annotated[
    str, typer.Option(help="Of the weights: auto, float32, bfloat16 or float16.")
]
Revision = Annotated[str, typer.Option(help="Of a checkpoint on the Hub: branch, tag or commit.")]
DeviceMap = Annotated[
    str, typer.Option(help="Of accelerate, such as auto: a model over several GPUs.")
]
AttnImplementation = Annotated[str, typer.Option(help="sdpa, eager or flash_attention_2.")]
With = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        help="Further options of the adapter, name=value each: text_scope=user_turn, "
        "newline=always, batch_size=4, ...",
    ),
]

JudgeUrl = Annotated[
    str, typer.Option(help="OpenAI-compatible endpoint, such as https://api.openai.com/v1.")
]
JudgeModel = Annotated[str, typer.Option(help="Model of that endpoint.")]
JudgeKey = Annotated[str, typer.Option(help="Environment variable that holds the key.")]
JudgePrompt = Annotated[
    Path | None, typer.Option(help="Prompt of the judge: a text, or the official evaluator's .py.")
]


def judge_of(url: str, model: str, key: str) -> OpenAICompatible | None:
    """The judge that the command line names; none where it names neither endpoint nor model."""
    from ..datasets.judging import OpenAICompatible

    return OpenAICompatible(url, model, key) if url or model else None


def loading_of(
    model_dtype: str,
    revision: str,
    device_map: str,
    attn_implementation: str,
    further: list[str] | None,
) -> dict[str, Any]:
    """Options of `load_adapter` from those of the command line; what is not given is left out.

    Raises
    ------
    ParameterError
        If a further option is not of the form name=value.

    Examples
    --------
    >>> loading_of("bfloat16", "", "", "", ["batch_size=4"])
    {'dtype': 'bfloat16', 'batch_size': 4}
    """
    given: dict[str, Any] = {
        "dtype": model_dtype,
        "revision": revision,
        "device_map": device_map,
        "attn_implementation": attn_implementation,
    }
    found = {name: value for name, value in given.items() if value}
    for text in further or []:
        name, sign, value = text.partition("=")
        if not (name and sign) or name in found:
            raise ParameterError(f"with: expected name=value, each name once, got {text!r}")
        found[name] = yaml.safe_load(value)
    return found


def command_line() -> str:
    """The command line as the user would type it again, without what changes no result."""
    return shlex.join(["mitheory", *(word for word in sys.argv[1:] if word not in FLAGS)])
