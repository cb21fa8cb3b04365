"""A question as it was typed on the command line: checked before the model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import yaml

from mitheory.errors import BudgetError, MissingInputError, ParameterError
from mitheory.io import replacing
from mitheory.models.base import Example
from mitheory.models.fruitfly import FruitFlyAdapter
from mitheory.models.resolving import load_adapter
from mitheory.names import lookup
from mitheory.plot.style import DPI, theme
from mitheory.selection import SELECTORS, Mode

from .asking import Asked, ask
from .examples import about_picture, about_scene, for_fruitfly
from .picture import drawn

ENDINGS = (".png", ".pdf")


def typed(
    question: str,
    *,
    model: str,
    image: Path | None,
    scene: int,
    budget: str,
    method: str,
    change: Sequence[str],
    mode: str,
    frames: int,
    out: Path,
    seed: int,
    device: str,
) -> tuple[Asked, Path]:
    """What came of the question, and the picture that was written.

    Raises
    ------
    MitheoryError
        For whatever of it cannot be done.
    """
    kept = parse_budget(budget)
    options = parse_options(method, change)
    lookup(mode, {"exact": 0, "faithful": 0}, "mode")
    if out.suffix not in ENDINGS:
        raise ParameterError(f"out: expected a name that ends in {ENDINGS}, got {out.name!r}")
    example = example_of(question, image, scene, frames=frames, seed=seed)
    adapter = load_adapter(model, device=device)
    if isinstance(adapter, FruitFlyAdapter):
        example = for_fruitfly(example)
    asked = ask(
        adapter, example, method, budget=kept, seed=seed, mode=cast(Mode, mode), options=options
    )
    with theme():
        figure = drawn(asked)
        with replacing(out) as temporary:
            figure.savefig(temporary, format=out.suffix[1:], dpi=DPI)
    return asked, out


def example_of(
    question: str, image: Path | None, scene: int, *, frames: int = 8, seed: int = 0
) -> Example:
    """The example about the image or about the scene, whichever was named.

    Raises
    ------
    MissingInputError
        If neither was.
    ParameterError
        If both were.
    """
    if image is None and scene < 0:
        raise MissingInputError("picture: expected --image FILE, or --scene NUMBER, got neither")
    if image is not None and scene >= 0:
        raise ParameterError("picture: expected --image FILE or --scene NUMBER, got both")
    if image is not None:
        return about_picture(image, question, frames=frames)
    return about_scene(scene, question, seed=seed)


def parse_budget(text: str) -> int | float:
    """A number of tokens, or a ratio of them.

    Raises
    ------
    BudgetError
        If it is neither.

    Examples
    --------
    >>> parse_budget("64"), parse_budget("0.25"), parse_budget("64/256")
    (64, 0.25, 0.25)
    """
    try:
        return int(text) if text.isdecimal() else float(Fraction(text))
    except (ValueError, ZeroDivisionError) as error:
        raise BudgetError(
            f"budget: expected a number of tokens such as 64, or a ratio such as 0.25 or 64/576, "
            f"got {text!r}"
        ) from error


def parse_options(method: str, change: Sequence[str]) -> dict[str, Any]:
    """Options of a method from ``name=value``.

    Raises
    ------
    UnknownNameError
        If there is no such method, or it has no such option.
    ParameterError
        If there is no value.

    Examples
    --------
    >>> parse_options("mi_pruner", ["temperature=0.2", "aggregation=mean"])
    {'temperature': 0.2, 'aggregation': 'mean'}
    """
    known = lookup(method, SELECTORS, "method").defaults
    found = {}
    for text in change:
        name, sign, value = text.partition("=")
        if not sign:
            raise ParameterError(f"--set: expected option=value, got {text!r}")
        lookup(name, known, f"option of {method}")
        found[name] = yaml.safe_load(value)
    return found
