"""`docs/calibration.md` and its figure, from the committed tables: ``python -m`` this module."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pandas as pd

from mitheory.io import atomic_write_text

from ..style import DPI
from . import tables
from .choose import NUMBERS, committed_table
from .figure import data, draw
from .findings import findings

FIGURE = "images/calibration_bias.png"
TITLE = """# Calibration

Estimators and the decision rule where the answer is known. Everything on this page but its prose
is written by `python -m analysis.calibration.render` from tables that `mitheory calibrate` makes
and the package carries: `estimators.csv`, `independence.csv` and `verdicts.csv` of
`analysis/calibration/`. A test compares the two. All information is in nats.
"""
ESTIMATORS = """## Estimators

A ground truth (`mitheory.ground_truth`) is drawn n times in d dimensions a side; every estimator
sees the same samples. *Leading*: the dependence lies in four directions, those of largest variance
of a covariance with eigenvalues 1/k. *Trailing*: in the four of smallest variance. *Spread*:
evenly in all directions of an identity covariance. *Bias* is mean estimate less truth, *spread*
the standard deviation over the repeats, *coverage* how often the nominal 95% interval of the
pointwise contributions (`mitheory.statistics.clustered_mean`) holds the truth. Repeats are few
where a call is slow (4 at least, 2 for trained bounds), so a coverage here is coarse.
"""
CHOICE = """### Which estimator at which size

The estimator whose largest root mean square error over the ground truths is smallest, and that
error; bold where it is at most {tolerance} nats, else there is none to recommend.
`analysis.calibration.choose.choose(quantity, n, d, tolerance)` reads the same table; between sizes
it goes to the next smaller n and the next larger d. An estimator that failed on one of the ground
truths of a size is out there.
"""
LIMITS = """Detection limit: the least planted nats told from none with 80% power at 5%, as if the
mean at 0 nats were known (∞: not even the most that was planted). From 4 repeats, where calls are
slow, it can be off by a factor of several; 0.02 is the least that the levels tried can tell.
"""
INDEPENDENCE = """## Tests of conditional independence

How often each test of `mitheory.independence` rejects at 5%, images as clusters: where X and Y are
independent given Z (should be 5%), and where 0.1 nats are planted. Rows are 1 or 4 per image; *z*
is what the effect of Z is like. x and y have d columns each, Z has d_z. Ranges: over d = 1, 2, 4.
Where the first number is out of hand the second is no power. 500 simulations a cell, 100 for the
power of `knn_permutation`; the exact intervals are in `independence.csv`.

"""
VERDICTS = """## The decision rule

Images of 1 to 14 rows are simulated; the effect goes through `clustered_mean`, the interval through
`decide`, families of claims through `holm_verdicts`. *Normal*, *skewed* (exponential, skewness 2):
image effects and rows with half of the variance each, smallest effect 0.5 standard deviations.
*Bernoulli*: zeros and ones whose chance differs between images, smallest effect 0.05, `span=1`;
*share*: of 144 patches, else alike. The true
effect is zero, just the smallest effect (*border*), or *twice* it. At the border every decision is
wrong, so *holds* and *violated* together should come in 5% at most.

### One claim: "the effect is negligible"

"""
FAMILIES = """### Twenty claims with Holm's correction

All at the border, or ten there and ten at twice it. *Any wrong*: families with a wrong decision, 5%
at most if the rule keeps its word. *Decided*: right decisions among the claims that can be decided.

