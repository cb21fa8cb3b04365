"""The numbers that the paper prints, as transcribed in ``tables.csv``; never ours."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pandas as pd

from mitheory.errors import ParameterError, UnknownNameError

from .cells import groups, mean, printed_cells
from .checks.averages import SPLITS

MODEL = "LLaVA1.5-7B"
MODEL_LABEL = "LLaVA-1.5-7B"
N_V = {"LLaVA1.5-7B": 576, "LLaVA1.5-13B": 576}  # 24 x 24 patches of CLIP ViT-L/14 at 336 pixels
COLUMNS = ("table", "model", "keep", "method", "metric", "value", "err")

# our name of a method, by the one that the paper prints
METHODS = {
    "Full": "full",
    "Random": "random",
    "Similarity": "similarity",  # over the words by maximum or mean: the paper does not say
    "MI-Attention": "mi_attention",
    "MI-Pruner": "mi_pruner",
    "CDPruner": "cdpruner",
}


@cache
def _transcription() -> pd.DataFrame:
    table = pd.read_csv(Path(__file__).with_name("tables.csv"), dtype={"keep": str})
    if tuple(table.columns) != COLUMNS:
        raise ParameterError(f"tables.csv must have columns {COLUMNS}; got {tuple(table.columns)}")
    return table


def printed(table: int, *, model: str = MODEL) -> pd.DataFrame:
    """The printed cells of one table of the paper, for one model.

    Parameters
    ----------
    table : number of the table in the paper
    model : as the paper writes it

    Returns
    -------
    DataFrame
        Columns ``method`` (as printed), ``option`` (the number or name in parentheses, else None),
        ``metric``, ``value``, ``tokens`` and ``ratio`` (of the model's visual tokens).

    Raises
    ------
    UnknownNameError
        If the paper prints nothing for this table and model.

    Examples
    --------
    >>> rows = printed(5)
    >>> rows[(rows.metric == "GQA") & (rows.tokens == 64)][["option", "value"]].values.tolist()
    [['0.01', 55.26], ['0.1', 56.88], ['0.5', 54.32]]
    """
    cells = _transcription()
    cells = cells[(cells["table"] == table) & (cells["model"] == model)]
    if cells.empty or model not in N_V:
        raise UnknownNameError(f"tables.csv prints no table {table} for model {model!r}")
    tokens = [N_V[model] if keep == "full" else int(keep) for keep in cells["keep"]]
    split = [_split(method) for method in cells["method"]]
    return pd.DataFrame(
        {
            "method": [method for method, _ in split],
            "option": pd.Series([option for _, option in split], dtype=object),
            "metric": cells["metric"].to_numpy(),
            "value": cells["value"].to_numpy(),
            "tokens": tokens,
            "ratio": [n / N_V[model] for n in tokens],
        }
    )


def wrong_averages() -> pd.DataFrame:
    """Accuracies of Tab. 10 whose printed average of the three splits no rounding explains.

    Tab. 1 repeats these cells as its POPE column. `checks` holds everything else that disagrees.

    Returns
    -------
    DataFrame
        Columns ``method``, ``tokens``, ``printed``, ``recomputed``.

    Examples
    --------
    >>> wrong_averages()[["method", "tokens", "printed"]].values.tolist()
    [['Random', 32, 73.23], ['Similarity', 32, 80.07]]
    """
    cells = printed_cells()
    rows = []
    for row in groups(cells, (10,)):
        average = cells[row._replace(metric="POPE_average_acc")]
        splits = [cells[row._replace(metric=f"POPE_{split}_acc")] for split in SPLITS]
        if not average.meets(mean(splits)):
            middle = round(sum(cell.value for cell in splits) / len(splits), 2)
            rows.append((row.method, int(row.keep), average.value, middle))
    return pd.DataFrame(rows, columns=["method", "tokens", "printed", "recomputed"])


def wrong_averages_note() -> str:
    """What `wrong_averages` finds, in a sentence.

    Examples
    --------
    >>> "74.53" in wrong_averages_note()
    True
    """
    cells = [
        f"{row['method']} at {row['tokens']} tokens ({row['printed']:g}; its splits average "
        f"{row['recomputed']:g})"
        for _, row in wrong_averages().iterrows()
    ]
    return f"Printed POPE averages that cannot be right: {' and '.join(cells)}."


def _split(method: str) -> tuple[str, str | None]:
    """``MI-Pruner(tau=0.1)`` into its name and the value of what is varied."""
    match = re.fullmatch(r"(.+?)\((?:\w+=)?(.+)\)", method)
    return (match[1], match[2]) if match else (method, None)
