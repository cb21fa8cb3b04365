"""Eq. (48): the maximum of PMI over words is at most its sum."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from analysis.style import BLUE, GRAY, PAGE, VERMILION, new_figure, theme
from mitheory.aggregation.bounds import max_below_sum
from mitheory.bundle import Sample
from mitheory.pmi import cross_pmi
from mitheory.verdict import Kind, Verdict

from .base import Claim, mean_effect
from .context import Context

NAME = "max_below_sum"
STATEMENT = "The maximum of the PMI over the words is bounded by its sum over the words."
SOURCE = "Eq. (48), App. A.3"
KIND: Kind = "theorem"
SMALLEST_EFFECT = None  # a theorem: one counter-example decides
TOLERANCE = 1e-9
MOST_NAMED = 24  # words that fit under the figure
HOW = (
    "For every patch, the largest PMI with a word is compared with the sum of its PMI over all "
    "words, in float64; a maximum larger by more than 1e-9 nats refutes. Eq. (47) is of ratios, "
    "which are positive: a sum of them exceeds each. Their logarithms have both signs. Where all "
    "words are equally probable the sum is never positive, and the maximum never is negative. "
    "Where one word has most of p(t), a patch that avoids it can satisfy Eq. (48): the share of "
    "such patches is given, and one such case worked out."
)
MEANING = {
    "refuted": "Max aggregation is not a lower bound of the summed score: it cannot be defended by "
    "Eq. (48). It is the Rényi divergence of infinite order, an upper bound of the global score.",
    "verified": "On these words the bound happens to hold; it is no theorem.",
}


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per sample: share of patches that violate the bound, both sides, and the worst patch."""
    return pd.DataFrame([_row(sample, context.temperature) for sample in samples])


def _row(sample: Sample, temperature: float) -> dict[str, object]:
    cross = cross_pmi(sample.visual.double(), sample.text.double(), temperature=temperature)
    bound = max_below_sum(cross.pmi, cross.log_cond)
    excess = -bound.gap()  # (n_v,)
    worst = int(excess.argmax())
    return {
        "image_id": sample.image_id,
        "sample_id": sample.sample_id,
        "violated": float((excess > TOLERANCE).double().mean()),
        "mean_max": float(bound.lower.mean()),
        "mean_sum": float(bound.upper.mean()),
        "patch": worst,
        "max": float(bound.lower[worst]),
        "sum": float(bound.upper[worst]),
        "n_words": sample.n_t,
        "words": json.dumps(sample.tokens),
        "word_pmi": json.dumps([round(x, 4) for x in cross.pmi[worst].tolist()]),
    }


def by_hand(conditional: Tensor, patch: int) -> dict[str, Any]:
    """Both sides of Eq. (48) at a patch of a table p(t | v) (n_v, n_t), patches equally probable.

    Examples
    --------
    Two words, equally probable, of which the first patch has one three times out of four.

    >>> table = torch.tensor([[0.75, 0.25], [0.25, 0.75]])
    >>> found = by_hand(table, 0)
    >>> found["pmi"], found["max"], found["sum"]  # log 3/2 and log 1/2; log 3/4
    ([0.405, -0.693], 0.405, -0.288)
    """
    log_cond = conditional.double().log()
    marginal = conditional.double().mean(0)
    pmi = log_cond - marginal.log()
    bound = max_below_sum(pmi, log_cond)
    return {
        "p_t_given_v": conditional[patch].tolist(),
        "p_t": marginal.tolist(),
        "pmi": pmi[patch].tolist(),
        "max": float(bound.lower[patch]),
        "sum": float(bound.upper[patch]),
    }


def smallest_violation() -> dict[str, Any]:
    """Two words, two patches."""
    return by_hand(torch.tensor([[0.75, 0.25], [0.25, 0.75]], dtype=torch.float64), 0)