"""


def verdict_table() -> pd.DataFrame:
    """The committed calibration of the decision rule."""
    with files(__package__).joinpath("verdicts.csv").open() as stream:
        return pd.read_csv(stream)


def independence_table() -> str:
    """Rejection rates of the committed calibration, null and planted, as Markdown."""
    with files(__package__).joinpath("independence.csv").open() as stream:
        table = pd.read_csv(stream)
    lines = ["| test | d_z | z | images | true null | 0.1 nats |", "|---|---|---|---|---|---|"]
    for key, rows in table.groupby(["test", "d_z", "effect_of_z", "images"]):
        null, planted = (rows[(rows["planted"] > 0) == there]["rate"] for there in (False, True))
        words = " | ".join(map(str, key)) if isinstance(key, tuple) else str(key)
        lines.append(f"| {words} | {_range(null)} | {_range(planted)} |")
    return "\n".join(lines) + "\n"


def _range(rates: pd.Series) -> str:
    if rates.empty:
        return "not run"
    low, high = f"{rates.min():.2f}", f"{rates.max():.2f}"
    return low if low == high else f"{low} to {high}"


def document() -> str:
    """The page."""
    table, verdicts = committed_table(), verdict_table()
    parts = [
        TITLE,
        "## What came out\n",
        findings(table, verdicts) + "\n",
        ESTIMATORS,
        _picture(),
        CHOICE.format(tolerance=tables.TOLERANCE),
        *_choices(table),
        *_errors_of_size(table),
        *_other_truths(table),
        "### What was run\n",
        tables.costs(table) + "\n",
        "Rows that failed, by error (numbers as #):\n",
        tables.errors(table) + "\n",
        INDEPENDENCE + independence_table() + "\n",
        VERDICTS + tables.single_claims(verdicts, "negligible") + "\n",
        FAMILIES + tables.families(verdicts) + "\n",
    ]
    return "\n".join(parts)


def _picture() -> str:
    return (
        f"![bias of the estimators against dimension]({FIGURE})\n\n"
        "Lines: mean estimate less 1 nat, bars one standard deviation over repeats. On the dotted "
        "line\nan estimator sees nothing; triangles lie beyond the edge.\n"
    )


def _choices(table: pd.DataFrame) -> list[str]:
    parts = []
    for quantity, name in (("mi", "Mutual information"), ("cmi", "Conditional mutual information")):
        for structures, truths, where in (
            (NUMBERS, None, "wherever the dependence lies"),
            (("leading",), None, "if it lies in the leading directions, which is to be checked"),
            (("leading",), (tables.family_of(quantity)[0],), "if it is Gaussian besides"),
        ):
            parts += [
                f"{name}, {where}:\n",
                tables.recommendations(table, quantity, structures, truths) + "\n",
            ]
    return parts


def _errors_of_size(table: pd.DataFrame) -> list[str]:
    parts = []
    for quantity in ("mi", "cmi"):
        for family in tables.family_of(quantity):
            at = {"truth": family, "n": tables.SHOWN_N, "quantity": quantity}
            title = f"`{family}`, n = {tables.SHOWN_N:,}"
            parts += [
                f"### {title}\n",
                "Bias with 1 nat planted:\n",
                tables.by_dimension(table, "bias", planted=1.0, **at) + "\n",
                "Bias with 0 nats planted:\n",
                tables.by_dimension(table, "bias", planted=0.0, **at) + "\n",
                "Coverage of the nominal 95% interval with 1 nat planted:\n",
                tables.by_dimension(table, "coverage", planted=1.0, **at) + "\n",
                LIMITS,
                tables.limits(table, quantity, family) + "\n",
            ]
    return parts


def _other_truths(table: pd.DataFrame) -> list[str]:
    parts = [f"### Not Gaussian, n = {tables.SHOWN_N:,}: bias\n"]
    for truth in ("gaussian_trailing", "cubic", "asinh", "spiral", "student_t", "collider_spread"):
        parts += [
            f"`{truth}`:\n",
            tables.by_dimension(table, "bias", truth=truth, n=tables.SHOWN_N) + "\n",
        ]
    return [
        *parts,
        f"### Real embeddings, d = 96, n = {tables.SHOWN_N:,}\n",
        "Center patches of the fruit-fly's things, paired by digit so that the digits share a "
        "known\nnumber of nats (`mitheory.ground_truth.label_pairs`): estimate ± its spread.\n",
        tables.real_embeddings(table) + "\n",
        "### Letters, n = 300: bias\n",
        "d − 1 of the d columns of each side are irrelevant fair bits.\n",
        tables.letters(table, 300) + "\n",
    ]


def write(docs: Path) -> None:
    """Write the page and its figure into the folder of documents."""
    atomic_write_text(docs / "calibration.md", document())
    draw(data(committed_table())).savefig(docs / FIGURE, dpi=DPI)


if __name__ == "__main__":
    write(Path(__file__).parents[2] / "docs")
