"""Cells that two tables print and that must be one number."""

from __future__ import annotations

from ..cells import Cells, Key, unit
from .record import Check

NAME = "repeated_cells"
PREMISE = "the same model, method, budget, metric and setting"
POPE = {"POPE": "acc", "POPE_F1": "f1", "POPE_Yes": "yes"}
DETAILED = {1: 10, 2: 11}  # summary of POPE, and the table that prints its splits
# the default setting of an ablation is the method of Tab. 1 (Sec. 4.1: tau 0.1, App. B.2: softmax)
DEFAULTS = {5: "MI-Pruner(tau=0.1)", 6: "MI-Pruner(softmax)"}


def repeated_cells(cells: Cells) -> list[Check]:
    """Every pair of cells that must agree."""
    return [_check(cells, a, b) for a in cells if (b := twin(a)) is not None and b in cells]


def twin(key: Key) -> Key | None:
    """Where else a number stands.

    Examples
    --------
    >>> twin(Key(5, "LLaVA1.5-7B", "64", "MI-Pruner(tau=0.1)", "GQA"))
    Key(table=1, model='LLaVA1.5-7B', keep='64', method='MI-Pruner', metric='GQA')
    """
    if key.table in DETAILED and key.metric in POPE:
        return key._replace(table=DETAILED[key.table], metric=f"POPE_average_{POPE[key.metric]}")
    if DEFAULTS.get(key.table) == key.method:
        return key._replace(table=1, method="MI-Pruner")
    return None


def _check(cells: Cells, a: Key, b: Key) -> Check:
    one, other = cells[a], cells[b]
    alike = unit(one.text) == unit(other.text)  # then one number is one text
    agrees = one.text == other.text if alike else one.meets(other)
    return Check(
        NAME, a.where, cells[a].text, f"{cells[b].text} in Tab. {b.table}", agrees, "impossible",
        PREMISE, "" if agrees else f"one of them is wrong by {cells[a].value - cells[b].value:.2f}",
        0.0 if agrees else abs(cells[a].value - cells[b].value) / (cells[a].high - cells[a].low),
    )  # fmt: skip
