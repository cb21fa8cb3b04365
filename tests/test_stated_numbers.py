"""No claim without a number that a command made: what documents state with an interval is found,
digit for digit, in the tables of the whole run that lie in docs/results."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from structure import ROOT

from mitheory.models.fruitfly.questions import OPEN_TYPES
from paper_figures.intervals import accuracy, differences

RESULTS = ROOT / "docs" / "results"
PAGES = (
    "README.md", "docs/beyond.md", "docs/findings.md", "docs/priors.md", "docs/replacement.md",
)  # fmt: skip
NUMBER = r"[+-]?\d+(?:\.\d+)?"
STATED = re.compile(rf"({NUMBER})(?:%| points| nats| of AUC)?\s+\[({NUMBER}),\s+({NUMBER})\]")
Triple = tuple[float, float, float]


def stated(text: str) -> list[tuple[str, str, str]]:
    """Estimates with their intervals, as they are written.

    >>> stated("by 5.0 points [3.2, 6.8], or −0.4 [−1, +2]")
    [('5.0', '3.2', '6.8'), ('-0.4', '-1', '+2')]
    """
    return STATED.findall(text.replace("−", "-"))


def of_tables() -> list[Triple]:
    """Estimate, low and high of all rows of all studies.

    The estimate is a column that lies between the two in every row.
    """
    found: list[Triple] = []
    for path in (RESULTS / "studies").glob("*.parquet"):
        table = pd.read_parquet(path)
        for name in (c for c in table if c.endswith("low")):
            high = name.removesuffix("low") + "high"
            if high not in table or table[name].dtype.kind != "f":
                continue
            rows = table[table[name].notna() & table[high].notna()]
            for column in rows.select_dtypes("number").columns.difference([name, high]):
                if rows[column].between(rows[name] - 1e-9, rows[high] + 1e-9).all():
                    found += rows[[column, name, high]].itertuples(index=False, name=None)
    return found


def of_the_audit() -> list[Triple]:
    verdicts = json.loads((RESULTS / "audit" / "verdicts.json").read_text(encoding="utf-8"))
    effects = [v["effect"] for v in verdicts["verdicts"] if v["effect"]]
    return [(e["value"], e["low"], e["high"]) for e in effects]


def of_the_run() -> list[Triple]:
    """All tokens, and paired differences from MI-Pruner and from the maximum at every budget."""
    rows = pd.read_parquet(RESULTS / "results.parquet")
    (whole,) = accuracy(rows[(rows.family == "method") & (rows.method == "full")], ["method"])[
        ["estimate", "low", "high"]
    ].itertuples(index=False, name=None)
    found = [whole]
    for family, axis, first in (
        ("method", "method", "mi_pruner"),
        ("aggregation", "aggregation", "max"),
    ):
        own = rows[(rows.family == family) & (rows.method != "full")]
        for asked in (own, own[own.question_type.isin(OPEN_TYPES)]):
            others = sorted(set(asked[axis]) - {first})
            pairs = [((first, b), (o, b)) for o in others for b in set(asked.budget)]
            for gap in differences(asked, [axis, "budget"], pairs):
                found.append((gap.estimate, gap.low, gap.high))
    return found


@cache
def measured() -> np.ndarray:
    """Estimate, low and high (n, 3): as they are, in percent, and both with the other sign."""
    one = np.array([*of_tables(), *of_the_audit(), *of_the_run()])
    both = np.concatenate([one, -one[:, [0, 2, 1]]])
    return np.concatenate([both, 100 * both])


def is_measured(triple: tuple[str, str, str]) -> bool:
    digits = [len(text.partition(".")[2]) for text in triple]
    half = np.array([0.5 * 10.0**-n for n in digits]) + 1e-9
    said = np.array([float(text) for text in triple])
    return bool((np.abs(measured() - said) <= half).all(1).any())


@pytest.mark.parametrize("page", PAGES)
def test_every_interval_that_is_stated_was_measured(page):
    found = stated(Path(ROOT / page).read_text(encoding="utf-8"))
    assert len(found) >= 10
    assert [triple for triple in found if not is_measured(triple)] == []


def test_another_digit_would_be_noticed():
    """A tenth more or less in the estimate alone: nearly none of the findings' is in a table."""
    found = stated((ROOT / "docs/findings.md").read_text(encoding="utf-8"))
    changed = [
        (f"{float(value) + step * 10.0 ** -len(value.partition('.')[2]):.{places}f}", low, high)
        for value, low, high in found
        for places in [len(value.partition(".")[2])]
        for step in (-1, 1)
    ]
    assert sum(map(is_measured, changed)) <= 0.1 * len(changed)
