"""What was measured on our model, in the shape that stands beside the tables of the paper."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mitheory.errors import MissingInputError, NonFiniteError
from mitheory.statistics import cluster_bootstrap_ratio

from . import labels
from .intervals import SEED, accuracy, accuracy_within
from .printed_tables import percent_cell
from .results import Results

SAME = (
    "Every method answers the same questions; numbers under the estimates are 95% intervals "
    "(cluster bootstrap over scenes). FastV and DART prune before block 2 of 4, SparseVLM before "
    "blocks 1 to 3; Similarity takes the maximum over words."
)


def everything(results: Results) -> pd.DataFrame:
    """Rows of every method on the same questions, and of all tokens, with their ``key``.

    Raises
    ------
    MissingInputError
        If the run holds no family "all_methods".
    """
    rows = results.family("all_methods")
    if "layers" not in rows.columns:
        raise MissingInputError("family 'all_methods' must have the column layers")
    full = results.full()
    rows = pd.concat([rows, full[full["sample_id"].isin(rows["sample_id"])]])
    curves = zip(rows["series"], rows["layers"], strict=True)
    return rows.assign(key=[labels.placed(*curve) for curve in curves])


def by_form(results: Results) -> pd.DataFrame:
    """Accuracy on all, open-ended and closed-form questions."""
    rows = everything(results)
    cells = ["key", "ratio"]
    table = pd.concat(
        [accuracy(rows, cells).assign(form="all"), accuracy_within(rows, "form", cells)]
    )
    names = {"all": "all (%)"} | {form: f"{text} (%)" for form, text in labels.FORM_LABELS.items()}
    return pd.DataFrame(
        [
            {"key": row["key"], "ratio": row["ratio"], "column": names[row["form"]]}
            | percent_cell(row)
            for row in table.to_dict("records")
        ]
    )


def yes_no(results: Results) -> pd.DataFrame:
    """Accuracy, F1 and yes-rate of yes/no questions; "–" for an F1 that some resample lacks."""
    rows = everything(results)
    rows = rows[rows["question_type"] == "existence"]
    found = []
    for (key, ratio), cell in rows.groupby(["key", "ratio"], sort=False):
        truth = (cell["answer"] == "yes").to_numpy(float)
        said = (cell["prediction"] == "yes").to_numpy(float)
        one = np.ones(len(cell))
        parts = {
            "yes/no (%)": (cell["correct"].to_numpy(float), one),
            "F1": (2 * truth * said, truth + said),
            "yes-rate": (said, one),
        }
        for column, (numerator, denominator) in parts.items():
            try:
                part = cluster_bootstrap_ratio(
                    numerator, denominator, cell["image_id"].to_numpy(dtype=str), estimand=column,
                    rng=np.random.default_rng(SEED),
                )  # fmt: skip
            except NonFiniteError:
                shown: dict[str, object] = {"text": "–", "value": None, "low": None, "high": None}
            else:
                ends = {"estimate": part.estimate, "low": part.low, "high": part.high}
                shown = percent_cell(ends) if column.endswith("(%)") else _share(ends)
            found.append({"key": key, "ratio": ratio, "column": column} | shown)
    return pd.DataFrame(found)


def _share(ends: Mapping[str, float]) -> dict[str, object]:
    return {"text": f"{ends['estimate']:.2f}", "value": ends["estimate"]} | {
        name: ends[name] for name in ("low", "high")
    }


def benchmarks(results: Results) -> pd.DataFrame:
    """`by_form` and `yes_no` side by side."""
    return pd.concat([by_form(results), yes_no(results)], ignore_index=True)


def varied(results: Results, family: str, names: Mapping[object, str]) -> pd.DataFrame:
    """Accuracy by form of question along a family in which one option varies.

    Parameters
    ----------
    results : of a run
    family : named like the column that varies
    names : key of a row, by the value of the option
    """
    rows = results.family(family)
    rows = rows[rows[family].isin(list(names))]
    if rows.empty:
        raise MissingInputError(f"family {family!r} holds none of {sorted(map(str, names))}")
    table = accuracy_within(rows, "form", [family, "ratio"])
    return pd.DataFrame(
        [
            {
                "key": names[row[family]],
                "ratio": row["ratio"],
                "column": f"{labels.FORM_LABELS[row['form']]} (%)",
            }
            | percent_cell(row)
            for row in table.sort_values("form", ascending=False).to_dict("records")
        ]
    )
