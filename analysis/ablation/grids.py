"""Grids by name, and from YAML files: lists of axes, each expanded on its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mitheory.checks import lookup
from mitheory.errors import MitheoryError, ParameterError

from .configuration import FULL, Configuration, expand

RATIOS = [0.5, 0.25, 1 / 9, 1 / 18]
"""288, 144, 64 and 32 of 576, the paper's budgets; 72, 36, 16 and 8 of 144."""

PAPER_RATIOS = [128 / 576, 64 / 576, 32 / 576]
"""128, 64 and 32 of 576, the budgets of Tab. 1."""

MAIN = {"method": "mi_pruner", "relevance_weight": "paper"}


def paper() -> list[dict[str, Any]]:
    """What the paper varies, at its budgets (Secs. 4.2, 4.3; App. B)."""
    peers = ["similarity", "centered_similarity", "attention", "cls_attention", "divprune"]
    return [
        {"method": FULL},
        {**MAIN, "budget": RATIOS},
        {"method": "random", "budget": RATIOS, "draw": [0, 1, 2]},
        {"method": peers, "budget": RATIOS},
        {**CDPRUNER, "budget": RATIOS},
        {"method": "mi_attention", "relevance_weight": "paper", "budget": RATIOS},
        {**MAIN, "budget": RATIOS, "aggregation": ["kl", "mean", "lse"]},
        {**MAIN, "budget": RATIOS, "aggregation": "kl", "redundancy_aggregation": "global"},
        {"method": "mi_pruner", "budget": RATIOS, "relevance_weight": [0.0, 0.25, 0.5, 0.75, 1.0]},
        {**MAIN, "budget": RATIOS, "temperature": [0.01, 0.03, 0.2, 0.5, 1.0]},
        {**MAIN, "budget": RATIOS, "conditional": "minmax"},
    ]


def full() -> list[dict[str, Any]]:
    """`paper` and every other axis, one changed at a time from MI-Pruner as the paper has it."""
    alphas = [f"renyi:{a}" for a in (1.25, 1.5, 2, 3, 5, 10, 30)]
    return [
        *paper(),
        {**MAIN, "budget": PAPER_RATIOS},
        {"method": "random", "budget": PAPER_RATIOS, "draw": [0, 1, 2]},
        {"method": ["similarity", "cls_attention", "divprune"], "budget": PAPER_RATIOS},
        {**MAIN, "budget": RATIOS, "aggregation": [*alphas, "joint"]},
        {**MAIN, "budget": RATIOS, "conditional": ["joint", "sinkhorn", "softmax_over_vision"]},
        {**MAIN, "budget": RATIOS, "prior": ["stationary", "energy"]},
        {**MAIN, "budget": RATIOS, "prior": ["center_biased", "rule_of_thirds", "golden_ratio"]},
        {**MAIN, "budget": RATIOS, "self_loop": False},
        {**MAIN, "budget": RATIOS, "self_marginal": "total_probability"},
        {**MAIN, "budget": RATIOS, "self_temperature": [0.03, 0.3]},
        {**MAIN, "budget": RATIOS, "empty_redundancy": -5.0},
        {**MAIN, "budget": RATIOS, "scope": ["question", "content", "prompt+instruction"]},
        {**MAIN, "budget": RATIOS, "positions": "compacted"},
        {**MAIN, "budget": RATIOS, "order": "pick"},
        {**MAIN, "budget": RATIOS, "search": ["lazy", "static_heap", "top_k", "stochastic"]},
        {**MAIN, "method": "mi_attention", "budget": RATIOS, "attention_ratio": [0.25, 0.75]},
    ]


CDPRUNER = {"method": "cdpruner", "relevance_source": "tokens", "sign": 1.0}
"""Relevance from V and T by explicit choice: the fruit-fly has no CLIP."""

GRIDS: dict[str, Callable[[], list[dict[str, Any]]]] = {"paper": paper, "full": full}


def load_grid(name: str, axes: Mapping[str, Any] | None = None) -> list[Configuration]:
    """The cells of a grid, each once.

    Parameters
    ----------
    name : of `GRIDS`, or a YAML file: a list of mappings from an axis (a field of `Configuration`
        or an option of the method) to a value or a list of values; "" is one empty mapping
    axes : values that replace those of every entry, or are added to it; the cell that keeps
        everything is left as it is

    Raises
    ------
    ParameterError
        If the file is no such list, or a cell is not valid; the message says which entry.
    UnknownNameError
        If it is neither a known name nor a file.

    Examples
    --------
    >>> cells = load_grid("", {"method": ["random", "divprune"], "budget": "64/576"})
    >>> [(cell.method, round(cell.budget, 3)) for cell in cells]
    [('random', 0.111), ('divprune', 0.111)]
    """
    if name.endswith((".yaml", ".yml")):
        blocks = _read(Path(name))
    else:
        blocks = lookup(name, GRIDS, "grid")() if name else [{}]
    cells: dict[str, Configuration] = {}
    for i, block in enumerate(blocks):
        own = block if block.get("method") == FULL else {**block, **(axes or {})}
        try:
            cells |= {cell.identity: cell for cell in expand(own)}
        except MitheoryError as error:
            raise ParameterError(f"{name or 'axes'}: entry {i + 1}: {error}") from error
    return list(cells.values())


def parse_axes(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Axes from "axis=value,value", as the command line has them; values are read as YAML.

    Raises
    ------
    ParameterError
        If a text is not of that form, or an axis comes twice.

    Examples
    --------
    >>> parse_axes(["budget=64/576,0.25,16", "self_loop=true,false", "aggregation=max,renyi:2"])
    {'budget': ['64/576', 0.25, 16], 'self_loop': [True, False], 'aggregation': ['max', 'renyi:2']}
    """
    found: dict[str, list[Any]] = {}
    for text in texts:
        name, sign, values = text.partition("=")
        name = name.strip()
        if not (name and sign and values) or name in found:
            raise ParameterError(f"set: expected axis=value,value, each axis once, got {text!r}")
        found[name] = [yaml.safe_load(value) for value in values.split(",")]
    return found


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ParameterError(f"grid: expected a file, got {path}, which is not there") from error
    except yaml.YAMLError as error:
        raise ParameterError(f"{path}: expected YAML: {error}") from error
    blocks = found if isinstance(found, list) else [found]
    if not blocks or not all(isinstance(b, dict) and b for b in blocks):
        raise ParameterError(
            f"{path}: expected a list of mappings from an axis to its values, got {found!r}"
        )
    return blocks