def satisfied() -> dict[str, Any]:
    """Three words, 50 patches, of which one alone is not about the first word.

    With two words it takes a PMI of 0: the sum exceeds the maximum by the lesser PMI, and one is
    not positive.

    Examples
    --------
    >>> found = satisfied()
    >>> found["p_t"], found["max"], found["sum"]
    ([0.98, 0.01, 0.01], 3.689, 5.789)
    """
    rare = 0.1 / 49
    rows = [[0.2, 0.4, 0.4]] + 49 * [[1 - 2 * rare, rare, rare]]
    return by_hand(torch.tensor(rows, dtype=torch.float64), 0)


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """Refuted by the patch with the largest excess."""
    gap = table["max"] - table["sum"]
    worst = table.iloc[int(gap.to_numpy().argmax())]
    example = {
        "smallest": smallest_violation(),
        "sample": str(worst["sample_id"]),
        "patch": int(worst["patch"]),
        "words": json.loads(worst["words"]),
        "pmi": json.loads(worst["word_pmi"]),
        "max_pmi": float(worst["max"]),
        "sum_pmi": float(worst["sum"]),
    }
    return CLAIM.verdict(
        context,
        n=table["image_id"].nunique(),
        method="every patch of every sample",
        effect=mean_effect(
            "share of patches whose maximum exceeds the sum",
            "share",
            table["violated"],
            table["image_id"],
            span=1.0,
        ),
        checked=len(table),
        counter_example=example if gap.max() > TOLERANCE else None,
        diagnostics={
            "mean_of_max_nats": float(table["mean_max"].mean()),
            "mean_of_sum_nats": float(table["mean_sum"].mean()),
            "share_of_patches_that_satisfy_it": float(1 - table["violated"].mean()),
            "a_case_that_satisfies_it": satisfied(),
        },
    )


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """PMI of the worst patch word by word, and both sides of the bound for every sample."""
    worst = table.iloc[int((table["max"] - table["sum"]).to_numpy().argmax())]
    pmi = json.loads(worst["word_pmi"])
    with theme():
        figure = new_figure(PAGE, 2.7)
        left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
        rank = sorted(range(len(pmi)), key=lambda j: -pmi[j])
        best = rank[0]
        words = json.loads(worst["words"])
        left.bar(range(len(pmi)), [pmi[j] for j in rank],
                 color=[BLUE if j == best else GRAY for j in rank])  # fmt: skip
        named = [words[j] for j in rank] if len(rank) <= MOST_NAMED else []
        left.set_xticks(range(len(named)), named, rotation=60, ha="right")
        left.axhline(0, color=GRAY, lw=0.7)
        left.grid(visible=False, axis="x")
        left.set(xlabel="words of the prompt", ylabel="PMI of one patch (nats)")
        left.set_title(f"max {worst['max']:.2f}, sum {worst['sum']:.2f} nats", fontsize=7)
        ends = (table[["mean_max", "mean_sum"]].min().min() - 1, table["mean_max"].max() + 1)
        right.plot(ends, ends, color=GRAY, lw=0.8, ls="--")
        right.scatter(
            table["mean_sum"], table["mean_max"], s=5, color=VERMILION, alpha=0.4, linewidths=0,
            rasterized=True,
        )  # fmt: skip
        right.annotate("above: max > sum", (0.04, 0.04), xycoords="axes fraction", fontsize=7)
        right.set(xlabel="sum over words (nats), mean of a sample", ylabel="maximum (nats)")
        right.set_xlim(ends)
        right.set_ylim(min(-1.0, ends[1] - 5), ends[1])
    return figure


CLAIM = Claim(
    name=NAME,
    statement=STATEMENT,
    source=SOURCE,
    kind=KIND,
    smallest_effect=SMALLEST_EFFECT,
    how=HOW,
    meaning=MEANING,
    measure=measure,
    judge=judge,
    draw=draw,
)
evaluate = CLAIM.evaluate
