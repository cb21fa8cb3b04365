"""What came out of the calibration, in sentences whose numbers are read from the tables."""

from __future__ import annotations

import pandas as pd

from .tables import SHOWN_N, number

GAUSSIAN = ("gaussian_lowdim", "gaussian_trailing", "gaussian_spread")


def findings(table: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    """A list for the head of the page."""
    ran = table[table["error"].isna()]
    gaussian = ran[(ran["variant"] == "gaussian") & (ran["n"] == SHOWN_N)]
    fitted = gaussian[gaussian["truth"].isin(GAUSSIAN)]
    largest = int(fitted["d"].max())
    low = ran[(ran["variant"] == "ksg_1") & (ran["n"] == SHOWN_N) & (ran["truth"] != "student_t")]
    lines = [
        f"At n = {SHOWN_N:,} the Gaussian estimate less its Wishart bias is off by "
        f"{number(float(fitted['bias'].abs().max()))} nats at most (mean over repeats) on every "
        f"Gaussian truth that it could be fitted to, d = {largest} included, where its standard "
        f"deviation is up to {number(float(fitted['spread'].max()))}. It has no answer for "
        "d_x + d_y ≥ n − 1.",
        "It is only as good as its assumption: 1 nat through a third power (`cubic`) at d = 4 is "
        f"estimated with a bias of {_bias(ran, 'gaussian', 'cubic', 4)}, a turned plane (`spiral`) "
        f"{_bias(ran, 'gaussian', 'spiral', 4)}.",
        "Ledoit–Wolf shrinkage of the joint correlation matrix is no remedy: with a decaying "
        f"spectrum its bias is {_bias(ran, 'gaussian_shrunk', 'gaussian_lowdim', 64)} at d = 64.",
        f"KSG errs toward 0: its bias on 1 nat is {_bias(ran, 'ksg_1', 'gaussian_lowdim', 4)} at "
        f"d = 4, {_bias(ran, 'ksg_1', 'gaussian_lowdim', 16)} at d = 16, and spread out at d = 16 "
        f"{_bias(ran, 'ksg_1', 'gaussian_spread', 16)}; its largest bias upward over all Gaussian "
        "and transformed truths is "
        f"{number(float(low.loc[low['structure'] != 'labels', 'bias'].max()))}. So a small value "
        "is no evidence of little information, and a large one is.",
        "Eight principal components before the Gaussian estimate keep what lies in the leading "
        f"directions at d = 64 (bias {_bias(ran, 'gaussian_pca', 'gaussian_lowdim', 64)}) and lose "
        f"what is spread ({_bias(ran, 'gaussian_pca', 'gaussian_spread', 64)}): a reduction has to "
        "be checked. The bounds trained on one half and read on the other are off by "
        f"{_bias(ran, 'infonce', 'gaussian_lowdim', 64)} (InfoNCE) and "
        f"{_bias(ran, 'nwj', 'gaussian_lowdim', 64)} (NWJ) there; kernel densities and histograms "
        f"by {_bias(ran, 'kernel_density', 'gaussian_lowdim', 4)} and "
        f"{_bias(ran, 'histogram', 'gaussian_lowdim', 4)} at d = 4 already.",
        f"On real embeddings (d = 96) that share 1 nat, the Gaussian says "
        f"{_real(ran, 'gaussian', 'mean')}, KSG {_real(ran, 'ksg_1', 'mean')}; their 95% intervals "
        f"hold the truth in shares {_real(ran, 'gaussian', 'coverage')} and "
        f"{_real(ran, 'ksg_1', 'coverage')} of repeats.",
        "The decision rule is wrong about as often as it says, 5%, at the border and from 25 "
        f"images on: {_wrong(verdicts, 1, 'normal', 25)} for normal values, "
        f"{_wrong(verdicts, 1, 'skewed', 25)} skewed, {_wrong(verdicts, 1, 'share', 25)} for "
        f"shares of patches that few images carry; with 10 images up to "
        f"{_wrong(verdicts, 1, 'share', 10)}. Families of twenty claims, all at the border, have "
        f"a wrong decision in {_wrong(verdicts, 20, 'normal', 25)}, "
        f"{_wrong(verdicts, 20, 'skewed', 25)} and {_wrong(verdicts, 20, 'share', 25)} at 25 "
        f"images, in {_wrong(verdicts, 20, 'normal', 100)}, {_wrong(verdicts, 20, 'skewed', 100)} "
        f"and {_wrong(verdicts, 20, 'share', 100)} at 100. Student's interval, uncorrected for "
        "skewness, was wrong in 15% for such shares at 25 images, and in 76% of families.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _at(table: pd.DataFrame, **where: object) -> pd.Series:
    rows = table
    for name, value in where.items():
        rows = rows[rows[name] == value]
    return rows.iloc[0]


def _bias(table: pd.DataFrame, variant: str, truth: str, d: int) -> str:
    row = _at(table, variant=variant, truth=truth, planted=1.0, d=d, n=SHOWN_N)
    return number(float(row["bias"]))


def _real(table: pd.DataFrame, variant: str, column: str) -> str:
    row = _at(table, variant=variant, structure="labels", planted=1.0, n=SHOWN_N)
    return number(float(row[column]))


def _wrong(verdicts: pd.DataFrame, family: int, values: str, images: int) -> str:
    row = _at(verdicts, family=family, values=values, images=images, effect="border")
    return f"{100 * float(row['wrong']):.1f}%"
