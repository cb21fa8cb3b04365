"""Eq. (22): the greedy score is the marginal gain of adding a token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure

from analysis.style import BLUE, PAGE, new_figure, theme
from mitheory.bundle import Sample
from mitheory.checks import check_budget
from mitheory.properties import check_path_independent
from mitheory.scores import mi_score
from mitheory.selection.search import greedy
from mitheory.verdict import Kind, Verdict

from .base import Claim, mean_effect
from .context import Context
from .greedy_score import parts, rule, total

NAME = "score_is_marginal_gain"
STATEMENT = "The score S_i of Eq. (22) is the marginal gain of adding a token to the kept set."
SOURCE = "Eqs. (9), (22)-(24), Sec. 3.2"
KIND: Kind = "theorem"
SMALLEST_EFFECT = None  # a theorem: one counter-example decides
RATIO = 1 / 9
ORDERS = 8
HOW = (
    "Marginal gains of a set function add up to its value, in whatever order its elements come. So "
    "the totals of S_i over all orders of three tokens are compared, for a symmetric PMI matrix "
    "(two tokens would not do); two that differ refute. On the bundle: the tokens that greedy "
    f"keeps (11%) are scored again in {ORDERS} random orders and in reverse, and the spread of the "
    "totals is given as a share of "
    "the relevance in them."
)
MEANING = {
    "refuted": "There is no set function behind the score, so no theorem on greedy maximization of "
    "one (such as 1 - 1/e) applies to it. It is a heuristic to be judged by its answers.",
    "verified": "At λ = 1 the score is modular, hence the gain of a set function.",
}
TOLERANCE = 1e-9


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per sample: totals of the kept tokens over orders."""
    return pd.DataFrame([_row(sample, context) for sample in samples])


def _row(sample: Sample, context: Context) -> dict[str, object]:
    found = parts(sample, context)
    score = rule(found, context)
    kept = greedy(score, check_budget(RATIO, sample.n_v)).indices.tolist()
    rng = context.rng(NAME, sample.sample_id)
    orders = [kept, kept[::-1], *(rng.permutation(kept).tolist() for _ in range(ORDERS))]
    totals = np.array([total(score, order) for order in orders])
    return {
        "image_id": sample.image_id,
        "sample_id": sample.sample_id,
        "kept": len(kept),
        "relevance": float(score.relevance_weight * found.relevance[kept].sum()),
        "greedy": totals[0],
        "lowest": totals.min(),
        "highest": totals.max(),
    }


def worked_example(relevance_weight: float) -> dict[str, Any] | None:
    """Two orders of three tokens with different totals; None if there are none (λ = 1).

    Examples
    --------
    >>> worked_example(1.0) is None
    True
    """
    pmi = torch.tensor([[0.0, 2.0, 1.0], [2.0, 0.0, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    relevance = torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)
    score = mi_score(relevance, pmi, relevance_weight=relevance_weight)
    found = check_path_independent(score.scores, 3, tolerance=TOLERANCE)
    if found is None:
        return None
    return {
        "relevance": relevance.tolist(),
        "pmi": pmi.tolist(),
        "lambda": relevance_weight,
        "one_order": list(found.smaller),
        "total_of_one": found.left,
        "another_order": list(found.larger),
        "total_of_another": found.right,
    }


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """Refuted by the worked example, whatever the bundle; the bundle says by how much."""
    spread = (table["highest"] - table["lowest"]) / table["relevance"]
    several = (table["kept"] > 1) & (table["relevance"] > 0)
    effect = None
    if table.loc[several, "image_id"].nunique() > 1:
        effect = mean_effect(
            "spread of the total over orders, of its relevance",
            "share",
            spread[several],
            table.loc[several, "image_id"],
        )
    return CLAIM.verdict(
        context,
        n=table["image_id"].nunique(),
        method="totals of the score over orders of the same tokens",
        effect=effect,
        checked=len(table),
        counter_example=worked_example(context.relevance_weight),
        diagnostics={
            "samples_where_order_matters": float(
                ((table["highest"] - table["lowest"]) > TOLERANCE).mean()
            ),
            "orders_tried": ORDERS + 2,
            "relevance_weight": context.relevance_weight,
        },
    )


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """How far the total of the same tokens moves with their order."""
    kept = table[(table["kept"] > 1) & (table["relevance"] > 0)]
    with theme():
        figure = new_figure(PAGE, 2.4)
        left, right = figure.subplots(1, 2)
        left.plot([-50, 200], [-50, 200], color="#777777", lw=0.8, ls="--")
        left.scatter(
            kept["highest"], kept["lowest"], s=4, color=BLUE, alpha=0.4, linewidths=0,
            rasterized=True,
        )  # fmt: skip
        ends = (kept[["lowest", "highest"]].min().min(), kept["highest"].max())
        left.set(
            xlabel="highest total over orders (nats)",
            ylabel="lowest total (nats)",
            xlim=ends,
            ylim=ends,
        )
        share = 100 * (kept["highest"] - kept["lowest"]) / kept["relevance"]
        sns.histplot(share, ax=right, color=BLUE, element="step", alpha=0.35, bins=40)
        right.set(xlabel="spread over orders (% of the relevance kept)", ylabel="samples")
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
