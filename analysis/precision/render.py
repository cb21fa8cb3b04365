"""`docs/precision.md` from the committed table: ``python -m analysis.precision.render``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pandas as pd

from mitheory.io import atomic_write_text

from .measure import VARIANTS, Variant

NUMBERS = "dtypes.csv"
TITLE = """# Precision

How much of a kept set changes when embeddings come in half precision, and when they are computed
with in half precision. Every number is written by `python -m analysis.precision.render` from
`analysis/precision/dtypes.csv`, which `mitheory dtypes` makes; a test compares the two.

{questions} questions about {images} held-out scenes of the fruit-fly. The reference takes the
model's own float32 numbers and computes in float64. Two things are varied, and told apart:

- *inputs*: everything floating-point that the method looks at (embeddings, and attention, keys or
  features where it uses them) is rounded to float16 or bfloat16;
- *arithmetic*: everything computed from there is float64, float32 or half precision. `select`
  raises half precision to float32, so "in float32" is what a caller gets who hands over
  half-precision tensors. Half-precision arithmetic is not to be had from `select`: it is measured
  on the methods beneath it, with PyTorch on a CPU, and stands for programs that stay in the dtype
  of the model. Two scores closer than the rounding of the arithmetic are a tie there too, and the
  lowest index wins, so that in half precision many a choice is one of ties.

![changed share of the kept set](images/precision.png)

Methods that look at no floating-point number (`random`, `oracle`) never change and are not drawn;
the axis is linear up to 1%. At 0 the interval says how much could have gone unseen;
*none* is no answer, below with the reason.
"""
TABLE = """
## {percent} of the tokens kept ({budget} of 144)

Mean share of the kept set that changes, in per cent [95% interval over scenes]; in parentheses, per
cent of the questions whose kept set is the same to the last token.

"""


def table() -> pd.DataFrame:
    """The committed measurements."""
    with files(__package__).joinpath(NUMBERS).open() as stream:
        return pd.read_csv(stream)


def document(rows: pd.DataFrame) -> str:
    """The page."""
    first = rows.iloc[0]
    parts = [TITLE.format(questions=f"{first['questions']:,}", images=f"{first['images']:,}")]
    for budget, own in rows.groupby("budget", sort=False):
        percent = f"{100 * own['ratio'].iloc[0]:.2g}%"
        parts.append(TABLE.format(percent=percent, budget=budget) + _table(own))
    refused = rows[rows["status"] != "ok"]
    if len(refused):
        parts.append("\n## No answer\n\n" + _refusals(refused))
    return "\n".join(parts)


def _table(rows: pd.DataFrame) -> str:
    head = ["method", *(v.name.replace(" in ", " inputs,<br>") for v in VARIANTS)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for method, own in rows.groupby("method", sort=True):
        cells = [f"`{method}`", *(_cell(own, variant) for variant in VARIANTS)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(rows: pd.DataFrame, variant: Variant) -> str:
    mine = (rows["inputs"] == variant.inputs) & (rows["arithmetic"] == variant.arithmetic)
    (row,) = rows[mine].to_dict("records")
    if row["status"] != "ok":
        return "none"
    value, low, high = (f"{100 * row[c]:.2f}" for c in ("changed", "low", "high"))
    return f"{value} [{low}, {high}] ({100 * row['identical']:.0f})"


def _refusals(rows: pd.DataFrame) -> str:
    cells = rows.drop_duplicates(["method", "inputs", "arithmetic"]).sort_values("method")
    return "".join(
        f"- `{r['method']}`, {r['inputs']} in {r['arithmetic']}: {r['status']}\n"
        for r in cells.to_dict("records")
    )


def main() -> None:
    """Write the page."""
    docs = Path(__file__).resolve().parents[2] / "docs"
    atomic_write_text(docs / "precision.md", document(table()))


if __name__ == "__main__":
    main()
