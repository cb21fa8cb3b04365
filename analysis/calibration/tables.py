"""Tables of the calibration as Markdown, each from the committed CSV alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from .choose import NUMBERS, choose
from .detection import MAIN_FAMILIES, detection_limits

SHOWN_N = 1000
TOLERANCE = 0.1  # nats; of the table of recommendations


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    Examples
    --------
    >>> print(markdown(["d", "bias"], [["1", "0.0"]]))
    | d | bias |
    |---|---|
    | 1 | 0.0 |
    """
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def number(value: float) -> str:
    """Three significant digits at most, two decimals below 10; a dash where there is none.

    Examples
    --------
    >>> number(0.1234), number(123.4), number(-0.001), number(float("nan")), number(float("inf"))
    ('0.12', '123', '0.00', '–', '∞')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
    return (text if float(text) else text.lstrip("-")).replace("-", "−")


def by_dimension(table: pd.DataFrame, column: str, **where: object) -> str:
    """One row per variant, one column per d, of the rows that `where` selects."""
    rows = table
    for name, value in where.items():
        rows = rows[rows[name] == value]
    wide = rows.pivot_table(
        index="variant", columns="d", values=column, sort=False, dropna=False, aggfunc="first"
    )
    dimensions = sorted(wide.columns)
    cells = [
        [f"`{name}`", *(number(float(wide.loc[name, d])) for d in dimensions)]
        for name in wide.index
    ]
    return markdown(["estimator", *(f"d = {d}" for d in dimensions)], cells)


def recommendations(
    table: pd.DataFrame,
    quantity: str,
    structures: Sequence[str],
    truths: Sequence[str] | None = None,
) -> str:
    """What `choose` says over the grid: the estimator, its worst error; bold where it will do."""
    rows = table[(table["quantity"] == quantity) & table["structure"].isin(NUMBERS)]
    sizes, dimensions = sorted(rows["n"].unique()), sorted(rows["d"].unique())
    cells = []
    for d in dimensions:
        line = [str(d)]
        for n in sizes:
            found = choose(
                quantity,
                int(n),
                int(d),
                TOLERANCE,
                structures=structures,
                truths=truths,
                table=table,
            )
            if found.variant is not None:
                line.append(f"**`{found.variant}`** {number(found.worst_rmse)}")
            else:
                line.append(f"none ({number(found.worst_rmse)})")
        cells.append(line)
    return markdown(["d", *(f"n = {n}" for n in sizes)], cells)


def limits(table: pd.DataFrame, quantity: str, family: str) -> str:
    """Detection limits at n = 1,000 over d."""
    found = detection_limits(table)
    found = found[(found["quantity"] == quantity) & (found["n"] == SHOWN_N)]
    order = table[["variant"]].drop_duplicates().reset_index().set_index("variant")["index"]
    found = found.assign(order=found["variant"].map(order)).sort_values(["order", "d"])
    return by_dimension(found, "limit", truth=family)


def real_embeddings(table: pd.DataFrame) -> str:
    """Estimates on patches paired by digit: mean ± spread for each planted information."""
    rows = table[(table["structure"] == "labels") & (table["n"] == SHOWN_N)]
    planted = sorted(rows["planted"].unique())
    cells = []
    for name, group in rows.groupby("variant", sort=False):
        at = group.set_index("planted")
        cells.append(
            [f"`{name}`", *(_mean_spread(at.loc[p]) if p in at.index else "–" for p in planted)]
        )
    return markdown(["estimator", *(f"true {p:g}" for p in planted)], cells)


def letters(table: pd.DataFrame, n: int) -> str:
    """Bias of the estimators on discrete tables, over the columns of a side."""
    rows = table[(table["structure"] == "letters") & (table["n"] == n)]
    dimensions = sorted(rows["d"].unique())
    cells = []
    for (truth, name), group in rows.groupby(["truth", "variant"], sort=False):
        at = group.set_index("d")["bias"]
        cells.append(
            [str(truth), f"`{name}`", number(float(group["true"].iloc[0]))]
            + [number(float(at.get(d, np.nan))) for d in dimensions]
        )
    return markdown(["table", "estimator", "true", *(f"d = {d}" for d in dimensions)], cells)


def costs(table: pd.DataFrame) -> str:
    """What was tried: options, rows that ran, failed or were left out, and time per call."""
    cells = []
    for (quantity, name), group in table.groupby(["quantity", "variant"], sort=False):
        ran = group["error"].isna()
        left = group["error"].fillna("").str.startswith("not run")
        at = group[(group["n"] == SHOWN_N) & ran].set_index("d")["seconds"]
        cells.append(
            [
                f"`{name}`",
                str(quantity),
                str(group["options"].fillna("defaults").iloc[0]),
                str(int(ran.sum())),
                str(int((~ran & ~left).sum())),
                str(int(left.sum())),
                _repeats(group.loc[ran, "n_repeats"]),
                *(_milliseconds(at, d) for d in (1, 64)),
            ]
        )
    return markdown(
        [
            "estimator", "of", "options", "ran", "failed", "not run", "repeats",
            "ms, d = 1", "ms, d = 64",
        ],
        cells,
    )  # fmt: skip


def errors(table: pd.DataFrame) -> str:
    """Every kind of error, how often, and where."""
    failed = table[table["error"].notna() & ~table["error"].fillna("").str.startswith("not run")]
    kinds = failed["error"].str.replace(r"\d[\d.e+-]*", "#", regex=True).str.slice(0, 90)
    cells = [
        [
            f"`{name}`",
            str(kind).replace("|", "/"),
            str(len(group)),
            ", ".join(f"{d}" for d in sorted(group["d"].unique())),
            ", ".join(f"{n}" for n in sorted(group["n"].unique())),
        ]
        for (name, kind), group in failed.groupby(["variant", kinds], sort=False)
    ]
    return markdown(["estimator", "error", "rows", "d", "n"], cells)


def single_claims(verdicts: pd.DataFrame, region: str) -> str:
    """Rates of the decisions for one claim."""
    rows = verdicts[(verdicts["family"] == 1) & (verdicts["region"] == region)]
    cells = [
        [str(r["values"]), str(r["images"]), str(r["effect"])]
        + [f"{100 * r[name]:.1f}" for name in ("holds", "inconclusive", "violated", "coverage")]
        for _, r in rows.iterrows()
    ]
    return markdown(
        ["values", "images", "effect", "holds %", "inconclusive %", "violated %", "coverage %"],
        cells,
    )


def families(verdicts: pd.DataFrame) -> str:
    """Any wrong decision among twenty claims under Holm, and the share decided."""
    rows = verdicts[verdicts["family"] > 1]
    cells = [
        [
            str(r["values"]),
            str(r["images"]),
            str(r["effect"]),
            f"{100 * r['wrong']:.1f}",
            "–" if math.isnan(r["decided"]) else f"{100 * r['decided']:.1f}",
        ]
        for _, r in rows.iterrows()
    ]
    return markdown(["values", "images", "claims at", "any wrong %", "decided %"], cells)


def family_of(quantity: str) -> tuple[str, str]:
    """The leading and the spread family of a quantity."""
    leading, spread = MAIN_FAMILIES[quantity]
    return leading, spread


def _mean_spread(row: pd.Series) -> str:
    if isinstance(row["error"], str):
        return "–"
    return f"{number(float(row['mean']))} ± {number(float(row['spread']))}"


def _milliseconds(at: pd.Series, d: int) -> str:
    values = at.loc[at.index == d]
    return "–" if values.empty else f"{1000 * float(values.median()):.3g}"


def _repeats(values: pd.Series) -> str:
    if values.empty:
        return "–"
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low}–{high}"
