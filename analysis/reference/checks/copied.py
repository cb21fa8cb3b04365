"""Cells that are identical to the last digit and come from different runs."""

from __future__ import annotations

from itertools import combinations

from ..cells import Cells, Key, groups
from .record import Check

NAME = "identical_cells"
PREMISE = "different runs seldom agree to the last of four or more digits"
# metrics fine enough for a coincidence to be strange
FINE = frozenset({"GQA", "SQA", "TextVQA", "MMVet", "MMEP", "POPE"})
SPLITS = ("random", "popular", "adversarial")
KINDS = ("acc", "f1", "yes")


def identical_cells(cells: Cells) -> list[Check]:
    """One method at two budgets; two models with all tokens; an average and one of its parts."""
    return [*_budgets(cells), *_models(cells), *_columns(cells)]


def _budgets(cells: Cells) -> list[Check]:
    rows = [k for k in cells if k.metric in FINE and k.keep != "full" and k.table in (1, 2)]
    return [
        _pair(cells, a, b, "one method at two budgets; which of the two is right is unknown")
        for a, b in combinations(rows, 2)
        if a._replace(keep=b.keep) == b
    ]


def _models(cells: Cells) -> list[Check]:
    rows = [k for k in cells if k.metric in FINE and k.method == "Full"]
    return [
        _pair(cells, a, b, "two models; how much of the accuracy is kept is wrong for one of them")
        for a, b in combinations(rows, 2)
        if a.metric == b.metric and a.model != b.model
    ]


def _pair(cells: Cells, a: Key, b: Key, changes: str) -> Check:
    same = cells[a].text == cells[b].text
    return Check(
        NAME, f"{a.where} and {b.where}", cells[a].text, cells[b].text, not same, "unlikely",
        PREMISE, changes if same else "", 1.0 if same else 0.0,
    )  # fmt: skip


def _columns(cells: Cells) -> list[Check]:
    """An average that repeats all three numbers of one split, which the other splits exceed."""
    checks = []
    for row in groups(cells, (10, 11)):
        average = [cells.get(row._replace(metric=f"POPE_average_{kind}")) for kind in KINDS]
        for split in SPLITS:
            part = [cells.get(row._replace(metric=f"POPE_{split}_{kind}")) for kind in KINDS]
            if None in part or None in average:
                continue
            texts = ["/".join(cell.text for cell in side if cell) for side in (average, part)]
            same = texts[0] == texts[1]
            checks.append(
                Check(
                    NAME,
                    f"{row.where}average and {split} split",
                    texts[0],
                    texts[1],
                    not same,
                    "unlikely",
                    "an average of three differing splits is none of them",
                    "the average column was copied from this split" if same else "",
                    1.0 if same else 0.0,
                )
            )
    return checks
